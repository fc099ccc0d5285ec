"""LS3: what liquidates an account was observed after its last move, and nobody who could be liquidated can move."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.evm.accounts import KEEPERS, MAKER, OWNER, account
from harness.venue import book
from harness.venue import exchange as ex
from harness.venue.book import MODES, Order, encode_cancel, encode_open_market, encode_place
from harness.venue.pools import (
    account_of,
    encode_deposit_coin,
    encode_move_collateral,
    encode_open_coin_pool,
    encode_withdraw_coin,
)
from tests.contracts.conftest import EVERYONE, PARAMS, T0, USD, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL, DAVE = 100, 101, 102, 103
KEEPER, POOR = KEEPERS[0], KEEPERS[1]
FUTURE, POOLED, INVERSE, PERPETUAL = 1, 4, 5, 6
CROSS, POOL, COINS = 0, 1, 2
FOREVER = 2**64 - 1

Who = tuple[int, int]
"""An owner, and the pool of the account in question."""


@pytest.fixture
def desk(market: Venue) -> Venue:
    """The market with a book, an isolated pool, a coin pool of ETH and a perpetual. Alice is long 1 future at 2000 on 599 and
    has 300 in the isolated pool and 10 coins in the other, Bob is long 1 on 299, Carol is rich, as are keeper and maker."""
    market.system()
    market.ok(OWNER, "clearing_house", ex.encode_list_series_with(0, "ETH", 0, T0 + 3_600, (0, POOL, 0, 0, 0)))
    market.ok(OWNER, "vault", encode_open_coin_pool(COINS, market.at["spot_token"], "ETH"))
    market.ok(OWNER, "clearing_house", ex.encode_list_series_with(4, "ETH", 0, T0 + 3_600, (0, COINS, 0, 0, 0)))
    market.list_series("perpetual")
    market.ok(OWNER, "order_book", encode_open_market(FUTURE, tick=W // 100, lot=PARAMS.lot_wad))
    for who, dollars in ((ALICE, 900), (BOB, 300), (CAROL, 100_000), (KEEPER, 100_000)):
        market.deposit(who, dollars)
    for who, dollars in ((ALICE, 300), (CAROL, 10_000), (MAKER, 10_000)):
        market.ok(who, "vault", encode_move_collateral(CROSS, POOL, dollars * USD))
    for who in (ALICE, CAROL):
        market.ok(who, "vault", encode_deposit_coin(COINS, 10 * W))
    for who in (ALICE, BOB):
        assert market.trade(who, FUTURE, W, 2000 * W).error == ""
    return passed(market, 2)


def passed(venue: Venue, seconds: int, price: int | None = None) -> Venue:
    """The chain lives on, and the price is `price` at the end."""
    venue.live(seconds)
    if price is not None:
        venue.observe(price * W)
    return venue


def address(who: Who) -> str:
    return account_of(account(who[0]).address, who[1])


def moves(venue: Venue) -> dict[str, int]:
    """When each account of everybody last moved; the lens says what the clearing house does."""
    addresses = [address((who, pool)) for who in EVERYONE for pool in (CROSS, POOL, COINS)]
    seen = ex.decode_state(venue.call("lens", ex.encode_state(addresses, ("ETH",))))
    assert [venue.ask("clearing_house", "movedAt", item) for item in addresses] == [(a.moved_at,) for a in seen.accounts]
    return {item.address: item.moved_at for item in seen.accounts}


def place(venue: Venue, who: int, size: int, price: int, mode: str = "limit") -> Outcome:
    return venue.send(who, "order_book", encode_place(Order(FUTURE, size, price * W, MODES[mode], FOREVER)))


def bid(venue: Venue, who: int, victim: int) -> Outcome:
    return venue.send(who, "liquidator", ex.encode_bid(account(victim).address))


def moving(venue: Venue, who: int, source: int, target: int, amount: int) -> Outcome:
    return venue.send(who, "vault", encode_move_collateral(source, target, amount))


# What is a move, and whose.


def taken_quote(venue: Venue) -> Outcome:
    return venue.trade(ALICE, FUTURE, W // 10, 2000 * W, maker=CAROL)


def reduced(venue: Venue) -> Outcome:
    return venue.trade(ALICE, FUTURE, -W // 10, 2000 * W, maker=CAROL)


def closed(venue: Venue) -> Outcome:
    return venue.trade(ALICE, FUTURE, -W, 2000 * W, maker=CAROL)


def signed_quote(venue: Venue) -> Outcome:
    return venue.trade(CAROL, FUTURE, W // 10, 2000 * W, maker=ALICE)


def in_the_pool(venue: Venue) -> Outcome:
    return venue.trade(ALICE, POOLED, W // 10, 2000 * W, maker=CAROL)


def taken_order(venue: Venue) -> Outcome:
    assert place(venue, CAROL, -W, 2001).error == ""
    venue.now += 1
    return place(venue, ALICE, W // 10, 2001, "ioc")


def filled_order(venue: Venue) -> Outcome:
    assert place(venue, ALICE, -W // 10, 2001).error == ""
    venue.now += 1
    return place(venue, CAROL, W // 10, 2001, "ioc")


def swept_book(venue: Venue) -> Outcome:
    """One order, two makers."""
    assert place(venue, ALICE, -W // 10, 2001).error == ""
    assert place(venue, MAKER, -W, 2002).error == ""
    venue.now += 1
    return place(venue, CAROL, W // 2, 2002, "ioc")


def withdrawn_unit(venue: Venue) -> Outcome:
    return venue.send(ALICE, "vault", ex.encode_withdraw(1))


def withdrawn_nothing(venue: Venue) -> Outcome:
    return venue.send(ALICE, "vault", ex.encode_withdraw(0))


def moved_unit(venue: Venue) -> Outcome:
    return moving(venue, ALICE, CROSS, POOL, 1)


def moved_back(venue: Venue) -> Outcome:
    return moving(venue, ALICE, POOL, CROSS, 0)


def withdrawn_wei(venue: Venue) -> Outcome:
    return venue.send(ALICE, "vault", encode_withdraw_coin(COINS, 1))


def taken_over(venue: Venue) -> Outcome:
    """Bob is below his margin, and the keeper takes part of what he has."""
    passed(venue, 1, 1800)
    return venue.liquidate(KEEPER, BOB)


def bought_at_auction(venue: Venue) -> Outcome:
    passed(venue, 1, 1731)
    assert venue.liquidate(KEEPER, BOB).one("AuctionStarted")
    passed(venue, 5, 1731)
    return bid(venue, CAROL, BOB)


def reduced_below_margin(venue: Venue) -> Outcome:
    """Bob has less than his initial margin after it, too: only the second half of rule 3.9 lets him."""
    passed(venue, 1, 1805)
    done = venue.trade(BOB, FUTURE, -W // 100, 1805 * W)
    assert 0 < venue.of(BOB).equity < venue.of(BOB).im
    return done


MOVES: Sequence[tuple[Callable[[Venue], Outcome], tuple[Who, ...]]] = [
    (taken_quote, ((ALICE, CROSS), (CAROL, CROSS))),
    (reduced, ((ALICE, CROSS), (CAROL, CROSS))),
    (closed, ((ALICE, CROSS), (CAROL, CROSS))),
    (signed_quote, ((ALICE, CROSS), (CAROL, CROSS))),
    (in_the_pool, ((ALICE, POOL), (CAROL, POOL))),
    (taken_order, ((ALICE, CROSS), (CAROL, CROSS))),
    (filled_order, ((ALICE, CROSS), (CAROL, CROSS))),
    (swept_book, ((ALICE, CROSS), (CAROL, CROSS), (MAKER, CROSS))),
    (withdrawn_unit, ((ALICE, CROSS),)),
    (withdrawn_nothing, ((ALICE, CROSS),)),
    (moved_unit, ((ALICE, CROSS),)),
    (moved_back, ((ALICE, POOL),)),
    (withdrawn_wei, ((ALICE, COINS),)),
    (taken_over, ((KEEPER, CROSS),)),
    (bought_at_auction, ((CAROL, CROSS),)),
    (reduced_below_margin, ((MAKER, CROSS),)),
]


@pytest.mark.parametrize(("move", "who"), MOVES, ids=lambda item: getattr(item, "__name__", ""))
def test_a_move_is_remembered_of_those_who_made_it_and_of_nobody_else(
    desk: Venue, move: Callable[[Venue], Outcome], who: tuple[Who, ...]
) -> None:
    """Taker and maker, by quote and book; the account that collateral leaves; the keeper with what it took."""
    before = moves(desk)
    assert move(desk).error == ""
    assert desk.now > max(before.values())
    assert moves(desk) == before | {address(item): desk.now for item in who}


def test_what_nobody_can_be_made_to_give_up_moves_the_keeper_that_takes_it(desk: Venue) -> None:
    """Bob's loss is beyond the insurance, and whoever is against him has won nothing: the keeper has it all, at the index."""
    passed(desk, 1, 1500)
    assert desk.trade(CAROL, FUTURE, -2 * W, 1400 * W).error == ""      # the maker is out of it
    passed(desk, 1, 1500)
    before = moves(desk)
    done = desk.liquidate(KEEPER, BOB)
    assert (done.one("Liquidated")["stage"], done.one("PositionTransferred")["size"]) == (3, W)
    assert moves(desk) == before | {account(KEEPER).address: desk.now}


# What is none.


def deposited(venue: Venue) -> Outcome:
    venue.ok(ALICE, "vault", encode_deposit_coin(COINS, 1))
    return venue.send(ALICE, "vault", ex.encode_deposit(USD))


def insured(venue: Venue) -> Outcome:
    return venue.send(ALICE, "vault", ex.encode_fund_insurance(USD))


def rested_and_cancelled(venue: Venue) -> Outcome:
    assert place(venue, ALICE, -W // 10, 2050).error == ""
    return venue.send(ALICE, "order_book", encode_cancel(1))


def began_auction(venue: Venue) -> Outcome:
    passed(venue, 1, 1731)
    done = venue.liquidate(KEEPER, BOB)
    assert done.one("AuctionStarted")
    return done


def cancelled_auction(venue: Venue) -> Outcome:
    assert began_auction(venue).error == ""
    venue.deposit(BOB, 1_000)
    return venue.send(ALICE, "liquidator", ex.encode_cancel_auction(account(BOB).address))


def deleveraged(venue: Venue) -> Outcome:
    """Bob's loss is beyond the insurance; the maker, who won, has it all back, and nobody takes anything over."""
    passed(venue, 1, 1500)
    done = venue.liquidate(POOR, BOB)
    assert done.one("Deleveraged")["counterparty"] == account(MAKER).address
    return done


def settled(venue: Venue) -> Outcome:
    while venue.now < T0 + 3_600:
        passed(venue, min(15, T0 + 3_600 - venue.now), 2000)
    assert venue.finalize(FUTURE).error == ""
    return venue.settle(ALICE, FUTURE)


def cannot_trade(venue: Venue) -> Outcome:
    """Refused for the taker after both had moved: nothing of it is left."""
    assert venue.trade(ALICE, FUTURE, 100 * W, 2000 * W, maker=CAROL).error.startswith("InsufficientMargin(")
    assert venue.trade(CAROL, FUTURE, 100 * W, 2000 * W, maker=ALICE).error.startswith("InsufficientMargin(")
    return insured(venue)


def cannot_fill(venue: Venue) -> Outcome:
    """Alice's order is more than she can trade: it leaves the book, and neither she nor whoever met it has moved."""
    assert place(venue, ALICE, -100 * W, 2001).error == ""
    venue.now += 1
    done = place(venue, CAROL, 100 * W, 2001, "ioc")
    assert [book.REASONS[e.args["reason"]] for e in done.events if e.name == "OrderRemoved"] == ["margin", "dropped"]
    return done


def cannot_withdraw(venue: Venue) -> Outcome:
    assert venue.send(ALICE, "vault", ex.encode_withdraw(500 * USD)).error.startswith("InsufficientMargin(")
    assert moving(venue, ALICE, CROSS, POOL, 500 * USD).error.startswith("InsufficientMargin(")
    return insured(venue)


def cannot_take_over(venue: Venue) -> Outcome:
    passed(venue, 1, 1800)
    assert venue.liquidate(POOR, BOB).error.startswith("InsufficientMargin(")
    return insured(venue)


@pytest.mark.parametrize(
    "act",
    [deposited, insured, rested_and_cancelled, began_auction, cancelled_auction, deleveraged, settled, cannot_trade,
     cannot_fill, cannot_withdraw, cannot_take_over],
    ids=lambda item: str(item.__name__),
)  # fmt: skip
def test_nothing_else_is_a_move(desk: Venue, act: Callable[[Venue], Outcome]) -> None:
    """Collateral that comes, what a liquidation does to its account and to who traded against it, settlement, orders that
    only rest, and whatever reverts."""
    before = moves(desk)
    assert act(desk).error == ""
    assert moves(desk) == before


def test_funding_is_no_move(desk: Venue) -> None:
    """It is owed whether or not one does anything."""
    assert desk.trade(CAROL, PERPETUAL, W, 2010 * W).error == ""
    for _ in range(2):
        passed(desk, PARAMS.premium_window_s, 2000)
        assert desk.send(BOB, "perpetuals", ex.encode_accrue(PERPETUAL)).error == ""
    before = moves(desk)
    passed(desk, 1, 2000)
    done = desk.send(BOB, "clearing_house", ex.encode_settle_funding(account(CAROL).address, PERPETUAL))
    assert done.one("FundingSettled")["cashDelta"] < 0
    assert moves(desk) == before


def test_a_haircut_is_no_move(desk: Venue) -> None:
    """Everybody's loss, and nobody's doing."""
    passed(desk, 1, 1600)
    assert desk.trade(CAROL, FUTURE, -2 * W, 1600 * W).error == ""      # the maker's winnings are in its cash now
    passed(desk, 1, 1500)
    assert desk.liquidate(KEEPER, BOB).one("Liquidated")["badDebt"] > 0
    desk.ok(CAROL, "vault", ex.encode_cover_deficit())
    before = moves(desk)
    assert [e.name for e in desk.ok(BOB, "liquidator", ex.encode_haircut()).events][-1] == "DeficitSocialized"
    assert moves(desk) == before


# What it is for.


def backdated(venue: Venue, price: int, at: int) -> None:
    """A round that was observed at `at`, and kept back until now."""
    venue.ok(CAROL, "price_feed", venue.round(price * W, timestamp=at))


def withdrawing(venue: Venue) -> int:
    venue.ok(BOB, "vault", ex.encode_withdraw(1))
    return venue.now


def trading(venue: Venue) -> int:
    assert venue.trade(BOB, FUTURE, W // 1000, 2000 * W).error == ""
    return venue.now


@pytest.mark.parametrize("move", [withdrawing, trading], ids=lambda item: str(item.__name__))
def test_a_round_observed_no_later_than_the_move_liquidates_nobody(desk: Venue, move: Callable[[Venue], int]) -> None:
    """The second before it and the second of it do not count, the one after does; lens, stage and step all say so."""
    bob = account(BOB).address
    at = move(desk)
    passed(desk, 5)
    for second in (at - 1, at):
        backdated(desk, 1800, second)
        assert desk.of(BOB).equity < desk.of(BOB).mm
        assert desk.liquidate(KEEPER, BOB).error == f"PriceBeforeMove(asset=ETH,timestamp={second},movedAt={at})"
        assert not desk.liquidatable(BOB)
        assert ex.decode_stages(desk.call("lens", ex.encode_stages([bob]))) == (ex.STAGES["nothing"],)
    backdated(desk, 1800, at + 1)
    assert desk.liquidatable(BOB)
    assert desk.liquidate(KEEPER, BOB).one("Liquidated")["stage"] == 1


def test_a_bid_needs_a_price_from_after_the_move_too(desk: Venue) -> None:
    """Bob's auction runs; he pays in enough to move again, and what was observed before does not bring the bid back."""
    passed(desk, 1, 1731)
    assert desk.liquidate(KEEPER, BOB).one("AuctionStarted")
    desk.deposit(BOB, 200)
    desk.now += 2
    at = withdrawing(desk)
    desk.now += 1
    backdated(desk, 1530, at)
    assert bid(desk, KEEPER, BOB).error == f"PriceBeforeMove(asset=ETH,timestamp={at},movedAt={at})"
    backdated(desk, 1530, at + 1)
    assert bid(desk, KEEPER, BOB).one("Liquidated")["stage"] == 2


def test_every_asset_an_account_holds_needs_a_round_from_after_its_move(desk: Venue) -> None:
    """Of two prices the older one is the one that was shopped for."""
    desk.observe(10_000 * W, "BTC")
    coin = desk.list_series("future", asset="BTC")
    desk.deposit(BOB, 100)
    assert desk.trade(BOB, coin, W // 100, 10_000 * W).error == ""
    at = desk.now
    desk.now += 2
    backdated(desk, 1700, at + 1)
    assert desk.liquidate(KEEPER, BOB).error == f"PriceBeforeMove(asset=BTC,timestamp={at},movedAt={at})"
    desk.observe(10_000 * W, "BTC")
    assert desk.liquidate(KEEPER, BOB).error == ""


@pytest.mark.parametrize("price", [1805, 1800, 1740, 1700, 1500])
def test_who_is_below_initial_margin_cannot_put_a_liquidation_off_by_moving(desk: Venue, price: int) -> None:
    """Whatever it tries, from just below initial margin to hopeless, of every way there is; then it is liquidated."""
    before = moves(desk)
    passed(desk, 1, price)
    bob = desk.of(BOB)
    assert bob.equity < bob.im
    desk.ok(BOB, "vault", ex.encode_deposit(0))
    for refused in (
        desk.send(BOB, "vault", ex.encode_withdraw(0)),
        desk.send(BOB, "vault", ex.encode_withdraw(1)),
        moving(desk, BOB, CROSS, POOL, 0),
        desk.trade(BOB, FUTURE, 1, price * W),
        desk.trade(CAROL, FUTURE, -1, price * W, maker=BOB),
        desk.trade(BOB, 2, 1, 0),               # a call for nothing: it asks for no margin
    ):
        assert refused.error.startswith("InsufficientMargin("), refused.error
    for tolerated in (                          # where there is equity left whose ratio does not fall
        desk.trade(BOB, FUTURE, -W // 1000, price * W),
        desk.trade(CAROL, FUTURE, W // 1000, price * W, maker=BOB),
    ):
        assert (tolerated.error == "") == (bob.equity > 0)
    assert place(desk, BOB, W // 10, price).error == ""
    assert moves(desk)[account(BOB).address] == before[account(BOB).address]
    if price > 1800:                            # he is between his two margins
        desk.now += 1
        backdated(desk, 1790, desk.now)
    assert desk.liquidate(KEEPER, BOB).error == ""


def test_moving_in_every_block_delays_a_liquidation_by_one_round_at_most(desk: Venue) -> None:
    """A round that comes late finds Bob moved since, but then he is below, cannot move any more, and the next one counts."""
    for _ in range(3):
        at = withdrawing(desk)
        desk.now += 1
    backdated(desk, 1800, at)
    assert desk.liquidate(KEEPER, BOB).error.startswith("PriceBeforeMove(")
    assert desk.send(BOB, "vault", ex.encode_withdraw(1)).error.startswith("InsufficientMargin(")
    desk.now += 1
    desk.observe(1800 * W)
    assert desk.liquidate(KEEPER, BOB).error == ""
