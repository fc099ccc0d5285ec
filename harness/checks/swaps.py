"""Settlements that share a block, made once more in another order on a copy of the books (A8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.history.records import BlockRecord, Event
from harness.model import settlement
from harness.model.book import Book
from harness.model.context import Context
from harness.model.facts import Facts
from harness.model.pools import account_in

SETTLING = frozenset(("Settled", "BadDebt"))
PARTIES = ("account", "keeper", "taker", "maker", "counterparty")


@dataclass(frozen=True, slots=True)
class Swap:
    """One uninterrupted run of settlements of at least two accounts, and what another order would have given."""

    block: int
    settlements: int
    differences: tuple[tuple[str, int, int], ...]  # (what, as it came out, in the other order)
    cash: Mapping[str, int]              # by the other order, of accounts nothing happened to afterwards in the block


class Swapper:
    """Shown each event of one block before and after it is applied."""

    def __init__(self, block: BlockRecord) -> None:
        self.done: list[Swap] = []
        self._block = block
        self._runs = _runs(block.events)
        self._run: Sequence[Event] = ()
        self._other: Book | None = None
        self._last = -1

    def before(self, index: int, book: Book) -> None:
        if index in self._runs:
            self._run = self._runs[index]
            self._other = _reversed(book, self._run)
            self._last = index + len(self._run) - 1

    def after(self, index: int, book: Book) -> None:
        if self._other is not None and index == self._last:
            self.done.append(self._compare(book, self._other))
            self._other = None

    def _compare(self, book: Book, other: Book) -> Swap:
        later = {party for event in self._block.events[self._last + 1:] for party in _parties(event, book)}
        accounts = sorted(other.accounts)
        pairs = [(f"pools.{pool}.{name}", getattr(ledger, name), getattr(other.ledgers[pool], name))
                 for pool, ledger in book.ledgers.items() for name in ("insurance", "deficit", "dust")]
        pairs += [(f"accounts.{address}.cash", book.account(address).cash, other.account(address).cash)
                  for address in accounts]
        pairs += [(f"series.{key}.clearing", series.clearing, other.series[key].clearing)
                  for key, series in book.series.items()]
        return Swap(
            self._block.number, sum(event.name == "Settled" for event in self._run),
            tuple(pair for pair in pairs if pair[1] != pair[2]),
            {address: other.account(address).cash for address in accounts if address not in later},
        )


def _parties(event: Event, book: Book) -> Iterator[str | None]:
    """Whose cash it may have changed."""
    yield from (event.args[key] for key in PARTIES if key in event.args)
    if event.name == "CollateralMoved":
        yield from (account_in(book, event.args["owner"], event.args[end]) for end in ("from", "to"))


def _runs(events: Sequence[Event]) -> dict[int, Sequence[Event]]:
    """Where in a block's events a run of settlements of two or more accounts begins, and the run."""
    found: dict[int, Sequence[Event]] = {}
    for settling, grouped in groupby(enumerate(events), lambda item: item[1].name in SETTLING):
        group = list(grouped)
        if settling and len({event.args["account"] for _, event in group}) > 1:
            found[group[0][0]] = [event for _, event in group]
    return found


def _reversed(book: Book, run: Sequence[Event]) -> Book:
    """What the run leaves when the last account comes first; each account's own settlements keep their order."""
    by_account: dict[str, list[Event]] = {}
    for event in run:
        if event.name == "Settled":
            by_account.setdefault(event.args["account"], []).append(event)
    other = book.fork(by_account)
    context = Context(other, Facts())
    for account in reversed(by_account):
        for event in by_account[account]:
            settlement.settled(context, event.args)
    return other
