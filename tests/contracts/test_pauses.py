"""What the guardian may stop, what nobody can stop, and the clocks and the grace that belong to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.evm.accounts import KEEPERS, MAKER, account
from harness.venue import exchange as ex
from harness.venue import governance as gov
from harness.venue.book import MODES, TICK_WAD, Order, encode_cancel, encode_open_market, encode_place
from tests.contracts.conftest import OWNER, PARAMS, T0, USD, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL = 100, 101, 102
KEEPER = KEEPERS[0]
TRADING, LIQUIDATION, WITHDRAWALS = gov.PAUSES.values()
MASKS = range(8)
SOON = 2                        # the series that expires while the matrix is tried
FAR = 2**63


@pytest.fixture
def pausable(venue: Venue) -> Venue:
    """Alice long 1 at 2000 on 299, Bob long with plenty, a book, a second series about to expire, a keeper."""
    venue.observe(2000 * W)
    venue.list_series("future")
    venue.list_series("future", expires=60)
    venue.ok(OWNER, "order_book", encode_open_market(1, tick=TICK_WAD, lot=PARAMS.lot_wad))
    venue.deposit(MAKER, 10_000_000)
    venue.deposit(ALICE, 300)
    venue.deposit(BOB, 10_000)
    venue.deposit(CAROL, 10_000)
    venue.deposit(KEEPER, 100_000)
    assert venue.trade(ALICE, 1, W, 2000 * W).error == ""
    assert venue.trade(BOB, 1, W, 2000 * W).error == ""
    assert venue.trade(BOB, SOON, W, 2000 * W).error == ""
    venue.now += 1
    venue.system()
    venue.observe(1800 * W)
    return venue


def pause(venue: Venue, what: int) -> Outcome:
    return venue.send(OWNER, "pauses", gov.encode_pause(what))


def unpause(venue: Venue, what: int) -> Outcome:
    return venue.send(OWNER, "pauses", gov.encode_unpause(what))


def governance(venue: Venue) -> gov.GovernanceState:
    return gov.decode_governance(venue.call("lens", gov.encode_governance()))


def order(venue: Venue, who: int, size: int, mode: str) -> Outcome:
    price = 0 if mode == "market" else 1800 * W
    return venue.send(who, "order_book", encode_place(Order(1, size, price, MODES[mode], FAR)))


@pytest.mark.parametrize("mask", MASKS)
def test_each_pause_forbids_its_own_and_nothing_else(pausable: Venue, mask: int) -> None:
    """G1, S10: the matrix of RULES.md, row by row and in every combination; what is refused changes nothing."""
    venue = pausable
    if mask:
        assert pause(venue, mask).error == ""
    no_opening = "TradingPaused()" if mask & TRADING else ""
    no_liquidation = "LiquidationPaused()" if mask & LIQUIDATION else ""
    no_withdrawal = "WithdrawalsPaused()" if mask & WITHDRAWALS else ""

    def tried(outcome: Callable[[], Outcome], expected: str) -> None:
        before = venue.state()
        assert outcome().error == expected
        after = venue.state()
        assert after.conservation_gap() == 0
        if expected:
            assert after == before

    tried(lambda: venue.trade(BOB, 1, W, 1800 * W), no_opening)
    tried(lambda: venue.trade(BOB, 1, -5 * W, 1800 * W), no_opening)  # a flip is an opening, too
    tried(lambda: venue.trade(BOB, 1, -W // 2, 1800 * W), "")
    tried(lambda: order(venue, MAKER, W, "post-only"), "")    # who could one close against
    tried(lambda: order(venue, CAROL, -W // 10, "market"), no_opening)
    tried(lambda: order(venue, BOB, -W // 10, "market"), "")
    tried(lambda: venue.send(MAKER, "order_book", encode_cancel(1)), "")
    tried(lambda: venue.send(BOB, "vault", ex.encode_withdraw(10 * USD)), no_withdrawal)
    tried(lambda: venue.send(BOB, "vault", ex.encode_fund_insurance(10 * USD)), "")
    tried(lambda: venue.liquidate(KEEPER, ALICE), no_liquidation)
    tried(lambda: venue.send(KEEPER, "liquidator", ex.encode_haircut()), no_liquidation or "NoDeficit()")
    tried(lambda: venue.send(ALICE, "vault", ex.encode_deposit(10 * USD)), "")
    venue.now = T0 + 60
    tried(lambda: venue.send(OWNER, "price_feed", venue.round(1800 * W)), "")
    tried(lambda: venue.send(CAROL, "settlement", ex.encode_finalize(SOON)), "")
    tried(lambda: venue.send(CAROL, "settlement", ex.encode_settle(account(BOB).address, SOON)), "")


@pytest.mark.parametrize("mask", MASKS[1:])
def test_only_a_guardian_pauses_only_what_there_is_and_only_what_changes(pausable: Venue, mask: int) -> None:
    """Bad input in every state of the mask: the documented error, and nothing changed."""
    venue = pausable
    assert unpause(venue, mask).error == "PauseUnchanged(paused=0)"
    done = pause(venue, mask).one("PauseChanged")
    assert done == {"before": 0, "paused": mask, "by": account(OWNER).address}
    before = governance(venue)
    role = "0x" + bytes(venue.ask("pauses", "GUARDIAN_ROLE")[0]).hex()
    for data in (gov.encode_pause(7), gov.encode_unpause(mask)):
        stranger = account(ALICE).address
        assert venue.send(ALICE, "pauses", data).error == (
            f"AccessControlUnauthorizedAccount(account={stranger},neededRole={role})"
        )
    assert pause(venue, mask).error == f"PauseUnchanged(paused={mask})"
    for data in (gov.encode_pause, gov.encode_unpause):
        assert venue.send(OWNER, "pauses", data(0)).error == "UnknownPause(what=0)"
        assert venue.send(OWNER, "pauses", data(8)).error == "UnknownPause(what=8)"
    assert replace(governance(venue), funding_clock=0, auction_clock=0) == replace(
        before, funding_clock=0, auction_clock=0
    )
    assert unpause(venue, mask).one("PauseChanged")["paused"] == 0


def test_nobody_is_liquidated_in_the_block_of_the_unpause_nor_within_the_grace(pausable: Venue) -> None:
    """G2, X4: as after a restart: not before L1's clock shows resumedAt + grace, and only at a price observed since."""
    venue = pausable
    assert venue.liquidatable(ALICE)
    pause(venue, LIQUIDATION)
    assert not venue.liquidatable(ALICE)
    venue.live(10)
    unpaused, stopped = venue.together(
        (OWNER, "pauses", gov.encode_unpause(LIQUIDATION)),
        (KEEPER, "liquidator", ex.encode_liquidate(account(ALICE).address)),
    )
    assert (unpaused.error, stopped.error) == ("", "failed")
    until = venue.now + PARAMS.grace_s
    assert venue.liquidate(KEEPER, ALICE).error == f"PauseGrace(until={until})"
    venue.live(PARAMS.grace_s + 20)
    venue.observe(1800 * W)
    venue.system(origin=until - 1)
    assert venue.liquidate(KEEPER, ALICE).error == f"PauseGrace(until={until})"
    venue.deposit(CAROL, 1)     # a top-up is always allowed (X3)
    venue.system(origin=until)
    assert venue.liquidate(KEEPER, ALICE).error == ""


@pytest.mark.parametrize("venue", [replace(PARAMS, grace_s=5)], indirect=True)
def test_a_price_from_within_the_pause_does_not_count_after_it(pausable: Venue) -> None:
    """LS2 for pauses: still fresh, but from before liquidation was allowed again; at that very second it counts."""
    venue = pausable
    pause(venue, LIQUIDATION)
    venue.live(2)
    venue.observe(1799 * W)
    observed = venue.now
    venue.live(2)
    resumed = venue.now
    unpause(venue, LIQUIDATION)
    venue.live(5)
    assert venue.liquidate(KEEPER, ALICE).error == (
        f"PriceBeforeRestart(asset=ETH,timestamp={observed},since={resumed})"
    )
    venue.ok(OWNER, "price_feed", venue.round(1799 * W, timestamp=resumed))
    assert venue.liquidate(KEEPER, ALICE).error == ""


def test_a_pause_of_something_else_brings_no_grace(pausable: Venue) -> None:
    """Whoever was never protected is not protected afterwards: trading and withdrawals resume at once."""
    pause(pausable, TRADING | WITHDRAWALS)
    unpause(pausable, TRADING | WITHDRAWALS)
    assert governance(pausable).resumed_at == 0
    assert pausable.liquidate(KEEPER, ALICE).error == ""


@pytest.mark.parametrize("mask", MASKS)
def test_a_pause_stops_the_clock_of_what_it_forbids(pausable: Venue, mask: int) -> None:
    """G4: funding stands still while nobody can open, auctions while nobody can bid; both go on from where they were."""
    venue = pausable
    venue.live(3)
    if mask:
        pause(venue, mask)
    before = governance(venue)
    venue.live(12)
    during = governance(venue)
    assert during.funding_clock - before.funding_clock == (0 if mask & TRADING else 12)
    assert during.auction_clock - before.auction_clock == (0 if mask & LIQUIDATION else 12)
    if mask:
        unpause(venue, mask)
    venue.live(5)
    after = governance(venue)
    assert (after.funding_clock - during.funding_clock, after.auction_clock - during.auction_clock) == (5, 5)


def test_a_pause_across_an_outage_counts_each_second_once(pausable: Venue) -> None:
    """Down for 100 s of a pause of 120: the clocks lose 120 and not 220."""
    venue = pausable
    venue.live(3)
    begun = governance(venue)
    pause(venue, 7)
    venue.live(10)
    venue.now += 100
    venue.system()
    venue.live(10)
    unpause(venue, 7)
    ended = governance(venue)
    assert (ended.funding_clock, ended.auction_clock) == (begun.funding_clock, begun.auction_clock)
    venue.live(4)
    assert governance(venue).auction_clock == begun.auction_clock + 4


@pytest.mark.parametrize("venue", [replace(PARAMS, grace_s=4)], indirect=True)
def test_the_price_of_an_auction_stands_still_while_nobody_can_bid(pausable: Venue) -> None:
    """X2 with a pause: three times its duration later the bonus is what it was when it was paused."""
    venue = pausable
    venue.live(3)
    venue.observe(1731 * W)
    assert venue.liquidate(KEEPER, ALICE).one("AuctionStarted")["startActive"] == venue.now
    venue.live(2)
    pause(venue, LIQUIDATION)
    venue.live(3 * PARAMS.auction_duration_s)
    bid = ex.encode_bid(account(ALICE).address)
    assert venue.send(KEEPER, "liquidator", bid).error == "LiquidationPaused()"
    unpause(venue, LIQUIDATION)
    venue.live(4)
    venue.observe(1731 * W)
    done = venue.send(KEEPER, "liquidator", bid).one("Liquidated")
    assert done["toKeeper"] == 1731 * W * 5 // 100 * 6 // PARAMS.auction_duration_s


def test_guardians_are_appointed_by_the_timelock_alone(pausable: Venue) -> None:
    """Not even a guardian makes another; its role ends where the timelock says so."""
    venue = pausable
    role = venue.ask("pauses", "GUARDIAN_ROLE")[0]
    grant = venue.raw("pauses", "grantRole", role, account(BOB).address)
    assert venue.send(OWNER, "pauses", grant).error.startswith("AccessControlUnauthorizedAccount(")
    call = gov.Call(venue.at["pauses"], grant)
    venue.ok(OWNER, "timelock", gov.encode_schedule(call, PARAMS.timelock_delay_s))
    venue.now += PARAMS.timelock_delay_s
    venue.ok(OWNER, "timelock", gov.encode_execute(call))
    assert venue.send(BOB, "pauses", gov.encode_pause(TRADING)).error == ""
