"""Every check by id, and the one way to run them: a check that fails says unknown, it never takes the run with it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.checks.results import CheckResult, Finding, JudgeBounds, Verdict
from harness.checks.subject import NotReplayable, Subject
from harness.history.reader import History


@dataclass(frozen=True, slots=True)
class Check:
    id: str                      # as in scenario files: "C1"
    name: str                    # in a few words: "conservation"
    about: str                   # one sentence: what must hold
    judge: Callable[[Subject], Finding]


class UnknownCheck(ValueError):
    """A check was asked for that does not exist; the message names the near ones."""


def select(names: Iterable[str], available: Sequence[Check]) -> tuple[Check, ...]:
    """The checks of those ids (any case), in the registry's order; `all` means every one.

    Raises:
        UnknownCheck: a name is no check's id.
    """
    by_id = {check.id: check for check in available}
    wanted: set[str] = set()
    for name in names:
        if name.lower() == "all":
            wanted.update(by_id)
        elif name.upper() in by_id:
            wanted.add(name.upper())
        else:
            near = difflib.get_close_matches(name.upper(), by_id, n=3, cutoff=0.3) or sorted(by_id)
            raise UnknownCheck(f"no check is called {name!r}; near: {', '.join(near)} (or `all`)")
    return tuple(check for check in available if check.id in wanted)


def run_each(checks: Iterable[Check], history: History, bounds: JudgeBounds) -> list[CheckResult]:
    """The result of every check, in order. Never raises for a history it cannot judge."""
    subject = Subject(history, bounds)
    return [_run_one(check, subject) for check in checks]


def _run_one(check: Check, subject: Subject) -> CheckResult:
    try:
        found = check.judge(subject)
    except NotReplayable as reason:
        return CheckResult(check.id, check.name, Verdict.UNKNOWN, 0, f"no whole canonical chain: {reason}")
    except Exception as error:  # a judge that fails must not pass for one that found nothing
        text = f"the check itself failed: {type(error).__name__}: {error}"
        return CheckResult(check.id, check.name, Verdict.UNKNOWN, 0, text, crashed=True)
    return CheckResult(check.id, check.name, found.verdict, found.guarded, found.summary, found.evidence)
