"""Liquidation: exactly who, exactly when, and where every wei goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.venue import exchange as ex
from harness.evm.accounts import KEEPERS, MAKER, account
from tests.contracts.conftest import PARAMS, T0, Venue, W

pytestmark = pytest.mark.node

ALICE = 100
KEEPER = KEEPERS[0]
BOUNDARY = 18_144 * W // 10
"""Long 1 at 2000 with 299 of cash: equity 299 + P − 2000 equals 6.25 % of P at P = 1814.4."""


@pytest.fixture
def long(market: Venue) -> Venue:
    """Alice long 1 future at 2000 with 299 of cash; a keeper with plenty."""
    market.deposit(ALICE, 300)
    market.deposit(KEEPER, 100_000)
    assert market.trade(ALICE, 1, W, 2000 * W).error == ""
    return market


def at_price(market: Venue, price: int) -> Venue:
    market.now += 1
    market.observe(price)
    return market


def test_equity_equal_to_maintenance_margin_is_safe_and_one_wei_below_is_not(long: Venue) -> None:
    """LS1's strict comparison, LS8: the lens says what the liquidator does."""
    at_price(long, BOUNDARY)
    margin = 1134 * W // 10
    assert not long.liquidatable(ALICE)
    assert long.liquidate(KEEPER, ALICE).error == f"NotLiquidatable(equity={margin},maintenanceMargin={margin})"
    at_price(long, BOUNDARY - 1)
    assert long.liquidatable(ALICE)
    done = long.liquidate(KEEPER, ALICE).one("Liquidated")
    assert (done["equityBefore"], done["maintenanceMargin"]) == (margin - 1, margin)


def test_account_without_positions_is_never_liquidatable(market: Venue) -> None:
    """MM > 0 is part of the rule, whatever the cash."""
    market.deposit(KEEPER, 1_000)
    assert market.liquidate(KEEPER, ALICE).error == "NotLiquidatable(equity=0,maintenanceMargin=0)"


def test_partial_liquidation_restores_the_initial_margin_exactly(long: Venue) -> None:
    """Formula 7 at 1800: (180 − 99) / (180 − 45) = 60 % is closed, 2.5 % of it paid, half each, and E = IM after."""
    at_price(long, 1800 * W)
    keeper_cash = long.of(KEEPER).cash
    done = long.liquidate(KEEPER, ALICE)
    moved = done.one("PositionTransferred")
    part = 6 * W // 10
    assert (moved["seriesId"], moved["size"], moved["price"]) == (1, part, 1800 * W)
    assert done.one("Liquidated") == {
        "account": account(ALICE).address, "keeper": account(KEEPER).address, "equityBefore": 99 * W,
        "maintenanceMargin": 1125 * W // 10, "toKeeper": 135 * W // 10, "toInsurance": 135 * W // 10, "covered": 0,
        "badDebt": 0, "stage": 1,
    }
    left = long.of(ALICE)
    assert (left.cash, left.positions) == (152 * W, (ex.PositionState(1, W - part, 800 * W),))
    assert (left.equity, left.im) == (72 * W, 72 * W)
    held = long.of(KEEPER)
    assert (held.cash, held.positions) == (keeper_cash + 135 * W // 10, (ex.PositionState(1, part, 1080 * W),))
    assert long.state().totals.insurance == 100 * W + 135 * W // 10
    assert long.state().conservation_gap() == 0
    assert long.liquidate(KEEPER, ALICE).error.startswith("NotLiquidatable(")


def test_sizes_are_rounded_up_to_a_lot_and_never_leave_less_than_one(long: Venue) -> None:
    """LS5: at most one lot more than restores the margin; X27: no dust that nobody would liquidate."""
    at_price(long, 1801 * W + 7)
    moved = long.liquidate(KEEPER, ALICE).one("PositionTransferred")["size"]
    initial, penalty = (1801 * W + 7) // 10 + 1, (1801 * W + 7) * 25 // 1000
    exact = W * (initial - (100 * W + 7)) // (initial - penalty)
    lot = PARAMS.lot_wad
    assert moved % lot == 0
    assert exact <= moved < exact + lot
    assert long.trade(ALICE, 1, -(W - moved - lot - lot // 2), 1801 * W).error == ""
    # One and a half lots are left: half of them is less than a lot, so all go (and it is below the small notional).
    long.send(ALICE, "vault", ex.encode_withdraw((long.of(ALICE).equity - long.of(ALICE).im) // 10**12))
    at_price(long, 1700 * W)
    assert long.liquidate(KEEPER, ALICE).one("PositionTransferred")["size"] == lot + lot // 2
    assert long.of(ALICE).positions == ()


def test_small_accounts_are_closed_whole(market: Venue) -> None:
    """A tenth of a dollar of penalty pays no keeper twice: up to the small notional everything goes at once."""
    market.deposit(ALICE, 9)
    market.deposit(KEEPER, 1_000)
    assert market.trade(ALICE, 1, W // 25, 2000 * W).error == ""      # 80 dollars
    at_price(market, 1894 * W)
    assert market.liquidate(KEEPER, ALICE).one("PositionTransferred")["size"] == W // 25
    assert market.of(ALICE).positions == ()
    assert market.of(ALICE).cash > 0


def test_all_positions_move_in_ascending_order_options_at_intrinsic_value(long: Venue) -> None:
    """Every position gives the same part, futures at the index, options at what they are worth; penalty over the sum."""
    assert long.trade(ALICE, 3, W, 1 * W).error == ""
    long.deposit(ALICE, 300)
    assert long.trade(ALICE, 2, -W // 2, 50 * W).error == ""
    at_price(long, 2600 * W)
    before = long.of(ALICE)
    assert before.equity >= before.mm
    at_price(long, 1500 * W)
    before = long.of(ALICE)
    notional = (W + W // 2 + W) * 1500
    penalty, worth = notional * 250 // 10_000, 500 * W      # of the put
    assert before.equity < before.mm
    part = -(-W * (before.im - before.equity) // (before.im + worth - penalty))
    done = long.liquidate(KEEPER, ALICE)
    lot = PARAMS.lot_wad
    whole, half = -(-part // lot) * lot, -(-(-(-part // 2)) // lot) * lot
    moved = [(e.args["seriesId"], e.args["size"], e.args["price"]) for e in done.events
             if e.name == "PositionTransferred"]
    assert moved == [(1, whole, 1500 * W), (2, -half, 0), (3, whole, 500 * W)]
    assert [event.name for event in done.events][-1] == "Liquidated"
    args = done.one("Liquidated")
    assert args["toKeeper"] + args["toInsurance"] == -(-(2 * whole + half) * 1500 * 250 // 10_000)
    assert long.of(ALICE).equity >= long.of(ALICE).im
    assert long.state().conservation_gap() == 0


def test_keeper_must_carry_what_it_takes(long: Venue) -> None:
    """A keeper without margin would only move the problem."""
    at_price(long, 1800 * W)
    refused = long.liquidate(KEEPERS[1], ALICE)
    assert refused.error == f"InsufficientMargin(equity={135 * W // 10},required={108 * W})"


def test_nobody_liquidates_itself(long: Venue) -> None:
    """LS6: the penalty's keeper half would come back."""
    at_price(long, 1800 * W)
    assert long.liquidate(ALICE, ALICE).error == f"SelfLiquidation(account={account(ALICE).address})"


def test_stale_price_forbids_liquidation_at_the_second(long: Venue) -> None:
    """O1 for the liquidator: at the age limit yes, a second later no."""
    at_price(long, 1800 * W)
    long.now += PARAMS.max_price_age_s + 1
    assert long.liquidate(KEEPER, ALICE).error == (
        f"StalePrice(asset=ETH,age={PARAMS.max_price_age_s + 1},maxAge={PARAMS.max_price_age_s})"
    )
    assert not long.liquidatable(ALICE)
    at_price(long, 1800 * W)
    long.now += PARAMS.max_price_age_s
    assert long.liquidate(KEEPER, ALICE).error == ""


def test_expired_position_is_settled_not_liquidated(long: Venue) -> None:
    """S3: no liquidation of an account that holds a series at or past expiry."""
    long.now = T0 + 3_600
    long.observe(1800 * W)
    assert long.liquidate(KEEPER, ALICE).error == f"SeriesExpired(id=1,expiry={T0 + 3_600})"
    assert not long.liquidatable(ALICE)


def test_restart_forbids_liquidation_until_grace_is_over_and_a_new_price_is_there(long: Venue) -> None:
    """LS2: nothing before startedAt + grace by L1's clock, nothing at a price observed before the restart."""
    long.system()
    at_price(long, 1800 * W)
    long.now += PARAMS.uptime_gap_s + 1
    restarted = long.system()
    started = long.now
    assert restarted.one("UptimeChanged") == {"up": True, "startedAt": started}
    until = started + PARAMS.grace_s
    assert long.liquidate(KEEPER, ALICE).error == f"SequencerGrace(until={until})"
    long.live(until - 1 - long.now)
    assert long.liquidate(KEEPER, ALICE).error == f"SequencerGrace(until={until})"
    long.live(until - long.now)
    assert long.liquidate(KEEPER, ALICE).error.startswith("StalePrice(asset=ETH,")
    long.observe(1800 * W)
    assert long.liquidate(KEEPER, ALICE).error == ""


def test_grace_after_a_restart_ends_by_the_clock_of_l1(long: Venue) -> None:
    """Q2 at its boundary: whatever time it is here, until L1's clock shows the end somebody's top-up may still be on its
    way from there; in the very block in which it does, what was forced before is done."""
    long.system()
    at_price(long, 1800 * W)
    long.now += PARAMS.uptime_gap_s + 1
    long.system()
    until = long.now + PARAMS.grace_s
    long.live(until + 20 - long.now)
    long.observe(1800 * W)
    long.system(origin=until - 1)
    assert not long.liquidatable(ALICE)
    assert long.liquidate(KEEPER, ALICE).error == f"SequencerGrace(until={until})"
    long.now += 2                                       # L1 stands still, and so does the grace
    long.system(origin=until - 1)
    assert long.liquidate(KEEPER, ALICE).error == f"SequencerGrace(until={until})"
    long.deposit(MAKER, 1)                              # G1: a top-up is always allowed
    long.system(origin=until)
    assert long.liquidatable(ALICE)
    assert long.liquidate(KEEPER, ALICE).error == ""


def test_gap_equal_to_the_limit_is_no_restart(venue: Venue) -> None:
    """The uptime gap at its boundary; the very first call has no gap at all."""
    assert venue.system().events == ()
    venue.now += PARAMS.uptime_gap_s
    assert venue.system().events == ()
    assert venue.ask("l1_info", "startedAt") == (1,)
    venue.now += PARAMS.uptime_gap_s + 1
    assert venue.system().one("UptimeChanged") == {"up": True, "startedAt": venue.now}


@pytest.mark.parametrize("venue", [replace(PARAMS, grace_s=5)], indirect=True)
def test_fresh_price_observed_before_the_restart_does_not_count(long: Venue) -> None:
    """LS2 where the grace is shorter than the age limit: still fresh, but from before; equal to the restart counts."""
    long.system()
    at_price(long, 1800 * W)
    observed = long.now
    long.now += PARAMS.uptime_gap_s + 1
    long.system()
    started = long.now
    long.live(started + 5 - long.now)
    assert long.liquidate(KEEPER, ALICE).error == (
        f"PriceBeforeRestart(asset=ETH,timestamp={observed},since={started})"
    )
    long.send(0, "price_feed", long.round(1800 * W, timestamp=started))
    assert long.liquidate(KEEPER, ALICE).error == ""


def test_auto_block_is_downtime_and_the_next_certified_block_restarts(long: Venue) -> None:
    """Down from the first auto block; one event per change, whatever the number of blocks."""
    long.system()
    at_price(long, 1800 * W)
    down = long.system(auto=True)
    assert down.one("UptimeChanged") == {"up": False, "startedAt": long.now}
    assert long.system(auto=True).events == ()
    assert long.liquidate(KEEPER, ALICE).error == "SequencerDown()"
    long.now += 1
    assert long.system().one("UptimeChanged") == {"up": True, "startedAt": long.now}
    assert long.liquidate(KEEPER, ALICE).error == f"SequencerGrace(until={long.now + PARAMS.grace_s})"
    assert long.ask("l1_info", "startedAt") == (long.now,)


def test_deposit_cures_and_maker_is_untouched(long: Venue) -> None:
    """M4, G1: a top-up is always allowed and ends liquidatability; a liquidation moves no third account."""
    at_price(long, 1800 * W)
    assert long.liquidatable(ALICE)
    long.deposit(ALICE, 100)
    assert not long.liquidatable(ALICE)
    at_price(long, 1700 * W)
    before = long.of(MAKER)
    assert long.liquidate(KEEPER, ALICE).error == ""
    assert long.of(MAKER) == before
