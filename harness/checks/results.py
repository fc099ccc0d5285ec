"""What a check answers, and how answers combine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.model.params import FAST, VenueParams

Evidence = dict[str, Any]
"""One case with the key `case` (first, worst or last), block numbers, and values; big integers as decimal strings."""


class Verdict(StrEnum):
    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class JudgeBounds:
    """What a run promised, as plain values: liveness bounds and the parameters its venue was deployed with."""

    recover_s: float = 15.0      # heads agree and advance this long after heal; also LL1's excuse after a fault
    liquidate_blocks: int = 10   # LL1's N
    venue: VenueParams = FAST
    block_gas_limit: int = 30_000_000  # of L2; LL6 allows a liquidation a quarter
    forced_window_s: int = 33    # from an L1 block to the L2 block that owes its forced entries: drift + T1
    keeper_gas_price_wei: int = 10**9  # LL3's G: up to here a keeper must not lose by liquidating
    finality_l1_blocks: int = 8        # F: so many L1 blocks on top make one final


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check function found; the registry adds its id and name."""

    verdict: Verdict
    guarded: int                 # how often the guarded event truly occurred
    summary: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckResult:
    id: str                      # "C1"
    name: str                    # "conservation"
    verdict: Verdict
    guarded: int
    summary: str                 # one line for people
    evidence: tuple[Evidence, ...] = ()  # (first, worst, last) when violated
    crashed: bool = False        # the check itself failed; `summary` carries the exception
    demanded: bool = True        # unknown counts against the run; else only violated does, and a crash

    @property
    def is_idle(self) -> bool:
        """It waited for an occasion that never came: nothing for the run, nothing against it."""
        return self.verdict is Verdict.UNKNOWN and not self.demanded and not self.crashed

    def to_json(self) -> dict[str, Any]:
        """The entry of `result.json`'s `checks`."""
        return {
            "id": self.id, "name": self.name, "verdict": str(self.verdict), "guarded": self.guarded,
            "summary": self.summary, "evidence": list(self.evidence), "crashed": self.crashed,
            "demanded": self.demanded,
        }


def combine(results: Iterable[CheckResult]) -> Verdict:
    """Violated outranks unknown outranks holds; nothing judged at all is unknown. Idle checks do not count."""
    verdicts = {result.verdict for result in results if not result.is_idle}
    if Verdict.VIOLATED in verdicts:
        return Verdict.VIOLATED
    if Verdict.UNKNOWN in verdicts or not verdicts:
        return Verdict.UNKNOWN
    return Verdict.HOLDS


@dataclass(slots=True)
class Cases:
    """The violations a check meets, of which it keeps the first, the worst and the last."""

    count: int = 0
    _first: Evidence = field(default_factory=dict)
    _worst: Evidence = field(default_factory=dict)
    _last: Evidence = field(default_factory=dict)
    _severity: int = 0

    def add(self, *, severity: int = 0, **values: Any) -> None:
        """Note one violation. `severity` ranks it; equal ones keep the earlier as the worst."""
        case = {key: _jsonable(value) for key, value in values.items()}
        if not self.count or severity > self._severity:
            self._worst, self._severity = case, severity
        if not self.count:
            self._first = case
        self._last = case
        self.count += 1

    def finding(self, guarded: int, *, holds: str, violated: str, nothing: str) -> Finding:
        """Violated if any case was added, unknown if nothing was guarded, holds otherwise.

        `violated` is prefixed with the number of cases.
        """
        if self.count:
            evidence = (
                {"case": "first", **self._first}, {"case": "worst", **self._worst}, {"case": "last", **self._last},
            )
            return Finding(Verdict.VIOLATED, guarded, f"{self.count} × {violated}", evidence)
        if guarded == 0:
            return Finding(Verdict.UNKNOWN, 0, nothing)
        return Finding(Verdict.HOLDS, guarded, holds)


def _jsonable(value: Any) -> Any:
    """Integers beyond 53 bits become decimal strings, as everywhere in a history."""
    if isinstance(value, bool) or value is None or isinstance(value, str | float):
        return value
    if isinstance(value, int):
        return value if -(1 << 53) < value < 1 << 53 else str(value)
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return str(value)
