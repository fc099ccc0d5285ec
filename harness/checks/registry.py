"""Every check by id, and the one way to run them: a check that fails says unknown, it never takes the run with it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.checks.results import CheckResult, Finding, JudgeBounds, Verdict
from harness.checks.subject import NotReplayable, Subject
from harness.history.reader import History


@dataclass(frozen=True, slots=True)
class Check:
    id: str                      # as in scenario files: "C1"
    name: str                    # in a few words: "conservation"
    about: str                   # one sentence: what must hold
    judge: Callable[[Subject], Finding]
    occasion: str = ""           # what a run may well never meet ("a loss beyond collateral"); `all` does not demand it


@dataclass(frozen=True, slots=True)
class Chosen:
    """A check to be run, and whether a run in which it saw nothing may still hold."""

    check: Check
    demanded: bool

    def __str__(self) -> str:
        """As `select` reads it: `C1`, or `C4?` where nothing is demanded."""
        return self.check.id + ("" if self.demanded else "?")


class UnknownCheck(ValueError):
    """A check was asked for that does not exist; the message names the near ones."""


def select(names: Iterable[str], available: Sequence[Check]) -> tuple[Chosen, ...]:
    """The checks of those ids (any case), in the registry's order; `all` means every one.

    A check named by its id is demanded: a run in which it has nothing to judge is *unknown*. With a `?` behind it, and
    under `all` where it waits for an occasion, it is judged all the same, and violated is violated; but seeing nothing
    says nothing about the run. Of two mentions the demanding one counts.

    Raises:
        UnknownCheck: a name is no check's id.
    """
    by_id = {check.id: check for check in available}
    wanted: dict[str, bool] = {}
    for name in names:
        id_ = name.removesuffix("?").upper()
        if name.lower() == "all":
            for check in available:
                wanted[check.id] = wanted.get(check.id, False) or not check.occasion
        elif id_ in by_id:
            wanted[id_] = wanted.get(id_, False) or not name.endswith("?")
        else:
            near = difflib.get_close_matches(id_, by_id, n=3, cutoff=0.3) or sorted(by_id)
            raise UnknownCheck(f"no check is called {name!r}; near: {', '.join(near)} (or `all`)")
    return tuple(Chosen(check, wanted[check.id]) for check in available if check.id in wanted)


def run_each(checks: Iterable[Chosen], history: History, bounds: JudgeBounds) -> list[CheckResult]:
    """The result of every check, in order. Never raises for a history it cannot judge."""
    return run_on(checks, Subject(history, bounds))


def run_on(checks: Iterable[Chosen], subject: Subject) -> list[CheckResult]:
    """The same for a subject that others look at too."""
    return [replace(judge_one(chosen.check, subject), demanded=chosen.demanded) for chosen in checks]


def judge_one(check: Check, subject: Subject) -> CheckResult:
    """One check's result; unknown, and marked as crashed, where the check itself failed."""
    try:
        found = check.judge(subject)
    except NotReplayable as reason:
        return CheckResult(check.id, check.name, Verdict.UNKNOWN, 0, f"no whole canonical chain: {reason}")
    except Exception as error:  # a judge that fails must not pass for one that found nothing
        text = f"the check itself failed: {type(error).__name__}: {error}"
        return CheckResult(check.id, check.name, Verdict.UNKNOWN, 0, text, crashed=True)
    return CheckResult(check.id, check.name, found.verdict, found.guarded, found.summary, found.evidence)
