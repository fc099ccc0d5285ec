"""From checks, faults and problems to one verdict and one exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from harness.checks.results import CheckResult, Verdict, combine
from harness.history.records import ProblemRecord
from harness.report.exit_code import ExitCode, is_idle

__all__ = ["ExitCode", "FaultLike", "exit_code_of", "is_idle", "verdict_of"]


class FaultLike(Protocol):
    """What the report needs of a fault's outcome; `runtimes.supervisor.FaultOutcome` is one."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def bit(self) -> bool: ...
    @property
    def healed(self) -> bool: ...
    @property
    def evidence(self) -> Any: ...


_EXIT = {Verdict.HOLDS: ExitCode.HOLDS, Verdict.VIOLATED: ExitCode.VIOLATED, Verdict.UNKNOWN: ExitCode.UNKNOWN}


def verdict_of(checks: Sequence[CheckResult], faults: Iterable[FaultLike]) -> Verdict:
    """Violated outranks unknown outranks holds.

    A fault that did not bite, or was not healed, makes a run that would hold *unknown*: the storm it was meant to
    survive did not happen, or did not end. It never hides a violation.
    """
    verdict = combine(checks)
    if verdict is Verdict.HOLDS and not all(fault.bit and fault.healed for fault in faults):
        return Verdict.UNKNOWN
    return verdict


def exit_code_of(verdict: Verdict, problems: Iterable[ProblemRecord | Mapping[str, Any]] = ()) -> ExitCode:
    """The run's exit code; a fatal problem of the harness or a tool is 4 whatever the checks could still say."""
    for problem in problems:
        fatal = problem.fatal if isinstance(problem, ProblemRecord) else problem.get("fatal", False)
        if fatal:
            return ExitCode.FAILED
    return _EXIT[verdict]
