"""A storm and the same run without its faults, side by side (LS7): the faults alone get nobody liquidated."""

from __future__ import annotations

import pytest

from harness.checks.paired import healthy_without_faults
from harness.checks.results import Verdict
from harness.checks.subject import Subject
from harness.history.reader import read
from harness.scenario.folder import RunFolder
from harness.scenario.judging import bounds_of
from harness.scenario.planning import plan_from_file

from .conftest import SCENARIOS, Run

pytestmark = [pytest.mark.node, pytest.mark.scenario]


def subject(run: Run, name: str, overrides: tuple[str, ...] = ()) -> Subject:
    result = run(name, seed=1, overrides=overrides)
    bounds = bounds_of(plan_from_file(SCENARIOS / f"{name}.yaml", seed=1))
    return Subject(read(RunFolder(result.folder).history), bounds)


@pytest.mark.parametrize("name", ["byzantine-reporter", "restart-after-outage"])
def test_an_account_healthy_without_the_faults_is_not_liquidated_under_them(run: Run, name: str) -> None:
    """One storm lies about prices, the other takes the chain away while they fall."""
    calm = subject(run, name, ("faults=[]",))
    found = healthy_without_faults(calm, subject(run, name))
    assert calm.history.faults == ()
    assert found.verdict is Verdict.HOLDS, found
    assert found.guarded > 2
