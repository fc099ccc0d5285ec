"""Whole runs for tests: one place to plan, run and read a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.scenario.conduct import OURS, Variant
from harness.scenario.planning import plan_from_file
from harness.scenario.run import RunResult, RuntimeName, run_plan

SCENARIOS = Path(__file__).parents[2] / "scenarios"

Run = Callable[..., RunResult]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run(name, seed=…, overrides=[…], runtime=…, variant=…)` runs a shipped scenario, or a file; gives its result."""

    def run_scenario(
        name: str | Path,
        *,
        seed: int | None = None,
        overrides: Sequence[str] = (),
        runtime: RuntimeName = "sim",
        variant: Variant = OURS,
        report: bool = False,
        judges_online: bool = True,
    ) -> RunResult:
        file = name if isinstance(name, Path) else SCENARIOS / f"{name}.yaml"
        plan = plan_from_file(file, seed=seed, overrides=overrides)
        return run_plan(
            plan, runtime=runtime, out_dir=tmp_path / "runs", variant=variant, report=report,
            judges_online=judges_online,
        )  # fmt: skip

    return run_scenario


def verdict_of(result: RunResult, check: str) -> str:
    """What one check of a run said."""
    return next(str(item["verdict"]) for item in result.result["checks"] if item["id"] == check)
