"""Expiry: one price, to the wei, from the feed alone; each position settled once; what rounding leaves is dust."""

from __future__ import annotations

import pytest

from harness.venue import exchange as ex
from harness.evm.accounts import MAKER, OWNER, account
from tests.contracts.conftest import PARAMS, STRICT, T0, USD, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL = 100, 101, 102
WINDOW = PARAMS.settlement_window_s


def test_settlement_price_is_the_floored_mean_over_the_window(venue: Venue) -> None:
    """Steps inside the 15 s before expiry, weighted by hand; what comes at or after expiry does not count."""
    series = venue.list_series("future", expires=60)
    for at, price in ((40, 1000), (50, 2000), (57, 2001), (60, 9000), (61, 8000)):
        venue.now = T0 + at
        venue.observe(price)
    # 45…50 at 1000, 50…57 at 2000, 57…60 at 2001.
    expected = (5 * 1000 + 7 * 2000 + 3 * 2001) // WINDOW
    assert venue.finalize(series).one("SeriesFinalized") == {"seriesId": 1, "price": expected}


def test_late_round_gives_the_same_price_as_one_on_time(venue: Venue) -> None:
    """S9: the first observation after expiry only closes the window; its own price and lateness do not matter."""
    for series, late in ((1, 0), (2, 37)):
        venue.list_series("future", expires=venue.now - T0 + 60)
        expiry = venue.now + 60
        for at, price in ((45, 1000), (55, 1300)):
            venue.now = expiry - 60 + at
            venue.observe(price)
        venue.now = expiry + late
        venue.observe(7777)
        assert venue.finalize(series).one("SeriesFinalized")["price"] == (1000 * 10 + 1300 * 5) // WINDOW


def test_window_starts_at_the_first_observation_when_that_is_later(venue: Venue) -> None:
    """An asset younger than the window settles by what there is, if that is enough of it: 10 of 15 s."""
    venue.list_series("future", expires=60)
    venue.now = T0 + 50
    venue.observe(1000)
    venue.now = T0 + 80
    venue.observe(5000)
    assert venue.finalize(1).one("SeriesFinalized")["price"] == 1000


@pytest.mark.parametrize("first", [60, 75])
def test_an_asset_first_seen_at_or_after_expiry_is_disputed_and_settles_by_that_price(venue: Venue, first: int) -> None:
    """Nobody can vouch for a price of the window; in the end the first there was is carried, and nobody is stranded."""
    venue.list_series("future", expires=60)
    venue.now = T0 + first
    venue.observe(1000)
    venue.now = T0 + 80
    venue.observe(5000)
    assert venue.finalize(1).one("SeriesDisputed") == {"seriesId": 1, "covered": 0, "beyond": 0}
    assert venue.finalize(1).error == f"SeriesInDispute(id=1,since={T0 + 80})"
    venue.now = T0 + 80 + PARAMS.dispute_window_s - 1
    early = venue.send(BOB, "settlement", ex.encode_resolve(1))
    assert early.error == f"StillDisputed(id=1,until={T0 + 80 + PARAMS.dispute_window_s})"
    venue.now += 1
    resolved = venue.send(BOB, "settlement", ex.encode_resolve(1))
    assert resolved.one("DisputeResolved") == {"seriesId": 1, "route": 3, "price": 1000}
    assert resolved.one("SeriesFinalized")["price"] == 1000
    assert venue.send(BOB, "settlement", ex.encode_resolve(1)).error == "NotDisputed(id=1)"


def test_a_dispute_whose_window_is_over_is_nobodys_to_decide(venue: Venue) -> None:
    """G5: the second from which the carried price may be taken is the first in which the owner may not decide."""
    venue.list_series("future", expires=60)
    venue.observe(W)
    venue.now = T0 + 60 + PARAMS.dispute_patience_s
    venue.finalize(1)
    end = venue.now + PARAMS.dispute_window_s
    venue.now = end
    refused = venue.send(OWNER, "settlement", ex.encode_override_price(1, 7 * W))
    assert refused.error == f"DisputeWindowOver(id=1,end={end})"
    assert venue.send(BOB, "settlement", ex.encode_resolve(1)).one("DisputeResolved")["route"] == 3


@pytest.mark.parametrize("venue", [STRICT], indirect=True)
@pytest.mark.parametrize(("silence", "event"), [(25, "SeriesFinalized"), (26, "SeriesDisputed")])
def test_a_silence_longer_than_the_gap_limit_is_disputed(venue: Venue, silence: int, event: str) -> None:
    """One second more than 25 before expiry and nobody vouches for the carried price; the window was covered before."""
    venue.list_series("future", expires=60)
    for at in (60 - silence, 60):
        venue.now = T0 + at
        venue.observe(1000)
    covered = 15 - (silence - 20)
    assert [item.name for item in venue.finalize(1).events] == [event]
    assert covered * 10_000 >= 6_000 * 15


@pytest.mark.parametrize("venue", [STRICT], indirect=True)
def test_a_jump_beyond_the_breaker_halts_opening_and_nothing_else(venue: Venue) -> None:
    """O3: 10 % is no breach, a wei more is; who holds may reduce to nothing, not turn over, and the price counts."""
    venue.list_series("future")
    venue.observe(1000 * W)
    for trader in (ALICE, MAKER):
        venue.deposit(trader, 10_000)
    assert venue.trade(ALICE, 1, 2 * W, 1000 * W).error == ""
    venue.now += 1
    assert [event.name for event in venue.observe(900 * W).events] == ["RoundAccepted"]
    venue.now += 1
    halted = venue.observe(900 * W - 90 * W - 1)
    until = venue.now + STRICT.halt_duration_s
    assert halted.one("MarketHalted") == {"asset": "ETH", "from": 900 * W, "to": 810 * W - 1, "until": until}
    for who, size in ((BOB, W), (ALICE, W), (ALICE, -2 * W - 1)):
        refused = venue.trade(who, 1, size, 810 * W)
        assert refused.error == f"MarketIsHalted(asset=ETH,until={until})", size
    assert venue.trade(ALICE, 1, -W, 810 * W).error == ""
    venue.now = until - 1
    assert venue.trade(ALICE, 1, W, 810 * W).error.startswith("MarketIsHalted(")
    venue.now = until
    assert venue.trade(ALICE, 1, W, 810 * W).error == ""


def test_only_the_owner_decides_a_dispute_in_its_own_time_and_within_the_bounds(venue: Venue) -> None:
    """G5: a second early, by another, out of bounds: refused, and nothing changed."""
    venue.list_series("future", expires=60)
    venue.now = T0 + 60 + PARAMS.dispute_patience_s
    assert venue.finalize(1).one("SeriesDisputed")["seriesId"] == 1
    since = venue.now
    data = ex.encode_override_price(1, 7 * W)
    opens = since + PARAMS.override_delay_s
    venue.now = opens - 1
    assert venue.send(OWNER, "settlement", data).error == f"OverrideTooEarly(id=1,notBefore={opens})"
    venue.now = opens
    assert venue.send(BOB, "settlement", data).error.startswith("OwnableUnauthorizedAccount(")
    for price in (0, -W, 10**26):
        refused = venue.send(OWNER, "settlement", ex.encode_override_price(1, price))
        assert refused.error.startswith("AnswerOutOfBounds("), price
    said = venue.send(OWNER, "settlement", data)
    assert [event.name for event in said.events] == ["PriceOverridden", "DisputeResolved", "SeriesFinalized"]
    assert said.one("DisputeResolved") == {"seriesId": 1, "route": 2, "price": 7 * W}
    assert venue.send(OWNER, "settlement", data).error == "NotDisputed(id=1)"


def test_settlement_price_below_zero_is_floored_and_paid(venue: Venue) -> None:
    """S7: futures follow the price below zero, as oil did; the mean of a negative integral rounds down."""
    venue.list_series("future", asset="WTI", expires=60)
    venue.observe(10 * W, "WTI")
    for trader in (ALICE, MAKER):
        venue.deposit(trader, 1_000)
    assert venue.trade(ALICE, 1, W, 10 * W).error == ""
    venue.now = T0 + 45
    venue.observe(-W - 1, "WTI")
    venue.now = T0 + 53
    venue.observe(-W - 2, "WTI")
    venue.now = T0 + 60
    venue.observe(W, "WTI")
    price = -((8 * (W + 1) + 7 * (W + 2)) // WINDOW + 1)
    assert venue.finalize(1).one("SeriesFinalized")["price"] == price
    assert venue.settle(ALICE, 1).one("Settled")["cashDelta"] == price - 10 * W
    assert venue.settle(MAKER, 1).one("Settled")["cashDelta"] == -price + 10 * W
    assert venue.state("WTI").conservation_gap() == 0


def test_finality_needs_expiry_and_an_observation_at_or_after_it(market: Venue) -> None:
    """S3, S5: one second early, or without a price that closes the window, nothing is fixed."""
    expiry = T0 + 3_600
    market.now = expiry - 1
    market.observe(2000 * W)
    assert market.finalize(1).error == f"NotExpired(id=1,expiry={expiry})"
    market.now = expiry
    last = expiry - 1
    assert market.finalize(1).error == f"PriceNotObserved(asset=ETH,lastTimestamp={last},expiry={expiry})"
    market.observe(2000 * W)
    assert market.finalize(1).error == ""


def test_price_is_fixed_once_and_each_position_settled_once(market: Venue) -> None:
    """S1, S4: repeats revert and move nothing."""
    market.deposit(ALICE, 1_000)
    market.trade(ALICE, 1, W, 2000 * W)
    assert market.settle(ALICE, 1).error == "NotFinal(id=1)"
    market.now = T0 + 3_600
    market.observe(2100 * W)
    market.finalize(1)
    assert market.finalize(1).error == "AlreadyFinal(id=1)"
    alice, bob = account(ALICE).address, account(BOB).address
    assert market.settle(ALICE, 1).error == ""
    before = market.state()
    assert market.settle(ALICE, 1).error == f"NothingToSettle(account={alice},id=1)"
    assert market.settle(BOB, 1).error == f"NothingToSettle(account={bob},id=1)"
    assert market.state() == before


def test_shorts_are_floored_and_the_last_settlement_moves_the_residue_to_dust(venue: Venue) -> None:
    """Three shorts of 1 wei against one long of 3, at a price with halves: −2 in all, so 2 wei of dust and no more."""
    venue.list_series("future", expires=60)
    venue.observe(W)
    for trader in (ALICE, BOB, CAROL, MAKER):
        venue.deposit(trader, 10)
    for trader in (ALICE, BOB, CAROL):
        assert venue.trade(trader, 1, -1, W).error == ""
    assert venue.state().totals.dust == 0  # 1 wei at price 1 is exact
    venue.now = T0 + 45
    venue.observe(W // 2)
    venue.now = T0 + 60
    venue.observe(W)
    venue.finalize(1)
    assert venue.state().series[0].price == W // 2
    deltas = []
    for trader in (ALICE, BOB, CAROL, MAKER):
        assert venue.state().totals.dust == 0
        # δ − N: N is −1 for each short and 3 for the long.
        deltas.append(venue.settle(trader, 1).one("Settled")["cashDelta"])
        assert venue.state().conservation_gap() == 0
    assert deltas == [-1 + 1, -1 + 1, -1 + 1, 1 - 3]
    assert (venue.state().totals.dust, venue.state().series[0].clearing) == (2, 0)


def test_opening_at_a_price_with_a_remainder_leaves_exact_dust(venue: Venue) -> None:
    """Each leg's n is floored: 1 wei at half a wei of value costs the buyer 1 and gives the seller 0."""
    venue.list_series("future", expires=60)
    venue.observe(W // 2)
    for trader in (ALICE, MAKER):
        venue.deposit(trader, 10)
    assert venue.trade(ALICE, 1, 1, W // 2).error == ""
    assert (venue.of(ALICE).positions[0].notional, venue.of(MAKER).positions[0].notional) == (1, 0)
    assert venue.state().totals.dust == 1
    assert venue.state().conservation_gap() == 0


def test_reducing_and_flipping_round_each_part_on_its_own(venue: Venue) -> None:
    """By hand: N = 5 for 5 wei at 1; selling 2 releases ce(5·2/5) = 2 and brings fl(2·0.9) = 1, and so on."""
    venue.list_series("future", expires=60)
    venue.observe(W)
    for trader in (ALICE, MAKER):
        venue.deposit(trader, 10)
    cash = venue.of(ALICE).cash
    fee = 1  # ce(|size| · 5 bps) of some wei is always 1 wei
    venue.trade(ALICE, 1, 5, W)
    price = 9 * W // 10
    venue.trade(ALICE, 1, -2, price)
    held = venue.of(ALICE)
    assert (held.positions[0].size, held.positions[0].notional, held.cash) == (3, 3, cash - 2 * fee + (1 - 2))
    venue.trade(ALICE, 1, -7, price)  # closes 3: releases 3, brings fl(2.7) = 2; opens −4: n = fl(3.6) = 3
    held = venue.of(ALICE)
    assert (held.positions[0].size, held.positions[0].notional) == (-4, -3)
    assert held.cash == cash - 3 * fee + (1 - 2) + (2 - 3)
    assert venue.state().conservation_gap() == 0


def test_released_entry_cost_is_ceiled(venue: Venue) -> None:
    """N = 5 for 3 wei at 1.4: closing 1 releases ce(5/3) = 2 and brings fl(1.4) = 1, never the other way round."""
    venue.list_series("future", expires=60)
    price = 14 * W // 10
    venue.observe(price)
    for trader in (ALICE, MAKER):
        venue.deposit(trader, 10)
    venue.trade(ALICE, 1, 3, price)
    cash = venue.of(ALICE).cash
    venue.trade(ALICE, 1, -1, price)
    held = venue.of(ALICE)
    assert (held.positions[0].notional, held.cash) == (3, cash - 1 + (1 - 2))
    assert venue.state().conservation_gap() == 0


def test_options_pay_their_payoff_and_put_call_parity_holds(market: Venue) -> None:
    """S2, S8: long call minus long put is the price minus the strike; shorts pay the same."""
    market.deposit(ALICE, 10_000)
    market.trade(ALICE, 2, W, 100 * W)
    market.trade(ALICE, 3, W, 100 * W)
    market.now = T0 + 3_600
    market.observe(1700 * W)
    market.now += 1
    for series in (2, 3):
        market.finalize(series)
    price = market.state().series[1].price
    assert price == 2000 * W
    call = market.settle(ALICE, 2).one("Settled")["cashDelta"]
    put = market.settle(ALICE, 3).one("Settled")["cashDelta"]
    assert call - put == price - 2000 * W
    assert market.settle(MAKER, 2).one("Settled")["cashDelta"] == -call
    assert market.state().conservation_gap() == 0


def test_settling_one_leg_of_a_hedge_does_not_draw_on_the_insurance(market: Venue) -> None:
    """Negative cash is a loss only when nothing is left that could back it."""
    hedge = market.list_series("future")
    market.deposit(ALICE, 500)
    market.trade(ALICE, 1, W, 2000 * W)
    market.trade(ALICE, hedge, -W, 2000 * W)
    market.now = T0 + 3_585
    market.observe(3000 * W)
    market.now = T0 + 3_600
    market.observe(3000 * W)
    for series in (1, hedge):
        market.finalize(series)
    losing = market.settle(ALICE, hedge)
    assert losing.one("Settled")["cashDelta"] == -1000 * W
    assert [event.name for event in losing.events] == ["Settled"]
    assert market.of(ALICE).cash == -502 * W
    winning = market.settle(ALICE, 1)
    assert [event.name for event in winning.events] == ["Settled"]
    assert market.of(ALICE).cash == 498 * W


def test_debt_of_an_account_without_positions_is_covered_as_far_as_the_insurance_goes(market: Venue) -> None:
    """The waterfall at expiry: cash, insurance, bad debt; nobody liquidated in time."""
    market.deposit(ALICE, 300)
    market.trade(ALICE, 1, W, 2000 * W)
    market.now = T0 + 3_585
    market.observe(1500 * W)
    market.now = T0 + 3_600
    market.observe(1500 * W)
    market.finalize(1)
    settled = market.settle(ALICE, 1)
    # 299 of cash after the fee, a loss of 500, insurance of 100 of which one block may take half.
    assert settled.one("BadDebt") == {"account": account(ALICE).address, "covered": 50 * W, "remaining": 151 * W}
    totals = market.state().totals
    assert (market.of(ALICE).cash, totals.insurance, totals.deficit) == (0, 50 * W, 151 * W)
    assert market.state().conservation_gap() == 0


def test_withdrawal_of_everything_returns_every_unit_deposited(venue: Venue) -> None:
    """A5: no rounding between token and ledger."""
    venue.ok(ALICE, "vault", ex.encode_deposit(123_456_789))
    assert venue.send(ALICE, "vault", ex.encode_withdraw(123_456_790)).error == (
        f"InsufficientMargin(equity={-10**12},required=0)"
    )
    venue.ok(ALICE, "vault", ex.encode_withdraw(123_456_789))
    assert venue.of(ALICE).cash == 0
    assert venue.state().totals.custody == 100 * USD
