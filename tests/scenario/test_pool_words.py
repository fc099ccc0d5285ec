"""`pools:` in a scenario: refused until the checks know isolated pools, since they would call such a storm violated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.scenario.errors import ScenarioError
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]


def test_pools_are_refused_until_they_can_be_judged(write: Write, minimal: str) -> None:
    """A false verdict would be worse than none."""
    with pytest.raises(ScenarioError, match="pools: isolated pools are in the contracts, but no check judges them yet"):
        plan_from_file(write(minimal + "pools: {wild: {}}\n"))


def test_a_plan_without_pools_moves_nothing(write: Write, minimal: str) -> None:
    plan = plan_from_file(write(minimal))
    assert plan.pool_insurance_native == ()
    assert not [op for _, operations in plan.operations for op in operations if op.action == "move"]
