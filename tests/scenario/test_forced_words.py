"""Words about the forced queue: who uses it, with what money, and who would rather have it ignored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.roles.orders import EVEN_FORCED
from harness.scenario.errors import ScenarioError
from harness.scenario.plan_file import parse_plan, plan_bytes
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]


@pytest.mark.parametrize(("override", "nanoseconds"), [([], 0), (["workload.force_after=2500ms"], 2_500_000_000)])
def test_how_long_a_trader_waits_reaches_the_plan_and_its_file(
    write: Write, minimal: str, override: list[str], nanoseconds: int
) -> None:
    plan = plan_from_file(write(minimal), overrides=override)
    assert plan.force_after_ns == nanoseconds
    assert parse_plan(plan_bytes(plan)) == plan


def test_waiting_for_no_time_is_refused(write: Write, minimal: str) -> None:
    """Zero stands for never in a plan; whoever writes it meant something else."""
    with pytest.raises(ScenarioError, match=r"workload\.force_after"):
        plan_from_file(write(minimal), overrides=["workload.force_after=0s"])


@pytest.mark.parametrize(("word", "how"), [("", "leave-out"), (", forced: true", EVEN_FORCED)])
def test_a_censor_is_told_whether_even_to_leave_out_what_l1_forces(
    write: Write, minimal: str, word: str, how: str
) -> None:
    faults = f"faults:\n  - {{at: 2s, for: 2s, censor: {{of: sequencer-1, from: trader-*{word}}}}}\n"
    (fault,) = plan_from_file(write(minimal + faults)).faults
    assert fault.order is not None
    assert (fault.order.how, fault.order.names) == (how, ("trader-0", "trader-1", "trader-2"))
    assert ("forced or not" in fault.text) is bool(word)
