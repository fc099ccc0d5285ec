"""Where the replay stands within a block, and what is still owed within one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.book import Book, Series
from harness.model.facts import Discrepancy, Facts
from harness.model.matching import Incoming


@dataclass(slots=True)
class PendingLiquidation:
    """What was told of an account's liquidation before its `Liquidated`, in one transaction."""

    keeper: str | None
    transfers: list[tuple[int, int, int]] = field(default_factory=list)  # (series, size, price)
    deleveraged: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    """(counterparty, series, size, price, cost)"""


@dataclass(slots=True)
class PendingDebt:
    """What an account's last settlement left below zero, by the model, until its `BadDebt` event is seen."""

    covered: int
    remaining: int


@dataclass(slots=True)
class Context:
    book: Book
    facts: Facts
    block: int = 0
    tx: int = -1
    liquidations: dict[str, PendingLiquidation] = field(default_factory=dict)
    debts: dict[str, list[PendingDebt]] = field(default_factory=dict)          # computed, event outstanding
    announced: dict[str, list[PendingDebt]] = field(default_factory=dict)      # event seen before its Settled
    settled: dict[tuple[str, int], int] = field(default_factory=dict)
    """(account, perpetual) → funding this transaction has turned into cash already"""
    haircuts: list[tuple[str, int]] = field(default_factory=list)              # told, not yet closed
    incoming: Incoming | None = None                                           # an order that is being matched
    book_trade: Mapping[str, Any] | None = None                                # a fill's Traded before its OrderFilled
    listed: list[Series] = field(default_factory=list)                         # in this transaction
    halts: list[tuple[str, int, int, int]] = field(default_factory=list)
    """breaches of a breaker whose MarketHalted is due: (asset, from, to, until)"""
    overrides: dict[int, int] = field(default_factory=dict)      # series → price told, its dispute not yet resolved
    resolutions: dict[int, int | None] = field(default_factory=dict)
    """series → the model's price; resolved in this transaction, and due to be final in it"""
    _found: list[Discrepancy] = field(default_factory=list)

    def differ(self, what: str, expected: Any, got: Any) -> None:
        self._found.append(Discrepancy(what, expected, got, self.block, self.tx))

    def expect(self, what: str, expected: Any, got: Any) -> None:
        if expected != got:
            self.differ(what, expected, got)

    def take(self) -> list[Discrepancy]:
        """What was found since the last call."""
        found, self._found = self._found, []
        return found

    def series(self, series_id: int, event: str) -> Series | None:
        """The listed series, or None (and a discrepancy) when no SeriesListed was ever seen for it."""
        found = self.book.series.get(series_id)
        if found is None:
            self.differ(f"{event}.seriesId", "a listed series", series_id)
        return found
