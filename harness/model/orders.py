"""The order book replayed: which order meets which, in which order, is computed; what was told is compared with it.

A placed order is held until the next one, or the end of the transaction, and every event between must be the step that
the rules demand. Money moves by the fill's own `Traded`, which comes before its `OrderFilled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model import matching, trading
from harness.model.book import Book, Series
from harness.model.context import Context
from harness.model.facts import Facts
from harness.model.margin import may_move
from harness.model.matching import Band, Do, Incoming, Market, Order, Step

BOOK_NONCE = 1 << 255
"""From here on a trade's nonce says that it is a fill, and which."""

SIZE_END = 1 << 96
POSITIONS_MAX = 32


def market_opened(context: Context, args: Mapping[str, Any]) -> None:
    orders = context.book.orders
    if context.series(args["seriesId"], "MarketOpened") is None:
        return
    if args["seriesId"] in orders.markets or args["tick"] <= 0 or args["lot"] <= 0:
        context.differ("MarketOpened", "a new market, steps above zero", [args["seriesId"], args["tick"], args["lot"]])
        return
    context.expect("MarketOpened.seriesId's pool", 0, context.book.series[args["seriesId"]].pool)
    orders.markets[args["seriesId"]] = Market(args["tick"], args["lot"])


def order_placed(context: Context, args: Mapping[str, Any]) -> None:
    _finish(context)
    book, orders = context.book, context.book.orders
    orders.placed += 1
    context.expect("OrderPlaced.orderId", orders.placed, args["orderId"])
    series = context.series(args["seriesId"], "OrderPlaced")
    market = orders.markets.get(args["seriesId"])
    if series is None or market is None:
        context.differ("OrderPlaced.seriesId", "a series with a market", args["seriesId"])
        return
    size, price, mode = args["size"], args["price"], args["mode"]
    worst = band_of(book, series)
    limit = price
    if mode == matching.MARKET:
        limit = worst.buy if size > 0 else worst.sell
    _may_place(context, series, market, args, worst)
    order = Order(orders.placed, args["account"], series.id, size, price, args["deadline"])
    context.incoming = Incoming(order, mode, limit, size > 0)


def _may_place(
    context: Context, series: Series, market: Market, args: Mapping[str, Any], worst: Band
) -> None:
    book, size, price, mode = context.book, args["size"], args["price"], args["mode"]

    def need(rule: str, holds: bool, got: Any) -> None:
        if not holds:
            context.differ(f"OrderPlaced.{rule}", "as the rules demand", got)

    need("mode", 0 <= mode <= matching.MARKET, mode)
    need("timestamp", book.now < series.expiry, book.now)
    need("deadline", book.now <= args["deadline"], args["deadline"])
    need("size", size != 0 and size % market.lot == 0 and abs(size) < SIZE_END, size)
    if mode == matching.MARKET:
        need("price", price == 0, price)
    else:
        need("price", price % market.tick == 0 and abs(price) < SIZE_END, price)
        need("price", not series.is_option or price >= 0, price)
        need("band", price <= worst.buy if size > 0 else price >= worst.sell, [price, *worst])
    latest, age = series.feed.latest, book.oldest_age(args["account"])
    limit = book.params.max_price_age_s
    need("price age", latest is not None and book.now - latest.timestamp <= limit, latest and latest.timestamp)
    need("account's price age", age is not None and age <= limit, age)
    if series.perpetual is not None:
        need("index", series.feed.price > 0, series.feed.price)


def order_filled(context: Context, args: Mapping[str, Any]) -> None:
    orders, incoming = context.book.orders, context.incoming
    told, context.book_trade = context.book_trade, None
    orders.fills += 1
    step = due(context)
    if incoming is None or step is None or step.do is not Do.FILL:
        context.differ("OrderFilled", _shown(step), [args["orderId"], args["takerOrderId"], args["size"]])
        return
    size = step.size if incoming.is_bid else -step.size
    context.expect("OrderFilled.orderId", step.order.id, args["orderId"])
    context.expect("OrderFilled.takerOrderId", incoming.order.id, args["takerOrderId"])
    context.expect("OrderFilled.size", size, args["size"])
    context.expect("OrderFilled.price", step.order.price, args["price"])
    expected = {
        "seriesId": incoming.order.series, "taker": incoming.order.account, "maker": step.order.account, "size": size,
        "price": step.order.price, "nonce": BOOK_NONCE + orders.fills,
    }
    if told is None:
        context.differ("OrderFilled", "its Traded before it", None)
    else:
        for name, value in expected.items():
            context.expect(f"Traded.{name} of a fill", value, told[name])
    matching.fill(orders.markets[incoming.order.series], incoming, step.order, step.size)
    if step.order.rest == 0:
        orders.gone(step.order)


def order_removed(context: Context, args: Mapping[str, Any]) -> None:
    orders, incoming = context.book.orders, context.incoming
    reason = args["reason"]
    if incoming is not None and args["orderId"] == incoming.order.id:
        _finish(context, told=args)
        return
    if reason == matching.CANCELLED:
        _finish(context)
    held = _open_order(context, args["orderId"])
    if held is None:
        context.differ("OrderRemoved.orderId", "an open order", args["orderId"])
        return
    context.expect("OrderRemoved.rest", held.rest, args["rest"])
    if reason != matching.CANCELLED:
        step = due(context)
        if step is None or step.order is not held or not _explains(context, step, reason):
            context.differ("OrderRemoved.reason", _shown(step), [held.id, reason])
        if incoming is not None:
            incoming.steps += 1
    orders.remove(held)


def end_transaction(context: Context) -> None:
    _finish(context)
    if context.book_trade is not None:
        context.differ("Traded with the nonce of a fill", "OrderFilled", context.book_trade["nonce"])
        context.book_trade = None


def traded(context: Context, args: Mapping[str, Any]) -> None:
    """Any trade; that of a fill is kept for its `OrderFilled`."""
    if args["nonce"] >= BOOK_NONCE:
        if context.book_trade is not None:
            context.differ("Traded with the nonce of a fill", "OrderFilled", context.book_trade["nonce"])
        context.book_trade = args
    trading.traded(context, args)


def band_of(book: Book, series: Series) -> Band:
    return matching.band(
        series.kind, strike=series.strike, index=book.index(series), band_bps=book.params.band_bps
    )


def maker_can(context: Context, step: Step, incoming: Incoming) -> bool:
    """Whether the maker of a fill may trade it: margin, fresh prices, room for a position. Tried on the side."""
    maker, taker, series = step.order.account, incoming.order.account, context.book.series[incoming.order.series]
    fork = context.book.fork((taker, maker))
    aside = Context(fork, Facts(), context.block, context.tx)
    trading.traded(aside, {
        "seriesId": series.id, "taker": taker, "maker": maker, "size": step.size if incoming.is_bid else -step.size,
        "price": step.order.price, "nonce": 0, "fee": 0,
    })
    leg, age = aside.facts.trades[-1].maker, fork.oldest_age(maker)
    return (
        may_move(leg.before, leg.after) and age is not None and age <= fork.params.max_price_age_s
        and len(fork.account(maker).positions) <= POSITIONS_MAX
    )


def due(context: Context) -> Step | None:
    """What must happen next to the order that is coming in."""
    incoming = context.incoming
    if incoming is None:
        return None
    book = context.book
    market, series = book.orders.markets[incoming.order.series], book.series[incoming.order.series]
    return matching.next_step(market, incoming, now=book.now, worst=band_of(book, series))


def _explains(context: Context, step: Step, reason: int) -> bool:
    if reason == matching.MAKER_CANNOT:
        return step.do is Do.FILL and context.incoming is not None and not maker_can(context, step, context.incoming)
    return bool(step.do.value == reason)


def _finish(context: Context, told: Mapping[str, Any] | None = None) -> None:
    """The order that was coming in is done: what is left of it rests, or is dropped for the reason the rules give."""
    incoming, context.incoming = context.incoming, None
    if incoming is None:
        return
    book, order = context.book, incoming.order
    orders, series = book.orders, book.series[order.series]
    market, worst = orders.markets[series.id], band_of(book, series)
    step = matching.next_step(market, incoming, now=book.now, worst=worst)
    if step is not None and step.do is not Do.REFUSE:
        context.differ("OrderBook step", _shown(step), None)
    reason = _leftover(book, incoming)
    if told is None:
        if reason is not None:
            context.differ("OrderRemoved", [order.id, reason], None)
    else:
        context.expect("OrderRemoved.reason", reason, told["reason"])
        context.expect("OrderRemoved.rest", order.rest, told["rest"])
    if reason is None and order.rest:
        orders.rest(order)
        if orders.open[order.account] > matching.ORDERS_MAX:
            context.differ("OrderPlaced", f"at most {matching.ORDERS_MAX} open orders", orders.open[order.account])


def leftover(context: Context) -> int | None:
    """Why what is left of the order that is coming in must go; None where it rests, or nothing is left."""
    return None if context.incoming is None else _leftover(context.book, context.incoming)


def _leftover(book: Book, incoming: Incoming) -> int | None:
    series = book.series[incoming.order.series]
    reason = matching.leftover(
        book.orders.markets[series.id], incoming, now=book.now, worst=band_of(book, series)
    )
    if reason is None and incoming.order.rest and not _may_rest(book, incoming.order.account):
        return matching.MAKER_CANNOT
    return reason


def _may_rest(book: Book, account: str) -> bool:
    """Who could open nothing may take what is there, but not fill the book."""
    margin = book.margin(account)
    return margin.equity > 0 and margin.equity >= margin.im


def _open_order(context: Context, order_id: int) -> Order | None:
    orders = context.book.orders
    series_id = orders.series_of.get(order_id)
    return None if series_id is None else orders.markets[series_id].orders[order_id]


def _shown(step: Step | None) -> list[Any] | None:
    return None if step is None else [step.do.name, step.order.id, step.size]
