"""The order book: price before time, who may take and rest, and what happens to orders that cannot trade any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness.evm.accounts import KEEPERS, MAKER, OWNER, account
from harness.venue import book
from harness.venue import exchange as ex
from harness.venue.book import MODES, Order
from tests.contracts.conftest import PARAMS, T0, USD, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL, DAVE = 100, 101, 102, 103
FUTURE, CALL, PUT = 1, 2, 3
TICK, LOT = W // 100, W // 1000
FOREVER = 2**64 - 1


def order(size: int, price: int, mode: str = "limit", *, series: int = FUTURE, deadline: int = FOREVER) -> Order:
    return Order(series, size, price, MODES[mode], deadline)


def place(venue: Venue, who: int, *args: Any, **more: Any) -> Outcome:
    return venue.send(who, "order_book", book.encode_place(order(*args, **more)))


def resting(venue: Venue, series: int = FUTURE) -> list[tuple[int, int]]:
    """(id, rest) of every open order, bids and then asks, best first."""
    found = book.decode_orders(venue.call("order_book", book.encode_orders(series)))
    return [(item.id, item.rest) for item in found]


def fills(outcome: Outcome) -> list[tuple[int, int, int]]:
    """(resting order, size, price) of each fill, in order."""
    assert outcome.error == ""
    return [
        (event.args["orderId"], event.args["size"], event.args["price"])
        for event in outcome.events if event.name == "OrderFilled"
    ]


def removals(outcome: Outcome) -> list[tuple[int, str, int]]:
    assert outcome.error == ""
    return [
        (event.args["orderId"], book.REASONS[event.args["reason"]], event.args["rest"])
        for event in outcome.events if event.name == "OrderRemoved"
    ]


@pytest.fixture
def desk(market: Venue) -> Iterator[Venue]:
    """The market with a book for each series and four traders of 100 000 dollars."""
    for series in (FUTURE, CALL, PUT):
        market.ok(OWNER, "order_book", book.encode_open_market(series, tick=TICK, lot=LOT))
    for who in (ALICE, BOB, CAROL, DAVE):
        market.deposit(who, 100_000)
    yield market
    assert market.state().conservation_gap() == 0   # C1, whatever was tried


def test_best_price_trades_first_and_at_one_price_the_oldest(desk: Venue) -> None:
    """Price-time priority is what a limit order is promised."""
    place(desk, ALICE, -W, 2002 * W)        # 1
    place(desk, BOB, -W, 2001 * W)          # 2
    place(desk, CAROL, -2 * W, 2001 * W)    # 3
    place(desk, ALICE, -W, 2001 * W)        # 4
    assert resting(desk) == [(2, -W), (3, -2 * W), (4, -W), (1, -W)]
    outcome = place(desk, DAVE, 9 * W // 2, 2002 * W)
    assert fills(outcome) == [(2, W, 2001 * W), (3, 2 * W, 2001 * W), (4, W, 2001 * W), (1, W // 2, 2002 * W)]
    assert resting(desk) == [(1, -W // 2)]
    (position,) = desk.of(DAVE).positions
    assert position.size == 9 * W // 2


def test_a_fill_is_a_trade_with_the_taker_paying_the_fee(desk: Venue) -> None:
    """Legs, fee and event are those of every trade, so one model of the money covers both ways of trading."""
    place(desk, ALICE, -W, 2001 * W)
    outcome = place(desk, BOB, W, 2001 * W, "ioc")
    fee = 2000 * W * PARAMS.taker_fee_bps // 10_000
    assert outcome.one("Traded") == {
        "seriesId": FUTURE, "taker": account(BOB).address, "maker": account(ALICE).address, "size": W,
        "price": 2001 * W, "nonce": book.FILL_NONCE + 1, "fee": fee,
    }
    assert desk.of(BOB).cash == 100_000 * W - fee
    assert desk.of(ALICE).cash == 100_000 * W


def test_only_a_limit_order_leaves_its_rest_in_the_book(desk: Venue) -> None:
    """Immediate-or-cancel and market orders say what they dropped."""
    place(desk, ALICE, -W, 2001 * W)
    assert removals(place(desk, BOB, 2 * W, 2001 * W, "ioc")) == [(2, "dropped", W)]
    place(desk, ALICE, -W, 2150 * W)
    assert fills(taken := place(desk, BOB, 3 * W, 0, "market")) == [(3, W, 2150 * W)]
    assert removals(taken) == [(4, "dropped", 2 * W)]
    place(desk, BOB, 3 * W, 1990 * W)
    assert resting(desk) == [(5, 3 * W)]


def test_post_only_never_takes(desk: Venue) -> None:
    """A maker would rather not trade than pay the taker's fee: at a crossing price it is refused, one tick below it rests."""
    place(desk, ALICE, -W, 2001 * W)
    refused = place(desk, BOB, W, 2001 * W, "post-only")
    assert refused.error == f"WouldCross(price={2001 * W},best={2001 * W})"
    assert place(desk, BOB, W, 2001 * W - TICK, "post-only").error == ""
    assert resting(desk) == [(2, W), (1, -W)]


def test_a_turn_of_a_maker_survives_orders_that_are_gone_or_would_cross(desk: Venue) -> None:
    """Requoting in one transaction must not leave stale orders behind because one of them was filled a moment ago."""
    place(desk, ALICE, -W, 2001 * W)    # 1
    place(desk, BOB, -W, 2003 * W)      # 2, not Alice's
    place(desk, DAVE, W, 2001 * W)      # 3 takes 1
    turn = book.encode_update([1, 2, 77], [order(W, 2003 * W, "post-only"), order(-W, 2002 * W, "post-only")])
    outcome = desk.ok(ALICE, "order_book", turn)
    assert removals(outcome) == [(4, "dropped", W)]
    assert resting(desk) == [(5, -W), (2, -W)]
    outcome = desk.ok(ALICE, "order_book", book.encode_update([5], []))
    assert removals(outcome) == [(5, "cancelled", -W)]


def test_nobody_trades_with_itself(desk: Venue) -> None:
    """The older order goes, the newer one takes what others offer; wash trades would set a perpetual's premium."""
    place(desk, ALICE, -W, 2001 * W)    # 1
    place(desk, BOB, -W, 2001 * W)      # 2
    outcome = place(desk, ALICE, W, 2001 * W)
    assert removals(outcome) == [(1, "self-trade", -W)]
    assert fills(outcome) == [(2, W, 2001 * W)]


def test_an_order_is_not_matched_after_its_deadline(desk: Venue) -> None:
    """At the deadline it is, a second later it goes and does not stand in the way of those behind it."""
    place(desk, ALICE, -W, 2001 * W, deadline=desk.now)
    place(desk, ALICE, -W, 2001 * W, deadline=desk.now)
    place(desk, BOB, -W, 2002 * W)
    assert fills(place(desk, CAROL, W, 2002 * W)) == [(1, W, 2001 * W)]
    desk.now += 1
    outcome = place(desk, CAROL, W, 2002 * W)
    assert removals(outcome) == [(2, "expired", -W)]
    assert fills(outcome) == [(3, W, 2002 * W)]


def test_a_stale_price_far_from_the_index_is_removed_not_traded(desk: Venue) -> None:
    """The band protects a maker that sleeps; a bid far below the index just waits."""
    place(desk, ALICE, -W, 2001 * W)    # 1
    place(desk, BOB, -W, 2190 * W)      # 2
    place(desk, CAROL, W, 1500 * W)     # 3
    desk.now += 1
    desk.observe(2300 * W)
    outcome = place(desk, DAVE, 2 * W, 2300 * W)
    assert removals(outcome) == [(1, "band", -W)]
    assert fills(outcome) == [(2, W, 2190 * W)]
    assert resting(desk) == [(4, W), (3, W)]


@pytest.mark.parametrize(
    ("size", "price", "series", "worst"),
    [(W, 2200 * W, FUTURE, 2200 * W), (-W, 1800 * W, FUTURE, 1800 * W), (W, 2000 * W, CALL, 2000 * W), (W, 2000 * W, PUT, 2000 * W)],
)
def test_an_order_may_reach_the_worst_price_and_not_a_tick_further(
    desk: Venue, size: int, price: int, series: int, worst: int
) -> None:
    """So nothing it crosses is beyond what a trade allows, and the book is never left crossed."""
    beyond = price + TICK * (1 if size > 0 else -1)
    assert place(desk, ALICE, size, beyond, series=series).error == f"PriceBeyondBand(price={beyond},worst={worst})"
    assert place(desk, ALICE, size, price, series=series).error == ""


def test_the_order_of_a_maker_that_cannot_afford_it_makes_room(desk: Venue) -> None:
    """One broke maker at the best price must not stop the market, and its position must not move."""
    place(desk, ALICE, -W, 2000 * W)        # 1
    place(desk, BOB, -W, 2001 * W)          # 2
    desk.ok(ALICE, "vault", ex.encode_withdraw(99_801 * USD))
    outcome = place(desk, CAROL, W, 2001 * W)
    assert removals(outcome) == [(1, "margin", -W)]
    assert fills(outcome) == [(2, W, 2001 * W)]
    assert desk.of(ALICE).positions == ()


def test_margin_of_the_maker_is_judged_to_the_wei_at_the_fill(desk: Venue) -> None:
    """With exactly the initial margin it trades; a native unit less and its order goes."""
    place(desk, ALICE, -W, 2000 * W)
    place(desk, BOB, -W, 2000 * W)
    desk.ok(ALICE, "vault", ex.encode_withdraw(99_800 * USD))
    desk.ok(BOB, "vault", ex.encode_withdraw(99_800 * USD + 1))
    outcome = place(desk, CAROL, 2 * W, 2000 * W)
    assert fills(outcome) == [(1, W, 2000 * W)]
    assert removals(outcome) == [(2, "margin", -W)]


def test_a_taker_without_margin_changes_nothing(desk: Venue) -> None:
    """Everything it began reverts, the removals of others' dead orders included."""
    place(desk, ALICE, -W, 2000 * W)
    place(desk, BOB, -99 * W, 2000 * W)
    desk.ok(CAROL, "vault", ex.encode_withdraw(99_000 * USD))
    assert place(desk, CAROL, 99 * W, 2000 * W).error.startswith("InsufficientMargin(equity=")
    assert resting(desk) == [(1, -W), (2, -99 * W)]
    assert desk.of(CAROL).positions == ()


def test_who_could_open_nothing_fills_no_book(desk: Venue) -> None:
    """Without this an empty account could bury the book under orders that only cost their takers gas."""
    outcome = place(desk, KEEPERS[1], W, 1990 * W)
    assert removals(outcome) == [(1, "margin", W)]
    assert resting(desk) == []


def test_one_order_takes_a_bounded_number_of_steps_and_leaves_no_crossed_book(desk: Venue) -> None:
    """Its gas is bounded whatever rests there; what would still cross is dropped."""
    for _ in range(26):
        place(desk, ALICE, -LOT, 2000 * W)
    outcome = place(desk, BOB, W, 2001 * W)
    assert len(fills(outcome)) == 24
    assert removals(outcome) == [(27, "steps", W - 24 * LOT)]
    assert len(resting(desk)) == 2
    assert outcome.gas < 7_500_000      # a quarter of a block


def test_an_account_has_at_most_64_orders(desk: Venue) -> None:
    """And the count falls when one is filled, cancelled or removed."""
    for first in (0, 32):
        turn = [order(-LOT, 2001 * W + (first + i) * TICK) for i in range(32)]
        desk.ok(ALICE, "order_book", book.encode_update([], turn))
    full = place(desk, ALICE, -LOT, 2100 * W)
    assert full.error == f"TooManyOrders(account={account(ALICE).address},max=64)"
    desk.ok(ALICE, "order_book", book.encode_cancel(1))
    place(desk, BOB, LOT, 2100 * W)
    assert desk.ask("order_book", "openOrders", account(ALICE).address) == (62,)
    assert place(desk, ALICE, -LOT, 2100 * W).error == ""


def test_open_orders_never_stand_in_the_way_of_liquidation_or_withdrawal(desk: Venue) -> None:
    """X19: a liquidator that had to cancel first could be held up for ever. What is left of the order is harmless."""
    desk.ok(ALICE, "vault", ex.encode_withdraw(99_750 * USD))
    assert desk.trade(ALICE, FUTURE, W, 2000 * W).error == ""
    for i in range(40):
        desk.ok(ALICE, "order_book", book.encode_place(order(W, 1700 * W + i * TICK)))
    desk.deposit(KEEPERS[0], 100_000)
    desk.now += 1
    desk.observe(1850 * W)
    outcome = desk.liquidate(KEEPERS[0], ALICE)
    assert outcome.error == ""
    assert len(resting(desk)) == 40
    desk.now += 1
    desk.observe(1720 * W)
    taken = place(desk, BOB, -2 * W, 1700 * W)
    assert {reason for _, reason, _ in removals(taken)} == {"margin", "steps"}   # nobody is forced back into a position


def test_cancelling_is_always_possible_and_only_ones_own(desk: Venue) -> None:
    """After expiry too; the errors name the order and its owner."""
    place(desk, ALICE, -W, 2001 * W)
    cancel = book.encode_cancel(1)
    owner = account(ALICE).address
    assert desk.send(BOB, "order_book", cancel).error == f"NotYourOrder(orderId=1,account={owner})"
    assert desk.send(BOB, "order_book", book.encode_cancel(2)).error == "NoOrder(orderId=2)"
    desk.now = T0 + 3_600
    assert place(desk, BOB, W, 2001 * W).error == f"SeriesExpired(id={FUTURE},expiry={T0 + 3_600})"
    assert removals(desk.ok(ALICE, "order_book", cancel)) == [(1, "cancelled", -W)]
    assert desk.send(ALICE, "order_book", cancel).error == "NoOrder(orderId=1)"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"series_id": 9}, "NoMarket(seriesId=9)"),
        ({"mode": 4}, "UnknownMode(mode=4)"),
        ({"size": 0}, f"SizeOffLot(size=0,lot={LOT})"),
        ({"size": LOT + 1}, f"SizeOffLot(size={LOT + 1},lot={LOT})"),
        ({"size": LOT * 2**96}, f"SizeOffLot(size={LOT * 2**96},lot={LOT})"),
        ({"size": -(2**255)}, f"SizeOffLot(size={-2**255},lot={LOT})"),
        ({"price": 2000 * W + 1}, f"PriceOffTick(price={2000 * W + 1},tick={TICK})"),
        ({"price": -TICK, "series_id": CALL}, f"PriceOffTick(price={-TICK},tick={TICK})"),
        ({"mode": 3}, f"PriceOffTick(price={2000 * W},tick={TICK})"),
        ({"price": TICK * 2**96}, f"PriceOffTick(price={TICK * 2**96},tick={TICK})"),
        ({"deadline": T0 - 1}, f"OrderExpired(deadline={T0 - 1},blockTimestamp={T0})"),
    ],
)
def test_a_malformed_order_is_refused_with_its_value(desk: Venue, changes: dict[str, int], error: str) -> None:
    """Zero, dust, extremes, another's grid: the documented error and no order."""
    assert desk.now == T0
    asked = replace(order(W, 2000 * W), **changes)
    assert desk.send(ALICE, "order_book", book.encode_place(asked)).error == error
    assert resting(desk) == []
    assert desk.ask("order_book", "lastOrderId") == (0,)


def test_a_stale_index_stops_orders(desk: Venue) -> None:
    """O1: nothing is matched against a price nobody stands behind."""
    desk.now += PARAMS.max_price_age_s + 1
    assert place(desk, ALICE, W, 2000 * W).error.startswith("StalePrice(asset=ETH")


def test_only_the_owner_opens_a_book_and_only_once(desk: Venue) -> None:
    """And only the book reports fills."""
    again = book.encode_open_market(FUTURE, tick=TICK, lot=LOT)
    assert desk.send(OWNER, "order_book", again).error == f"MarketExists(seriesId={FUTURE})"
    stranger = account(ALICE).address
    assert desk.send(ALICE, "order_book", again).error == f"OwnableUnauthorizedAccount(account={stranger})"
    assert desk.send(OWNER, "order_book", book.encode_open_market(4, tick=1, lot=0)).error == "TickOrLotIsZero(tick=1,lot=0)"
    assert desk.send(OWNER, "order_book", book.encode_open_market(4, tick=1, lot=1)).error == "UnknownSeries(id=4)"
    fill = desk.raw("clearing_house", "tradeFromBook", stranger, account(BOB).address, FUTURE, W, 2000 * W, 2**255)
    assert desk.send(ALICE, "clearing_house", fill).error == f"NotOrderBook(caller={stranger})"


def test_a_signed_quote_cannot_pose_as_a_fill(desk: Venue) -> None:
    """The two kinds of trade are told apart by their nonce."""
    quote = desk.quote(FUTURE, W, 2000 * W, nonce=2**255)
    taken = desk.send(ALICE, "clearing_house", ex.encode_trade(quote, desk.sign(quote, MAKER), W))
    assert taken.error == f"NonceReserved(nonce={2**255})"
