"""Swaps the spot pool turned away, and what the model's pool says of each at the place where it stood."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.history.reader import Operation
from harness.history.records import BlockRecord
from harness.model.book import Book
from harness.model.spot import Refused

_VALUES = re.compile(r"[(,=](-?\d+)")
_LAST_SECOND = 2**64 - 1
_OF_THE_WALLET = "ERC20"
"""How errors of the tokens begin: the sender's own affair, which no pool has a part in."""


@dataclass(frozen=True, slots=True)
class SwapRefusal:
    block: int
    tx: int
    account: str
    error: str
    due: str                     # what the rules say; empty: nothing forbade it

    @property
    def is_right(self) -> bool:
        return self.due == _plain(self.error)


def swaps_by_transaction(operations: Sequence[Operation]) -> dict[str, Mapping[str, Any]]:
    """Transaction → the arguments of the swap it carried, where they are all known."""
    found: dict[str, Mapping[str, Any]] = {}
    for operation in operations:
        hash_ = None if operation.outcome is None else operation.outcome.detail.get("tx")
        args = operation.invoke.args
        if operation.invoke.action == "swap" and isinstance(hash_, str) and {"buys", "amount_in", "min_out"} <= {*args}:
            found[hash_] = args
    return found


class SwapRefusals:
    """Shown the book at the place of each swap of one block that failed: after all events of those before it."""

    def __init__(self, block: BlockRecord, swaps: Mapping[str, Mapping[str, Any]]) -> None:
        self.done: list[SwapRefusal] = []
        self._timestamp = block.timestamp
        self._number = block.number
        self._end = len(block.transactions)
        self._due = [
            (index, transaction.sender, transaction.error, swaps[transaction.hash])
            for index, transaction in enumerate(block.transactions)
            if not transaction.succeeded and transaction.hash in swaps and transaction.error is not None
            and not transaction.error.startswith(_OF_THE_WALLET)
        ]

    def until(self, tx: int, book: Book) -> None:
        """Everything before the events of that transaction has been applied."""
        while self._due and self._due[0][0] <= tx:
            index, sender, error, args = self._due.pop(0)
            self.done.append(SwapRefusal(self._number, index, sender, error, self._verdict(book, error, args)))

    def end(self, book: Book) -> None:
        self.until(self._end, book)

    def _verdict(self, book: Book, error: str, args: Mapping[str, Any]) -> str:
        # The deadline is in the call and not in the operation; only who says it is over has to name it.
        values = [int(value) for value in _VALUES.findall(error)]
        deadline = values[0] if error.startswith("DeadlineOver") and values else _LAST_SECOND
        try:
            book.spot.swap(buys=bool(args["buys"]), amount_in=int(args["amount_in"]), min_out=int(args["min_out"]),
                           deadline=deadline, now=self._timestamp)
        except Refused as refused:
            return str(refused)
        return ""


def _plain(error: str) -> str:
    """`SlippageExceeded(got=1,min=2)` as the model says it: without the names of the values."""
    return f"{error.partition('(')[0]}({','.join(_VALUES.findall(error))})"
