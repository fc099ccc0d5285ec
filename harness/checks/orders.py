"""The order book by its events alone: priority, what is filled of what, and that nobody trades with himself.

A second opinion beside the model's replay: it knows no margin, no band and no step, only which orders lay open when a
fill happened. Whatever else the rules demand, they never let a fill pass over a better order that stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import Event

MARKET, CANCELLED = 3, 0
BOOK_NONCE = 1 << 255


@dataclass(slots=True)
class Placed:
    id: int
    account: str
    series: int
    size: int                    # signed, as placed
    price: int
    mode: int
    deadline: int
    rest: int
    block: int

    @property
    def is_bid(self) -> bool:
        return self.size > 0


@dataclass(frozen=True, slots=True)
class Fill:
    """One fill as told, with what lay open just before it."""

    block: int
    timestamp: int
    tx: int
    size: int
    price: int
    maker: Placed | None         # None where no such order was open
    taker: Placed | None
    maker_rest: int
    taker_rest: int
    better: Placed | None        # an open order of the maker's side with priority over it
    trade: Mapping[str, Any] | None  # the newest Traded of its transaction that no other fill claimed


@dataclass(frozen=True, slots=True)
class Removal:
    block: int
    tx: int
    order: Placed | None
    reason: int
    rest: int | None             # of the order just before; None where no such order was open
    told_rest: int


class OrderSteps(NamedTuple):
    """Everything that happened to orders, in chain order, read once for all checks of a subject."""

    fills: tuple[Fill, ...]
    removals: tuple[Removal, ...]
    unclaimed: int               # trades with the nonce of a fill that no fill followed

    @classmethod
    def of(cls, subject: Subject) -> OrderSteps:
        book = OpenOrders()
        steps = list(book.walk(subject))
        return cls(
            tuple(step for step in steps if isinstance(step, Fill)),
            tuple(step for step in steps if isinstance(step, Removal)), book.unclaimed + (book.trade is not None),
        )


def _steps(subject: Subject) -> OrderSteps:
    return subject.once(OrderSteps.of)


class OpenOrders:
    """The orders that events say are open; `walk` yields fills and removals in chain order."""

    def __init__(self) -> None:
        self.orders: dict[int, Placed] = {}
        self.trade: Mapping[str, Any] | None = None
        self.unclaimed = 0           # trades with the nonce of a fill that no fill followed

    def walk(self, subject: Subject) -> Iterator[Fill | Removal]:
        for block in subject.chain:
            for event in block.events:
                found = self._take(event, block.number, block.timestamp)
                if found is not None:
                    yield found

    def _take(self, event: Event, block: int, timestamp: int) -> Fill | Removal | None:
        args = event.args
        match event.name:
            case "OrderPlaced":
                size = int(args["size"])
                self.orders[int(args["orderId"])] = Placed(
                    int(args["orderId"]), str(args["account"]), int(args["seriesId"]), size, int(args["price"]),
                    int(args["mode"]), int(args["deadline"]), size, block,
                )
            case "Traded" if int(args["nonce"]) >= BOOK_NONCE:
                self.unclaimed += self.trade is not None
                self.trade = args
            case "OrderFilled":
                return self._filled(event, block, timestamp)
            case "OrderRemoved":
                order = self.orders.pop(int(args["orderId"]), None)
                rest = None if order is None else order.rest
                return Removal(block, event.tx, order, int(args["reason"]), rest, int(args["rest"]))
            case _:
                pass
        return None

    def _filled(self, event: Event, block: int, timestamp: int) -> Fill:
        args = event.args
        size = int(args["size"])
        maker, taker = self.orders.get(int(args["orderId"])), self.orders.get(int(args["takerOrderId"]))
        trade, self.trade = self.trade, None
        found = Fill(
            block, timestamp, event.tx, size, int(args["price"]), maker, taker,
            0 if maker is None else maker.rest, 0 if taker is None else taker.rest,
            None if maker is None else self._before(maker, taker), trade,
        )
        for order, change in ((maker, size), (taker, -size)):
            if order is not None:
                order.rest += change
                if order.rest == 0:
                    del self.orders[order.id]
        return found

    def _before(self, maker: Placed, taker: Placed | None) -> Placed | None:
        """The open order that should have come first, if any."""
        sign = -1 if maker.is_bid else 1
        mine = (sign * maker.price, maker.id)
        best, key = None, mine
        for order in self.orders.values():
            if order is taker or order.series != maker.series or order.is_bid != maker.is_bid:
                continue
            if (sign * order.price, order.id) < key:
                best, key = order, (sign * order.price, order.id)
        return best


def priority(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    for item in _steps(subject).fills:
        if item.maker is None:
            continue
        judged += 1
        if item.better is not None:
            cases.add(severity=abs(item.better.price - item.maker.price), block=item.block, tx=item.tx,
                      filled=item.maker.id, at=item.maker.price, passed_over=item.better.id,
                      better_price=item.better.price)
    return cases.finding(
        judged,
        holds=f"each of {judged} fills took the best price there was, and of equal ones the oldest order",
        violated="a fill passed over an open order with a better price, or an older one of the same",
        nothing="no order was filled",
    )


def sizes_and_limits(subject: Subject) -> Finding:
    """Also that a fill is the trade that moved the positions: same accounts, size, price."""
    cases, judged = Cases(), 0
    steps = _steps(subject)
    for removal in steps.removals:
        if removal.rest != removal.told_rest:
            cases.add(block=removal.block, tx=removal.tx, removed=None if removal.order is None else removal.order.id,
                      rest=removal.rest, told=removal.told_rest)
    for item in steps.fills:
        judged += 1
        wrong = _what_is_wrong(item)
        if wrong:
            cases.add(severity=abs(item.size), block=item.block, tx=item.tx, size=item.size, price=item.price,
                      maker=None if item.maker is None else item.maker.id,
                      taker=None if item.taker is None else item.taker.id, wrong=wrong)
    if steps.unclaimed:
        cases.add(severity=1, wrong="a trade with the nonce of a fill, and no fill", count=steps.unclaimed)
    return cases.finding(
        judged,
        holds=f"{judged} fills took from two open orders no more than they had, at the older one's price and within "
              "the limit of the other, and each is a trade of its own",
        violated="a fill or removal does not fit the orders it names",
        nothing="no order was filled",
    )


def _what_is_wrong(item: Fill) -> str | None:
    maker, taker, trade = item.maker, item.taker, item.trade
    if maker is None or taker is None:
        return "no such open order"
    rules = {
        "other series": maker.series == taker.series,
        "same side": maker.is_bid != taker.is_bid,
        "side": item.size != 0 and (item.size > 0) == taker.is_bid,
        "more than the maker had": abs(item.size) <= abs(item.maker_rest),
        "more than the taker wanted": abs(item.size) <= abs(item.taker_rest),
        "not the maker's price": item.price == maker.price,
        "beyond the taker's limit": taker.mode == MARKET or (
            item.price <= taker.price if taker.is_bid else item.price >= taker.price),
        "post-only took": taker.mode != 1,
        "past a deadline": item.timestamp <= min(maker.deadline, taker.deadline),
        "newer than the taker": maker.id < taker.id,
        "no trade": trade is not None,
    }
    if trade is not None:
        rules["another trade"] = (
            (trade["seriesId"], trade["taker"], trade["maker"], trade["size"], trade["price"])
            == (maker.series, taker.account, maker.account, item.size, item.price)
        )
    return next((rule for rule, holds in rules.items() if not holds), None)


def no_self_trade(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    for item in _steps(subject).fills:
        if item.maker is not None and item.taker is not None:
            judged += 1
            if item.maker.account == item.taker.account:
                cases.add(severity=abs(item.size), block=item.block, tx=item.tx, account=item.maker.account,
                          maker=item.maker.id, taker=item.taker.id, size=item.size)
    return cases.finding(
        judged,
        holds=f"none of {judged} fills had one account on both sides",
        violated="an account traded with itself",
        nothing="no order was filled",
    )


def never_crossed(subject: Subject) -> Finding:
    """Storage, as read between blocks: who could have traded has."""
    cases, judged = Cases(), 0
    for snapshot in subject.replay.snapshots:
        for series, orders in (snapshot.state.book or {}).items():
            bids = [order.price for order in orders if order.rest > 0]
            asks = [order.price for order in orders if order.rest < 0]
            judged += bool(bids and asks)
            if bids and asks and max(bids) >= min(asks):
                cases.add(severity=max(bids) - min(asks), block=snapshot.state.number, series=series, bid=max(bids),
                          ask=min(asks))
            if any(order.rest == 0 for order in orders):
                cases.add(block=snapshot.state.number, series=series, empty=[o.id for o in orders if o.rest == 0])
    return cases.finding(
        judged,
        holds=f"in {judged} readings of a book with two sides the best bid was below the best ask",
        violated="a bid lay open at or above an ask, or an order with nothing left",
        nothing="no state record shows a book with two sides",
    )


def removed_for_cause(subject: Subject) -> Finding:
    """A removal that only its account may ask for came in a transaction of that account, or of who owns it; every other
    has a reason that the model, standing at its place, finds too: nobody loses his order to another's fault."""
    cases, judged = Cases(), 0
    for found in subject.replay.discrepancies:
        if found.what in ("OrderRemoved.reason", "OrderRemoved"):
            cases.add(block=found.block, tx=found.tx, due=found.expected, removed_for=found.got)
    by_number = {block.number: block for block in subject.chain}
    owners = {str(event.args["account"]): str(event.args["owner"]) for block in subject.chain
              for event in block.events if event.name == "AccountOpened"}
    for item in _steps(subject).removals:
        judged += item.order is not None
        if item.reason != CANCELLED or item.order is None:
            continue
        sender = by_number[item.block].transactions[item.tx].sender if item.tx >= 0 else None
        if sender != owners.get(item.order.account, item.order.account):
            cases.add(block=item.block, tx=item.tx, order=item.order.id, account=item.order.account, sender=sender)
    return cases.finding(
        judged,
        holds=f"{judged} orders were cancelled by whose they were, or left the book for a cause that was there",
        violated="an order was cancelled by somebody else, or removed without a cause",
        nothing="no order was removed",
    )


_A_FILL = "an order book that trades"
CHECKS = (
    Check("T3", "price-time priority", "a fill takes the best price, and of equal prices the oldest order", priority,
          occasion=_A_FILL),
    Check("T4", "sizes and limits", "a fill takes no more than both orders have left, at the older one's price and "
          "within the newer one's limit, and is a trade of its own", sizes_and_limits, occasion=_A_FILL),
    Check("T5", "no self-trade", "no fill has one account on both sides", no_self_trade, occasion=_A_FILL),
    Check("T6", "never crossed", "between blocks the best bid is below the best ask", never_crossed,
          occasion=_A_FILL),
    Check("T7", "removed for cause", "only the account of an order cancels it, and nothing else takes it out of the "
          "book but what the rules name", removed_for_cause, occasion="an order that is removed"),
)
