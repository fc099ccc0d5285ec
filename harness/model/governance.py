"""What governance did: pauses at once, margin factors and the liquidator's code after a delay, everything told.

The words of an announcement are kept and compared with what is carried out; how long it waited is for checks to judge
as well, by its own words alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from harness.model.context import Context
from harness.model.facts import FactorsFact, PauseFact
from harness.model.fixed import BPS
from harness.model.params import VenueParams
from harness.model.pauses import EVERYTHING

PRIVILEGED = ("FactorsChanged", "KeeperShareSet", "Initialized", "Upgraded", "ReporterChanged")
"""Events that only a call of the timelock may cause, once the venue is set up."""

_FACTORS = ("imBps", "mmBps", "optionImBps", "optionMinImBps", "optionMmBps")
_WORD = 64                       # hexadecimal digits of an ABI word


class Factors(NamedTuple):
    im_bps: int
    mm_bps: int
    option_im_bps: int
    option_min_im_bps: int
    option_mm_bps: int

    @classmethod
    def of(cls, params: VenueParams) -> Factors:
        return cls(*(getattr(params, name) for name in cls._fields))

    def are_in_range(self, penalty_bps: int) -> bool:
        return (self.mm_bps > 0 and penalty_bps <= self.mm_bps <= self.im_bps <= BPS
                and 0 < self.option_mm_bps <= self.option_min_im_bps <= self.option_im_bps <= BPS)

    def is_tighter(self, other: Factors) -> bool:
        """Whether any of these asks more than the other's."""
        return any(mine > theirs for mine, theirs in zip(self, other, strict=True))


def words(data: str) -> tuple[int, ...]:
    """The ABI words of a call, behind its selector; none where it is no whole number of them."""
    body = data.removeprefix("0x")[8:]
    if len(body) % _WORD:
        return ()
    return tuple(int(body[start:start + _WORD], 16) for start in range(0, len(body), _WORD))


@dataclass(frozen=True, slots=True)
class Announced:
    """A call the timelock was told to make."""

    due: int                     # block time from which it may be made
    target: str
    data: str


@dataclass(slots=True)
class Governance:
    """What is announced, and what an open transaction still has to justify. The book keeps what came of it."""

    announced: dict[tuple[str, int], Announced] = field(default_factory=dict)
    unjustified: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)  # (event, its numbers)
    version: int = 1             # of the liquidator

    # -- pauses ------------------------------------------------------------------------------------------------

    def pause_changed(self, context: Context, args: Mapping[str, Any]) -> None:
        book = context.book
        before, paused = book.pauses.paused, args["paused"]
        context.expect("PauseChanged.before", before, args["before"])
        if paused == before or not 0 <= paused <= EVERYTHING:
            context.differ("PauseChanged.paused", f"a change, of 0 to {EVERYTHING}", paused)
        if paused & ~before and before & ~paused:
            context.differ("PauseChanged.paused", "bits set or bits cleared", [before, paused])
        book.pauses.change(paused & EVERYTHING, now=book.now, active=book.active_clock)
        context.facts.pauses.append(
            PauseFact(context.block, context.tx, book.now, before, book.pauses.paused, args["by"])
        )

    # -- the timelock ------------------------------------------------------------------------------------------

    def call_scheduled(self, context: Context, args: Mapping[str, Any]) -> None:
        least = context.book.params.timelock_delay_s
        if args["delay"] < least:
            context.differ("CallScheduled.delay", f"at least {least}", args["delay"])
        self.announced[args["id"], args["index"]] = Announced(
            context.book.now + args["delay"], args["target"], args["data"]
        )

    def call_executed(self, context: Context, args: Mapping[str, Any]) -> None:
        """Comes after the events of the call it made, which it justifies."""
        announced = self.announced.pop((args["id"], args["index"]), None)
        events, self.unjustified = self.unjustified, []
        if announced is None:
            context.differ("CallExecuted.id", "an announced call", args["id"])
            return
        if context.book.now < announced.due:
            context.differ("CallExecuted before its time", announced.due, context.book.now)
        context.expect("CallExecuted.target", announced.target, args["target"])
        context.expect("CallExecuted.data", announced.data, args["data"])
        for name, numbers in events:
            if name == "FactorsChanged":
                context.expect("FactorsChanged as announced", words(announced.data), numbers)

    # -- what it changes ---------------------------------------------------------------------------------------

    def factors_changed(self, context: Context, args: Mapping[str, Any]) -> None:
        book = context.book
        factors = Factors(*(args[name] for name in _FACTORS))
        if not factors.are_in_range(book.params.penalty_bps):
            context.differ("FactorsChanged", "factors in range", list(factors))
        was_due = {address for address in book.accounts if book.margin(address).is_liquidatable}
        before = Factors.of(book.params)
        book.params = replace(book.params, **factors._asdict())
        book.prices_changed()
        made_due = tuple(address for address in book.accounts
                         if address not in was_due and book.margin(address).is_liquidatable)
        context.facts.factors.append(
            FactorsFact(context.block, context.tx, book.now, tuple(before), tuple(factors), made_due)
        )
        self._owes(context, "FactorsChanged", tuple(factors))

    def keeper_share_set(self, context: Context, args: Mapping[str, Any]) -> None:
        share = args["shareBps"]
        if not 0 <= share <= BPS:
            context.differ("KeeperShareSet.shareBps", f"0 to {BPS}", share)
        context.book.params = replace(context.book.params, keeper_share_bps=share)
        self._owes(context, "KeeperShareSet", (share,))

    def initialized(self, context: Context, args: Mapping[str, Any]) -> None:
        if context.block > 0:
            context.expect("Initialized.version", self.version + 1, args["version"])
        self.version = args["version"]
        self._owes(context, "Initialized", (args["version"],))

    def upgraded(self, context: Context, _args: Mapping[str, Any]) -> None:
        self._owes(context, "Upgraded", ())

    def reporter_changed(self, context: Context, args: Mapping[str, Any]) -> None:
        reporters = context.book.reporters
        if reporters is not None:
            (reporters.add if args["isReporter"] else reporters.discard)(args["reporter"])
        self._owes(context, "ReporterChanged", ())

    def _owes(self, context: Context, name: str, numbers: tuple[int, ...]) -> None:
        if context.block > 0:
            self.unjustified.append((name, numbers))

    def end_transaction(self, context: Context) -> None:
        for name, _ in self.unjustified:
            context.differ(f"{name} without CallExecuted", "CallExecuted", None)
        self.unjustified.clear()
