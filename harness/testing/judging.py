"""`check("C1", "LS1")`: properties that must have held since the network began, judged with the model."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.registry import run_each, select
from harness.checks.results import CheckResult, Verdict
from harness.history.reader import read
from harness.project.judging import available_checks
from harness.scenario.judging import bounds_of
from harness.testing.network import NetworkUnderTest

EVIDENCE_SHOWN = 3


class NotHeld(AssertionError):
    """A property was violated, or the run had nothing by which to judge it."""


def judged(network: NetworkUnderTest, names: Sequence[str]) -> list[CheckResult]:
    """The checks' results over everything that happened since genesis. Raises UnknownCheck."""
    plan = network.plan
    chosen = select(names, available_checks(plan))
    return run_each(chosen, read(network.history()), bounds_of(plan))


def demand(network: NetworkUnderTest, names: Sequence[str]) -> list[CheckResult]:
    """The same, and each must hold: unknown is not good enough where a check was named.

    Raises:
        NotHeld: with the evidence of each that did not.
    """
    __tracebackhide__ = True
    results = judged(network, names or ["all"])
    # Under `all`, what waits for an occasion need not have met one; the end of the run is not here yet either.
    bad = [
        result
        for result in results
        if result.verdict is Verdict.VIOLATED
        or (names and result.demanded and result.verdict is not Verdict.HOLDS)
    ]
    if bad:
        raise NotHeld("\n".join(line for result in bad for line in _lines(result)))
    return results


def _lines(result: CheckResult) -> list[str]:
    shown = [f"    {case}" for case in result.evidence[:EVIDENCE_SHOWN]]
    return [f"{result.id} ({result.name}) is {result.verdict}: {result.summary}", *shown]
