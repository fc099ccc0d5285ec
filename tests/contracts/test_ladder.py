"""The rest of the liquidation ladder: auction in active time, insurance, deleveraging, deficit, haircut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.evm.accounts import KEEPERS, MAKER, account
from harness.venue import exchange as ex
from tests.contracts.conftest import OWNER, PARAMS, USD, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL, DAVE = 100, 101, 102, 103
KEEPER, POOR = KEEPERS[0], KEEPERS[1]
DURATION = PARAMS.auction_duration_s


@pytest.fixture
def long(market: Venue) -> Venue:
    """Alice long 1 future at 2000 with 299 of cash; a keeper with plenty; the chain's clock runs."""
    market.system()
    market.deposit(ALICE, 300)
    market.deposit(KEEPER, 100_000)
    assert market.trade(ALICE, 1, W, 2000 * W).error == ""
    return market


def at_price(market: Venue, price: int, *, seconds: int = 1) -> Venue:
    """The chain lives on for `seconds`, and the price is `price` at the end."""
    end = market.now + seconds
    while market.now < end:
        market.now = min(market.now + PARAMS.uptime_gap_s, end)
        market.system()
    market.observe(price)
    return market


def bid(market: Venue, who: int, victim: int = ALICE) -> Outcome:
    return market.send(who, "liquidator", ex.encode_bid(account(victim).address))


def stage(market: Venue, who: int = ALICE) -> int:
    return ex.decode_stages(market.call("lens", ex.encode_stages([account(who).address])))[0]


def auctioned(market: Venue, price: int = 1731 * W) -> Venue:
    """Alice at a price at which 30 of equity do not pay a penalty of 43.275; her auction has just begun."""
    at_price(market, price)
    assert stage(market) == ex.STAGES["start-auction"]
    started = market.liquidate(KEEPER, ALICE)
    assert started.error == ""
    (event,) = started.events
    assert event.args == {
        "account": account(ALICE).address, "keeper": account(KEEPER).address, "startActive": market.now,
        "equity": price - 1701 * W, "maintenanceMargin": price // 16,
    }
    return market


def settled(market: Venue, what: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """The parts of a `Liquidated`; the identity must hold whatever they are."""
    assert market.state().conservation_gap() == 0
    return tuple(what[name] for name in names or ("toKeeper", "toInsurance", "covered", "badDebt", "stage"))


def test_penalty_that_is_not_there_sends_the_account_to_auction(long: Venue) -> None:
    """Nobody is sure of a reward; nothing moves yet, and the price begins at the index (LL4)."""
    auctioned(long)
    assert long.of(ALICE).positions == (ex.PositionState(1, W, 2000 * W),)
    assert (long.of(ALICE).auction, stage(long)) == (long.now, ex.STAGES["wait"])
    assert long.liquidate(KEEPER, ALICE).error == (
        f"AuctionRunning(account={account(ALICE).address},elapsed=0,duration={DURATION})"
    )


def test_bonus_grows_with_active_time_and_stops_at_what_the_account_has(long: Venue) -> None:
    """Formula 14: a fifth of 5 % of 1731 after a fifth of the time; the rest of the 30 goes to the insurance."""
    auctioned(long)
    at_price(long, 1731 * W, seconds=DURATION // 5)
    keeper_cash = long.of(KEEPER).cash
    done = bid(long, KEEPER)
    bonus = 1731 * W * 5 // 100 // 5
    assert settled(long, done.one("Liquidated")) == (bonus, 30 * W - bonus, 0, 0, 2)
    assert done.one("PositionTransferred")["size"] == W
    assert (long.of(ALICE).cash, long.of(ALICE).positions, long.of(ALICE).auction) == (0, (), 0)
    assert long.of(KEEPER).cash == keeper_cash + bonus


def test_bonus_never_exceeds_what_the_account_has(long: Venue) -> None:
    """LS6: owner and bidder together draw nothing from the insurance, however long they wait."""
    auctioned(long)
    at_price(long, 1731 * W, seconds=DURATION - 1)
    assert settled(long, bid(long, KEEPER).one("Liquidated")) == (30 * W, 0, 0, 0, 2)
    assert long.state().totals.insurance == 100 * W


@pytest.mark.parametrize("venue", [replace(PARAMS, grace_s=4)], indirect=True)
def test_auction_stands_still_while_the_chain_is_down(long: Venue) -> None:
    """G4, X2: an outage of ten auctions' length is no time at all, and the price is what it was."""
    auctioned(long)
    at_price(long, 1731 * W, seconds=2)
    before = long.now
    long.now += 10 * DURATION
    long.system()
    assert bid(long, KEEPER).error == f"SequencerGrace(until={long.now + 4})"
    assert long.ask("l1_info", "activeClock") == (before,)
    at_price(long, 1731 * W, seconds=4)
    assert settled(long, bid(long, KEEPER).one("Liquidated"), "toKeeper") == (1731 * W * 5 // 100 * 6 // DURATION,)


def test_bid_needs_a_running_auction_of_an_account_that_is_still_below(long: Venue) -> None:
    """Every guard, and nothing changed by any."""
    alice = account(ALICE).address
    at_price(long, 1731 * W)
    assert bid(long, KEEPER).error == f"NoAuction(account={alice})"
    auctioned(long, 1731 * W)
    state = long.state()
    assert bid(long, ALICE).error == f"SelfLiquidation(account={alice})"
    assert bid(long, POOR).error.startswith("InsufficientMargin(")
    assert long.state() == state
    long.deposit(ALICE, 20)
    assert bid(long, KEEPER).error == f"StillSolvent(value={50 * W},penalty={43_275 * W // 1000})"
    assert long.send(BOB, "liquidator", ex.encode_cancel_auction(alice)).error == (
        f"StillLiquidatable(equity={50 * W},maintenanceMargin={108_187_500 * W // 10**6})"
    )
    long.deposit(ALICE, 100)
    assert bid(long, KEEPER).error.startswith("NotLiquidatable(")
    assert long.send(BOB, "liquidator", ex.encode_cancel_auction(alice)).one("AuctionCancelled") == {"account": alice}
    assert long.send(BOB, "liquidator", ex.encode_cancel_auction(alice)).error == f"NoAuction(account={alice})"


def test_partial_liquidation_ends_an_auction_and_an_old_start_is_no_head_start(long: Venue) -> None:
    """A price that recovers leads back to the first rung; an auction nobody ended lapses after twice its time."""
    auctioned(long)
    at_price(long, 1790 * W)
    assert settled(long, long.liquidate(KEEPER, ALICE).one("Liquidated"), "stage") == (1,)
    assert long.of(ALICE).auction == 0
    at_price(long, 1700 * W)
    long.send(ALICE, "vault", ex.encode_withdraw(1))
    assert long.liquidate(KEEPER, ALICE).error == ""


def test_auction_nobody_bid_in_is_deleveraged_and_later_begins_anew(long: Venue) -> None:
    """LL5: after its time the position closes against who gained, here at the index since nothing is missing."""
    auctioned(long)
    at_price(long, 1731 * W, seconds=2 * DURATION)
    assert stage(long) == ex.STAGES["start-auction"]            # lapsed
    auctioned(long, 1731 * W)
    at_price(long, 1731 * W, seconds=DURATION)
    assert stage(long) == ex.STAGES["deleverage"]
    maker = long.of(MAKER)
    done = long.liquidate(POOR, ALICE)                           # needs no margin of its own: it takes nothing
    full = 43_275 * W // 1000
    assert settled(long, done.one("Liquidated")) == (full // 2, 30 * W - full // 2, 0, 0, 3)
    assert done.one("Deleveraged") == {
        "account": account(ALICE).address, "counterparty": account(MAKER).address, "seriesId": 1, "size": W,
        "price": 1731 * W, "cost": 0,
    }
    assert (long.of(MAKER).cash, long.of(MAKER).positions) == (maker.cash + 269 * W, ())


def test_loss_the_insurance_may_pay_is_paid_to_the_bidder_at_once(long: Venue) -> None:
    """Waterfall, first step: 31 of loss, half of 100 available in a block."""
    auctioned(long)
    at_price(long, 1670 * W)
    assert stage(long) == ex.STAGES["bid"]
    assert settled(long, bid(long, KEEPER).one("Liquidated")) == (0, 0, 31 * W, 0, 2)
    assert (long.of(ALICE).cash, long.state().totals.insurance) == (0, 69 * W)


def test_loss_beyond_the_insurance_is_deleveraged_at_once_at_the_bankruptcy_price(long: Venue) -> None:
    """Formula 11: 201 of loss: 50 insurance, 151 of the 500 the maker has won; nobody else pays, nothing is left."""
    at_price(long, 1500 * W)
    assert stage(long) == ex.STAGES["deleverage"]
    assert bid(long, KEEPER).error == f"NoAuction(account={account(ALICE).address})"
    maker, keeper = long.of(MAKER), long.of(KEEPER)
    done = long.liquidate(KEEPER, ALICE)
    assert settled(long, done.one("Liquidated")) == (0, 0, 50 * W, 0, 3)
    assert done.one("Deleveraged")["cost"] == 151 * W
    assert (long.of(ALICE).cash, long.of(ALICE).positions) == (0, ())
    assert long.of(MAKER).cash == maker.cash + 500 * W - 151 * W
    assert long.of(KEEPER) == keeper


REVERTS = "0x5f5ffd"


@pytest.mark.parametrize("way", ["partial", "auction", "deleveraged"])
def test_no_token_and_no_code_of_anybodys_can_stop_a_liquidation(long: Venue, way: str) -> None:
    """LL2: a token that pays nobody any more, a victim and counterparties that revert on every call, an empty book."""
    for address in (long.at["collateral_token"], account(ALICE).address, account(MAKER).address):
        long.client.call("anvil_setCode", address, REVERTS)
    if way == "auction":
        auctioned(long)
        at_price(long, 1731 * W, seconds=DURATION // 5)
        done = bid(long, KEEPER)
    else:
        at_price(long, 1800 * W if way == "partial" else 1500 * W)
        done = long.liquidate(KEEPER, ALICE)
    assert done.error == ""
    assert done.one("Liquidated")["stage"] == ["partial", "auction", "deleveraged"].index(way) + 1
    assert long.send(KEEPER, "vault", ex.encode_withdraw(1)).error != ""  # the token is as dead as it should be


def test_a_position_below_a_lot_is_liquidated_whole(market: Venue) -> None:
    """LL2, LL3: half a lot, a dollar of notional; nothing of it is left that nobody would take."""
    market.system()
    market.ok(ALICE, "vault", ex.encode_deposit(USD * 11 // 100))
    market.deposit(KEEPER, 100_000)
    assert market.trade(ALICE, 1, PARAMS.lot_wad // 2, 2000 * W).error == ""
    at_price(market, 1850 * W)
    done = market.liquidate(KEEPER, ALICE)
    assert done.one("PositionTransferred")["size"] == PARAMS.lot_wad // 2
    assert (market.of(ALICE).positions, market.state().conservation_gap()) == ((), 0)


def test_running_auction_whose_loss_outgrows_the_insurance_is_deleveraged(long: Venue) -> None:
    """A bid could not be paid, so it is refused by name, and liquidate goes on instead of reverting (LL2, X18)."""
    auctioned(long)
    at_price(long, 1500 * W)
    assert bid(long, KEEPER).error == f"BidNotCovered(loss={201 * W},available={50 * W})"
    assert long.liquidate(KEEPER, ALICE).one("Liquidated")["stage"] == 3


def crowd(market: Venue, price: int = 1500 * W) -> Venue:
    """Alice long 3 from 2000; shorts: Bob 1 from 1900 on 1000, Carol 1 from 1900 on 400, Dave 1 from 1600 on 400."""
    market.system()
    market.deposit(ALICE, 900)
    assert market.trade(ALICE, 1, 3 * W, 2000 * W).error == ""
    for who, cash, entry in ((BOB, 1000, 1900), (CAROL, 400, 1900), (DAVE, 400, 1600)):
        at_price(market, entry * W)
        market.deposit(who, cash)
        assert market.trade(who, 1, -W, entry * W).error == ""
    return at_price(market, price)


def test_winners_are_deleveraged_by_profit_times_leverage(market: Venue) -> None:
    """LL5: Carol (400 of profit on 799) before Bob (on 1399) and both before the maker, who is rich; Dave is a loser."""
    crowd(market)
    market.deposit(KEEPER, 100_000)
    done = market.liquidate(KEEPER, ALICE)
    given = [(e.args["counterparty"], e.args["size"]) for e in done.events if e.name == "Deleveraged"]
    names = {account(who).address: who for who in (MAKER, BOB, CAROL, DAVE)}
    assert [names[address] for address, _ in given][:2] == [CAROL, BOB]
    assert sum(size for _, size in given) == 3 * W
    loss = 3 * 500 * W - 897 * W
    costs = [e.args["cost"] for e in done.events if e.name == "Deleveraged"]
    liquidated = done.one("Liquidated")
    assert sum(costs) + liquidated["covered"] + liquidated["badDebt"] == loss
    assert market.state().conservation_gap() == 0
    for address, _ in given:
        assert market.of(names[address]).equity >= 0


def stranded(market: Venue) -> Venue:
    """Alice's counterparties won less than she lost: 100 won by Bob, 201 lost, 50 insured; 51 of deficit."""
    market.system()
    market.deposit(ALICE, 300)
    assert market.trade(ALICE, 1, W, 2000 * W).error == ""
    at_price(market, 1600 * W)
    market.deposit(BOB, 1_000)
    assert market.trade(BOB, 1, -W, 1600 * W).error == ""        # the maker is flat now
    at_price(market, 1500 * W)
    done = market.liquidate(KEEPER, ALICE)
    assert settled(market, done.one("Liquidated")) == (0, 0, 50 * W, 51 * W, 3)
    assert done.one("Deleveraged")["cost"] == 100 * W
    assert market.state().totals.deficit == 51 * W
    return market


def test_nobody_leaves_while_a_deficit_is_open_and_everybody_shares_it_in_the_end(market: Venue) -> None:
    """C6, C7: no withdrawal, then the rest of the insurance, then a haircut in proportion to equity, ceiled, exact."""
    stranded(market)
    market.deposit(CAROL, 7)
    assert market.send(CAROL, "vault", ex.encode_withdraw(1)).error == f"DeficitUncovered(deficit={51 * W})"
    assert market.send(CAROL, "liquidator", ex.encode_haircut()).error == f"InsuranceNotExhausted(insurance={50 * W})"
    covered = market.ok(CAROL, "vault", ex.encode_cover_deficit())
    assert covered.one("DeficitCovered") == {"amount": 50 * W, "remaining": W, "pool": 0}
    assert market.send(CAROL, "vault", ex.encode_cover_deficit()).error == f"NothingToCover(deficit={W},insurance=0)"
    state = market.state()
    equities = {a.address: a.equity for a in state.accounts if a.equity > 0}
    done = market.ok(CAROL, "liquidator", ex.encode_haircut())
    cuts = {e.args["account"]: e.args["amount"] for e in done.events if e.name == "Haircut"}
    assert done.one("DeficitSocialized") == {"amount": W, "remaining": 0, "pool": 0}
    assert sum(cuts.values()) == W
    assert cuts.keys() <= equities.keys()
    total = sum(equities.values())
    exact = {address: -(-W * equity // total) for address, equity in equities.items()}
    assert [cuts[a] for a in cuts][:-1] == [exact[a] for a in cuts][:-1]
    assert market.state().conservation_gap() == 0
    market.ok(CAROL, "vault", ex.encode_withdraw(1))
    assert market.send(CAROL, "liquidator", ex.encode_haircut()).error == "NoDeficit()"
    assert market.send(CAROL, "vault", ex.encode_cover_deficit()).error == "NothingToCover(deficit=0,insurance=0)"


def test_income_of_the_insurance_covers_the_deficit_first(market: Venue) -> None:
    """Whoever pays into the fund pays the missing money back before anything is put aside."""
    stranded(market)
    market.ok(OWNER, "vault", ex.encode_fund_insurance(60 * USD))
    totals = market.state().totals
    assert (totals.deficit, totals.insurance) == (0, 50 * W + 9 * W)
    assert market.state().conservation_gap() == 0


def test_a_block_draws_at_most_its_share_of_the_insurance(market: Venue) -> None:
    """Formula 11's cap: two losses in one block share one limit; in two blocks each has its own."""
    market.system()
    for who in (ALICE, BOB):
        market.deposit(who, 300)
        assert market.trade(who, 1, W, 2000 * W).error == ""
    market.deposit(KEEPER, 100_000)
    for who in (ALICE, BOB):
        at_price(market, 1731 * W)
        assert market.liquidate(KEEPER, who).error == ""
    at_price(market, 1660 * W)
    bids = [(KEEPER, "liquidator", ex.encode_bid(account(who).address)) for who in (ALICE, BOB)]
    first, second = market.together(*bids)                       # 41 of the 50 a block may draw; 9 are not 41
    assert settled(market, first.one("Liquidated"), "covered") == (41 * W,)
    assert second.error == "failed"
    assert bid(market, KEEPER, BOB).error == f"BidNotCovered(loss={41 * W},available={59 * W // 2})"
    done = market.liquidate(KEEPER, BOB)
    assert settled(market, done.one("Liquidated"), "covered", "badDebt") == (59 * W // 2, 0)
    assert done.one("Deleveraged")["cost"] == 41 * W - 59 * W // 2


def test_an_account_holds_at_most_so_many_series_and_the_worst_portfolio_fits_a_quarter_block(market: Venue) -> None:
    """LL6, measured; and the limit that makes it so, to the keeper as to the trader."""
    market.system()
    most = 32
    market.deposit(ALICE, 500_000)
    for _ in range(most):
        market.list_series("perpetual")
    first = 4
    for series in range(first, first + most):
        assert market.trade(ALICE, series, W, 2000 * W).error == ""
    refused = market.trade(ALICE, 1, W, 2000 * W).error
    assert refused == f"TooManyPositions(account={account(ALICE).address},max={most})"
    assert market.send(ALICE, "vault", ex.encode_withdraw((500_000 - 8_000) * USD)).error == ""
    market.deposit(KEEPER, 10_000_000)
    at_price(market, 1850 * W)
    partial = market.liquidate(KEEPER, ALICE)
    assert partial.one("Liquidated")["stage"] == 1
    at_price(market, 1000 * W)
    deleveraged = market.liquidate(KEEPER, ALICE)
    assert deleveraged.one("Liquidated")["stage"] == 3
    print(f"worst portfolio: partial {partial.gas}, deleveraged {deleveraged.gas}")
    assert max(partial.gas, deleveraged.gas) <= 30_000_000 // 4, (partial.gas, deleveraged.gas)
    assert market.state().conservation_gap() == 0
