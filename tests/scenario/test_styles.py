"""The words for traders who follow no script."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.scenario.errors import ScenarioError
from harness.scenario.planning import plan_from_file

CALM = Path(__file__).parents[2] / "scenarios" / "calm.yaml"


def test_the_last_traders_are_the_adversaries_and_only_pay_in_by_script() -> None:
    plan = plan_from_file(CALM, overrides=["workload.adversaries=2"])
    assert plan.styles == (("trader-10", "adversary"), ("trader-11", "adversary"))
    operations = dict(plan.operations)
    assert [op.action for op in operations["trader-11"]] == ["deposit"]
    assert len(operations["trader-0"]) > 1


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["workload.adversaries=13"], "13 traders have a strategy, and there are 12"),
        (["workload.hedgers=1"], "trade in the book"),
    ],
)
def test_what_no_trader_can_do_is_refused_with_its_path(overrides: list[str], says: str) -> None:
    with pytest.raises(ScenarioError, match=says):
        plan_from_file(CALM, overrides=overrides)
