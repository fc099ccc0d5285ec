"""A limit-order book of one series by price, then time, and what must happen next to an order that comes in.

Pure: nothing here moves money. `next_step` says which step the rules demand; who replays a chain compares it with what
was told, who simulates a market does it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from harness.model.fixed import BPS, ceil_div, floor_div
from harness.model.margin import Kind

STEPS_MAX = 24
"""Of one incoming order; a fill is a step, and so is a removal."""

ORDERS_MAX = 64
"""Open orders of one account, over all series."""

LIMIT, POST_ONLY, IMMEDIATE, MARKET = range(4)
"""The `mode` of an order."""

CANCELLED, PAST_DEADLINE, SELF_TRADE, BEYOND_BAND, MAKER_CANNOT, TAKER_REST, STEPS_USED = range(7)
"""The `reason` of a removal."""


class Do(Enum):
    """What the rules demand of the best opposite order."""

    EXPIRE = PAST_DEADLINE
    DROP_OWN = SELF_TRADE
    DROP_BEYOND_BAND = BEYOND_BAND
    REFUSE = "the incoming order is post-only"
    FILL = "a fill, or a removal for what its maker cannot"


@dataclass(slots=True)
class Order:
    id: int
    account: str
    series: int
    rest: int                    # signed: > 0 a bid
    price: int
    deadline: int

    @property
    def is_bid(self) -> bool:
        return self.rest > 0


@dataclass(slots=True)
class Incoming:
    """An order that is being matched."""

    order: Order
    mode: int
    limit: int                   # the worst price it takes
    is_bid: bool
    steps: int = 0


class Step(NamedTuple):
    do: Do
    order: Order
    size: int                    # of a fill, ≥ 0; 0 for others


class Band(NamedTuple):
    """The worst prices the band allows at present."""

    buy: int
    sell: int


def band(kind: Kind, *, strike: int, index: int, band_bps: int) -> Band:
    """Futures and perpetuals: the band around the index, rounded inward; options: between nothing and their ceiling."""
    if not kind.is_option:
        width = band_bps * abs(index)
        return Band(floor_div(BPS * index + width, BPS), ceil_div(BPS * index - width, BPS))
    return Band(index if kind is Kind.CALL else strike, 0)


@dataclass(slots=True)
class Market:
    """One series' open orders."""

    tick: int
    lot: int
    orders: dict[int, Order] = field(default_factory=dict)
    _bids: list[tuple[int, int]] = field(default_factory=list)  # (−price, id), best first
    _asks: list[tuple[int, int]] = field(default_factory=list)  # (price, id), best first

    def _side(self, is_bid: bool) -> list[tuple[int, int]]:
        return self._bids if is_bid else self._asks

    def add(self, order: Order) -> None:
        self.orders[order.id] = order
        insort(self._side(order.is_bid), (-order.price if order.is_bid else order.price, order.id))

    def remove(self, order: Order, *, is_bid: bool) -> None:
        """`is_bid` as it was when it was added: a filled order has no sign left."""
        del self.orders[order.id]
        side, key = self._side(is_bid), (-order.price if is_bid else order.price, order.id)
        place = bisect_left(side, key)
        assert side[place] == key, f"order {order.id} is not where its price puts it"
        del side[place]

    def best(self, *, is_bid: bool) -> Order | None:
        side = self._side(is_bid)
        return self.orders[side[0][1]] if side else None

    def in_order(self) -> Iterator[Order]:
        """Bids best first, then asks best first: as the contract's `orders` shows them."""
        for _, id_ in self._bids:
            yield self.orders[id_]
        for _, id_ in self._asks:
            yield self.orders[id_]

    @property
    def is_crossed(self) -> bool:
        return bool(self._bids and self._asks) and -self._bids[0][0] >= self._asks[0][0]


@dataclass(slots=True)
class Orders:
    """All markets of a venue, and the two counters they share."""

    markets: dict[int, Market] = field(default_factory=dict)
    placed: int = 0
    fills: int = 0
    open: dict[str, int] = field(default_factory=dict)  # account → orders in the book, over all series
    series_of: dict[int, int] = field(default_factory=dict)  # id of an open order → its series

    def rest(self, order: Order) -> None:
        self.markets[order.series].add(order)
        self.series_of[order.id] = order.series
        self.open[order.account] = self.open.get(order.account, 0) + 1

    def gone(self, order: Order) -> None:
        """An order that has left its market."""
        del self.series_of[order.id]
        self.open[order.account] -= 1

    def remove(self, order: Order) -> None:
        self.markets[order.series].remove(order, is_bid=order.is_bid)
        self.gone(order)


def crosses(incoming: Incoming, order: Order) -> bool:
    return incoming.limit >= order.price if incoming.is_bid else incoming.limit <= order.price


def next_step(market: Market, incoming: Incoming, *, now: int, worst: Band) -> Step | None:
    """What must happen next to that order; None when matching is over."""
    if incoming.order.rest == 0 or incoming.steps >= STEPS_MAX:
        return None
    best = market.best(is_bid=not incoming.is_bid)
    if best is None or not crosses(incoming, best):
        return None
    if now > best.deadline:
        return Step(Do.EXPIRE, best, 0)
    if best.account == incoming.order.account:
        return Step(Do.DROP_OWN, best, 0)
    if best.price > worst.buy if best.is_bid else best.price < worst.sell:
        return Step(Do.DROP_BEYOND_BAND, best, 0)
    if incoming.mode == POST_ONLY:
        return Step(Do.REFUSE, best, 0)
    return Step(Do.FILL, best, min(abs(incoming.order.rest), abs(best.rest)))


def fill(market: Market, incoming: Incoming, order: Order, size: int) -> None:
    """Take that much of both."""
    is_bid = order.is_bid
    sign = 1 if incoming.is_bid else -1
    incoming.order.rest -= sign * size
    order.rest += sign * size
    incoming.steps += 1
    if order.rest == 0:
        market.remove(order, is_bid=is_bid)


def leftover(market: Market, incoming: Incoming, *, now: int, worst: Band) -> int | None:
    """Why what is left of an order whose matching is over must go: a reason, or None where it rests or is none."""
    if incoming.order.rest == 0:
        return None
    if incoming.mode in (IMMEDIATE, MARKET):
        return TAKER_REST
    best = market.best(is_bid=not incoming.is_bid)
    if best is None or not crosses(incoming, best):
        return None
    step = next_step(market, incoming, now=now, worst=worst)
    return TAKER_REST if step is not None and step.do is Do.REFUSE else STEPS_USED
