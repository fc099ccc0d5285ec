"""Calls that no state of the chain may shut out, and what the model says of each that was turned away (G1, S10).

A plea is what a client sent to top up, withdraw, reduce, close or settle, and the chain took up. A refused one needs an
excuse, and a name is none: the model stands at the place of that very transaction and must find the cause the error
speaks of. Whatever else stands in the way, by any name or none, shuts somebody out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.history.reader import Operation
from harness.history.records import BlockRecord, Transaction
from harness.model.book import Book
from harness.model.guards import is_in_restart_grace
from harness.model.pauses import LIQUIDATION, TRADING, WITHDRAWALS
from harness.model.pools import account_in

PLEAS = ("deposit", "withdraw", "reduce", "close", "settle")
"""What clients call what must stay possible."""

Cause = Callable[[Book, str, Mapping[str, Any]], bool]
"""Whether what an error speaks of is so, for that sender and what is known of the call."""


@dataclass(frozen=True, slots=True)
class Plea:
    block: int
    tx: str
    index: int                   # of the transaction in its block
    timestamp: int
    action: str
    client: str
    succeeded: bool
    error: str | None
    state: str                   # what the chain stood in: "grace", "trading paused", …; empty: nothing special
    since: int                   # block time at which that began
    excused: bool                # the refusal's cause was there, by the model

    @property
    def is_shut_out(self) -> bool:
        """Refused without a cause. A call of which no node could say why it failed is judged only as a deposit."""
        return not self.succeeded and not self.excused and (self.error is not None or self.action == "deposit")


def by_transaction(operations: Sequence[Operation]) -> dict[str, Operation]:
    """Transaction → the plea it carried."""
    found: dict[str, Operation] = {}
    for operation in operations:
        hash_ = None if operation.outcome is None else operation.outcome.detail.get("tx")
        if operation.invoke.action in PLEAS and isinstance(hash_, str):
            found[hash_] = operation
    return found


class Pleader:
    """Shown the book at the places of one block's pleas: after all events of the transactions before each."""

    def __init__(self, block: BlockRecord, operations: Mapping[str, Operation]) -> None:
        self.done: list[Plea] = []
        self._block = block
        self._due = [(index, transaction, operations[transaction.hash])
                     for index, transaction in enumerate(block.transactions) if transaction.hash in operations]

    def until(self, tx: int, book: Book) -> None:
        """Everything before the events of that transaction has been applied."""
        while self._due and self._due[0][0] <= tx:
            self.done.append(self._judge(book, *self._due.pop(0)))

    def end(self, book: Book) -> None:
        self.until(len(self._block.transactions), book)

    def _judge(self, book: Book, index: int, transaction: Transaction, operation: Operation) -> Plea:
        state, since = _standing(book)
        return Plea(
            self._block.number, transaction.hash, index, self._block.timestamp, operation.invoke.action,
            operation.invoke.client, transaction.succeeded, transaction.error, state, since,
            not transaction.succeeded and _is_excused(book, transaction, operation),
        )


def _standing(book: Book) -> tuple[str, int]:
    """The state of the chain in which not everything goes on, and since when; the most forbidding first."""
    pauses = book.pauses
    names = [name for bit, name in ((TRADING, "trading"), (LIQUIDATION, "liquidation"), (WITHDRAWALS, "withdrawals"))
             if pauses.forbids(bit)]
    if names:
        return " and ".join(names) + " paused", pauses.changed_at
    if not book.is_up:
        return "down", book.down_since
    if is_in_restart_grace(book):
        return "grace after a restart", book.started_at
    if pauses.is_in_grace(origin_time=book.origin_time, grace_s=book.params.grace_s):
        return "grace after a pause", pauses.resumed_at
    return "", 0


def _is_excused(book: Book, transaction: Transaction, operation: Operation) -> bool:
    name = None if transaction.error is None else transaction.error.partition("(")[0]
    cause = CAUSES[operation.invoke.action].get(name or "")
    outcome = {} if operation.outcome is None else operation.outcome.detail
    return cause is not None and cause(book, transaction.sender, {**operation.invoke.args, **outcome})


def _of_its_own(_book: Book, _sender: str, _call: Mapping[str, Any]) -> bool:
    """The caller's own affair (tokens, margin, a quote's terms), which the state of the chain has no part in."""
    return True


def _has_stale_price(book: Book, _sender: str, _call: Mapping[str, Any]) -> bool:
    """Of anything that can be held: whose price the call needed is not recorded."""
    limit = book.params.max_price_age_s
    newest = [series.feed.latest for series in book.series.values() if series.final_price is None]
    return any(latest is None or book.now - latest.timestamp > limit for latest in newest)


def _has_expired(book: Book, _sender: str, call: Mapping[str, Any]) -> bool:
    series = book.series.get(_number(call, "series") or 0)
    known = book.series.values() if series is None else (series,)
    return any(book.now >= each.expiry for each in known)


def _is_halted(book: Book, sender: str, call: Mapping[str, Any]) -> bool:
    halted = any(book.now < feed.halted_until for feed in book.feeds.values())
    return halted and not _only_reduces(book, sender, call)


def _is_trading_paused(book: Book, sender: str, call: Mapping[str, Any]) -> bool:
    return book.pauses.forbids(TRADING) and not _only_reduces(book, sender, call)


def _only_reduces(book: Book, sender: str, call: Mapping[str, Any]) -> bool:
    """Whether such a call takes from what the sender holds at that place. A close may be overtaken by another trade
    and would then open; where the call's size was not recorded, it is not held against the chain."""
    series, size = _number(call, "series"), _number(call, "size")
    known = book.series.get(series or 0)
    account = None if known is None else account_in(book, sender, known.pool)
    held = None if account is None else book.account(account).positions.get(series or 0)
    return size is not None and held is not None and held.size * size < 0 and abs(size) <= abs(held.size)


def _is_not_final(book: Book, _sender: str, call: Mapping[str, Any]) -> bool:
    series = book.series.get(_number(call, "series") or 0)
    return series is None or series.final_price is None


def _has_nothing(book: Book, _sender: str, call: Mapping[str, Any]) -> bool:
    holder, series = call.get("account"), _number(call, "series")
    return not isinstance(holder, str) or series not in book.account(holder.lower()).positions


def _holder(book: Book, sender: str, call: Mapping[str, Any]) -> str | None:
    """The sender's account of the pool the call is of."""
    return account_in(book, sender, _number(call, "pool") or 0)


def _is_beyond_margin(book: Book, sender: str, call: Mapping[str, Any]) -> bool:
    amount, account = _number(call, "amount"), _holder(book, sender, call)
    if amount is None or account is None:
        return amount is None
    return book.free_cash(account) - amount * book.ledger_of(account).native < book.margin(account).im


def _has_no_account(book: Book, sender: str, call: Mapping[str, Any]) -> bool:
    return _holder(book, sender, call) is None


def _are_withdrawals_paused(book: Book, _sender: str, _call: Mapping[str, Any]) -> bool:
    return book.pauses.forbids(WITHDRAWALS)


def _has_deficit(book: Book, sender: str, call: Mapping[str, Any]) -> bool:
    ledger = book.ledgers.get(_number(call, "pool") or 0)
    return ledger is not None and ledger.deficit > 0


def _number(call: Mapping[str, Any], key: str) -> int | None:
    try:
        return int(call[key])
    except (KeyError, TypeError, ValueError):
        return None


_TOKEN: dict[str, Cause] = dict.fromkeys(
    ("ERC20InsufficientBalance", "ERC20InsufficientAllowance", "SafeERC20FailedOperation"), _of_its_own)
_PRICE: dict[str, Cause] = dict.fromkeys(("StalePrice", "NoPrice"), _has_stale_price)
_TRADE: dict[str, Cause] = {
    **dict.fromkeys((
        "QuoteExpired", "OrderExpired", "NonceUsed", "SizeOutOfRange", "SizeOffLot", "PriceOutOfBand",
        "PriceBeyondBand", "OptionPriceOutOfRange", "IndexNotPositive", "InsufficientMargin", "MakerBelowMargin",
        "OpenInterestCapped", "TooManyPositions",
    ), _of_its_own),
    **_PRICE, "SeriesExpired": _has_expired, "MarketIsHalted": _is_halted, "TradingPaused": _is_trading_paused,
}
CAUSES: dict[str, dict[str, Cause]] = {
    "deposit": _TOKEN,
    "withdraw": {**_PRICE, "InsufficientMargin": _is_beyond_margin, "DeficitUncovered": _has_deficit,
                 "WithdrawalsPaused": _are_withdrawals_paused, "AccountNotOpen": _has_no_account},
    "reduce": _TRADE, "close": _TRADE,
    "settle": {"NotFinal": _is_not_final, "NothingToSettle": _has_nothing},
}
"""The matrix: the only reasons for which RULES.md lets such a call be turned away in any state of the chain, each with
how the model knows that it was so."""
