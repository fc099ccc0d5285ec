"""Funding of perpetuals: what accrues, when it does not, who pays whom, and what rounding leaves (F1-F5)."""

from __future__ import annotations

import pytest

from harness.evm.accounts import KEEPERS, MAKER, account
from harness.venue import exchange as ex
from tests.contracts.conftest import PARAMS, T0, TRADERS, USD, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL, _ = TRADERS
PERP = 1
PERIOD = PARAMS.funding_period_s
CAP = PARAMS.funding_cap_bps * W // 10_000
INTEREST = PARAMS.funding_interest_bps * W // 10_000


@pytest.fixture
def perp(venue: Venue) -> Venue:
    """ETH at 2000, one perpetual, a rich maker, three traders with 10 000; the system transaction has run once."""
    begins = T0 - T0 % PARAMS.premium_window_s + PARAMS.premium_window_s
    venue.live(begins - venue.now)
    venue.system()
    venue.observe(2000 * W)
    venue.list_series("perpetual")
    venue.deposit(MAKER, 10_000_000)
    for who in (ALICE, BOB, CAROL):
        venue.deposit(who, 10_000)
    return venue


def market(venue: Venue) -> ex.PerpetualState:
    return venue.state().perpetuals[0]


def accrue(venue: Venue) -> Outcome:
    return venue.ok(CAROL, "perpetuals", ex.encode_accrue(PERP))


def live(venue: Venue, seconds: int, price: int = 2000 * W) -> None:
    """Blocks go on: a system transaction and an observation every two seconds, and one at the end."""
    end = venue.now + seconds
    while venue.now < end:
        venue.now = min(venue.now + 2, end)
        venue.system()
        venue.observe(price)


def index_growth(rate: int, seconds: int, price: int = 2000 * W) -> int:
    return rate * price * seconds // (PERIOD * W)


def test_a_trades_premium_becomes_the_rate_of_the_next_window(perp: Venue) -> None:
    """Formula 10: measured on size-weighted trades, in force after its window, plus interest; known in advance."""
    assert perp.trade(ALICE, PERP, 3 * W, 2004 * W).error == ""       # 20 bps above
    assert perp.trade(BOB, PERP, -W, 1999 * W).error == ""            # 5 bps below
    assert (market(perp).weight, market(perp).rate) == (4 * W, 0)
    live(perp, PARAMS.premium_window_s)
    done = accrue(perp)
    rate = (3 * 20 - 5) * W // 4 // 10_000 + INTEREST
    assert done.one("FundingAccrued")["rate"] == rate
    assert done.one("FundingAccrued")["index"] == 0                    # the window before had no rate
    live(perp, 10)
    assert accrue(perp).one("FundingAccrued")["index"] == index_growth(rate, 10)
    live(perp, PARAMS.premium_window_s)
    assert accrue(perp).one("FundingAccrued")["rate"] == INTEREST      # no trade, no premium


@pytest.mark.parametrize(("price", "rate"), [(2180 * W, CAP), (1820 * W, -CAP)])
def test_rate_is_clamped_either_way(perp: Venue, price: int, rate: int) -> None:
    """F2: nine percent of premium gives the cap, not nine percent."""
    assert perp.trade(ALICE, PERP, W if rate > 0 else -W, price).error == ""
    live(perp, PARAMS.premium_window_s)
    assert accrue(perp).one("FundingAccrued")["rate"] == rate


def held_at_cap(venue: Venue) -> int:
    """Alice is long 3 at a rate of the cap, nothing accrued yet; the index now."""
    assert venue.trade(ALICE, PERP, 3 * W, 2100 * W).error == ""
    live(venue, PARAMS.premium_window_s)
    accrue(venue)
    return market(venue).index


def test_longs_pay_shorts_before_the_size_changes(perp: Venue) -> None:
    """F4: the payment of an interval is of the size held in it, whatever the trade that settles it does."""
    held_at_cap(perp)
    live(perp, 10)
    cash = perp.of(ALICE).cash
    done = perp.trade(ALICE, PERP, 2 * W, 2000 * W)
    paid = 3 * index_growth(CAP, 10)
    settled = [event.args for event in done.events if event.name == "FundingSettled"]
    assert [(item["account"], item["cashDelta"]) for item in settled] == [
        (account(ALICE).address, -paid), (account(MAKER).address, paid),
    ]
    assert perp.of(ALICE).cash == cash - paid - done.one("Traded")["fee"]
    assert perp.state().series[0].clearing == 0
    assert perp.state().conservation_gap() == 0


def test_equity_counts_funding_not_yet_settled(perp: Venue) -> None:
    """LS8: the view a keeper sees and the trade that follows agree; settling changes no equity."""
    held_at_cap(perp)
    live(perp, 12)
    before = perp.of(ALICE)
    assert before.equity == before.cash + 3 * 2000 * W - 3 * 2100 * W - 3 * index_growth(CAP, 12)
    perp.ok(BOB, "clearing_house", ex.encode_settle_funding(account(ALICE).address, PERP))
    after = perp.of(ALICE)
    assert (after.equity, after.cash) == (before.equity, before.cash - 3 * index_growth(CAP, 12))


def test_nothing_accrues_past_the_gap_after_the_last_observation(perp: Venue) -> None:
    """F3: an oracle that is silent for 100 s accrues `fundingGap` seconds of it, at the price before it."""
    index = held_at_cap(perp)
    for _ in range(50):
        perp.now += 2
        perp.system()
    assert market(perp).index == index
    done = accrue(perp)
    assert done.one("FundingAccrued")["index"] == index + index_growth(CAP, PARAMS.funding_gap_s)
    rate = done.one("FundingAccrued")["rate"]
    perp.observe(3000 * W)
    assert market(perp).index == index + index_growth(CAP, PARAMS.funding_gap_s)
    perp.now += 2
    perp.system()
    grown = accrue(perp).one("FundingAccrued")["index"] - index - index_growth(CAP, PARAMS.funding_gap_s)
    assert grown == index_growth(rate, 2, 3000 * W)


@pytest.mark.parametrize("auto", [False, True])
def test_nothing_accrues_while_the_chain_is_down(perp: Venue, auto: bool) -> None:
    """G4: an outage of any length, with or without blocks derived in it, is no time for funding."""
    index = held_at_cap(perp)
    perp.now += 1
    if auto:
        assert [e.name for e in perp.system(auto=True).events] == ["UptimeChanged"]
        perp.now += 500
        perp.system(auto=True)
    else:
        perp.system()
    perp.now += 500
    ended = perp.system()
    assert [e.name for e in ended.events] == ["OutageEnded", "UptimeChanged"]
    assert ended.one("OutageEnded")["downTime"] == (1000 if auto else 500)
    perp.now += 1
    perp.system()
    assert accrue(perp).one("FundingAccrued")["index"] == index + index_growth(CAP, 2)


def test_auto_block_after_a_gap_counts_the_gap_too(perp: Venue) -> None:
    """The chain was down from its last block on, not only from the first block derived without a sequencer."""
    since = perp.now
    perp.now += 50
    done = perp.system(auto=True)
    assert [e.name for e in done.events] == ["OutageEnded", "UptimeChanged"]
    assert done.one("OutageEnded") == {"since": since, "until": since + 50, "downTime": 50}
    perp.now += 7
    assert perp.ask("l1_info", "activeClock") == (since,)
    assert perp.system().one("OutageEnded") == {"since": since + 50, "until": since + 57, "downTime": 57}
    assert perp.ask("l1_info", "activeClock") == (since,)


def test_lazy_and_eager_settlement_differ_by_a_wei_each_and_never_for_the_user(perp: Venue) -> None:
    """F5 and F1: settled in 7 parts or at once, a long never pays less and a short never gets more; dust takes it."""
    live(perp, 1, 1999 * W + 7)
    assert perp.trade(ALICE, PERP, 3 * W + 1, 2100 * W + 11).error == ""
    assert perp.trade(BOB, PERP, 3 * W + 1, 2100 * W + 13).error == ""
    live(perp, PARAMS.premium_window_s, 1999 * W + 7)
    accrue(perp)
    for _ in range(7):
        live(perp, 3, 1999 * W + 7)
        perp.ok(CAROL, "clearing_house", ex.encode_settle_funding(account(ALICE).address, PERP))
    perp.ok(CAROL, "clearing_house", ex.encode_settle_funding(account(BOB).address, PERP))
    fee_and_premium = perp.of(ALICE).cash - perp.of(BOB).cash
    assert -7 <= fee_and_premium <= 0
    assert perp.state().conservation_gap() == 0
    for who in (ALICE, BOB):
        size = perp.of(who).positions[0].size
        assert perp.trade(who, PERP, -size, 1999 * W).error == ""
    state = perp.state()
    assert (state.series[0].open_positions, state.series[0].clearing) == (0, 0)
    assert state.totals.dust > 0
    assert state.conservation_gap() == 0


def test_funding_alone_makes_a_long_liquidatable_and_the_keeper_takes_over_settled(perp: Venue) -> None:
    """LS1: the maintenance margin is crossed by what is owed, not by the price; the keeper owes none of it."""
    perp.send(ALICE, "vault", ex.encode_withdraw(10_000 * USD - 620 * USD))
    assert perp.trade(ALICE, PERP, 3 * W, 2000 * W).error == ""
    perp.deposit(BOB, 100_000)
    assert perp.trade(BOB, PERP, 20 * W, 2190 * W).error == ""
    live(perp, PARAMS.premium_window_s)
    accrue(perp)
    perp.deposit(KEEPERS[0], 100_000)
    assert not perp.liquidatable(ALICE)
    waited = 0
    while not perp.liquidatable(ALICE):
        live(perp, 200)
        perp.trade(BOB, PERP, W // 1000, 2190 * W)   # keeps the premium where it is
        live(perp, PARAMS.premium_window_s)
        waited += 1
        assert waited < 60
    seen = perp.of(ALICE)
    done = perp.liquidate(KEEPERS[0], ALICE)
    assert done.error == ""
    liquidated = done.one("Liquidated")
    assert liquidated["equityBefore"] == seen.equity < seen.mm
    assert perp.of(KEEPERS[0]).positions[0].funding_index == market(perp).index
    assert perp.state().conservation_gap() == 0


def test_listing_guards(venue: Venue) -> None:
    """A perpetual has no strike and no expiry; other kinds cannot be endless by accident of a zero."""
    call = "clearing_house"
    venue.observe(2000 * W)
    for arguments, error in (
        ((3, "ETH", 0, T0 + 60), f"PerpetualExpires(expiry={T0 + 60})"),
        ((3, "ETH", W, ex.NEVER), f"StrikeOutOfRange(kind=3,strike={W})"),
        ((5, "ETH", 0, ex.NEVER), "UnknownKind(kind=5)"),
        ((3, "DOGE", 0, ex.NEVER), "UnknownAsset(asset=DOGE)"),
    ):
        assert venue.send(0, call, ex.encode_list_series(*arguments)).error == error
    assert venue.state().series == ()


def test_guards_of_the_market(perp: Venue) -> None:
    """Only the clearing house moves funding; only perpetuals have any; nobody settles one at expiry."""
    perp.list_series("future")
    at = account(ALICE).address
    for contract, data, error in (
        ("perpetuals", perp.raw("perpetuals", "list", 9, b"ETH".ljust(32, b"\0")), f"NotClearingHouse(caller={at})"),
        ("perpetuals", perp.raw("perpetuals", "settle", at, PERP, W), f"NotClearingHouse(caller={at})"),
        ("perpetuals", perp.raw("perpetuals", "recordTrade", PERP, W, W, W), f"NotClearingHouse(caller={at})"),
        ("perpetuals", perp.raw("perpetuals", "takeClearing", PERP), f"NotClearingHouse(caller={at})"),
        ("perpetuals", ex.encode_accrue(2), "NotPerpetual(id=2)"),
        ("clearing_house", ex.encode_settle_funding(at, 2), "NotPerpetual(id=2)"),
        ("clearing_house", ex.encode_settle_funding(at, 7), "UnknownSeries(id=7)"),
        ("settlement", ex.encode_finalize(PERP), f"NotExpired(id=1,expiry={ex.NEVER})"),
    ):
        before = perp.state()
        assert perp.send(ALICE, contract, data).error == error
        assert perp.state() == before


def test_a_signed_underlying_below_zero_trades_no_perpetual_but_closes_by_liquidation(venue: Venue) -> None:
    """A premium over nothing has no meaning; a dated future goes on trading (S7)."""
    venue.observe(2000 * W)
    venue.observe(20 * W, "WTI")
    venue.list_series("perpetual", asset="WTI")
    venue.list_series("future", asset="WTI")
    venue.deposit(MAKER, 1_000_000)
    venue.deposit(ALICE, 1_000)
    assert venue.trade(ALICE, 1, 100 * W, 20 * W).error == ""
    venue.now += 1
    venue.observe(-3 * W, "WTI")
    assert venue.trade(ALICE, 1, -W, -3 * W).error == f"IndexNotPositive(asset=WTI,index={-3 * W})"
    assert venue.trade(BOB, 2, -W, -3 * W).error.startswith("InsufficientMargin")
    venue.deposit(KEEPERS[0], 100_000)
    assert venue.liquidate(KEEPERS[0], ALICE).error == ""
    assert venue.state("ETH", "WTI").conservation_gap() == 0
