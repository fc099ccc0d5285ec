"""`governance:` in a scenario: steps by time, masks and factors whole, contradictions refused with their place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.plan import GovernanceStep
from harness.scenario.errors import ScenarioError
from harness.scenario.plan_file import parse_plan, plan_bytes
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]
SECOND = 10**9


def governed(write: Write, minimal: str, *steps: str, extra: str = "") -> tuple[GovernanceStep, ...]:
    text = minimal + extra + "governance:\n" + "".join(f"  - {{{step}}}\n" for step in steps)
    return plan_from_file(write(text)).governance


def test_steps_are_planned_by_time_with_masks_and_whole_factors(write: Write, minimal: str) -> None:
    """What a step leaves out it keeps from the parameters, or from the step before it."""
    steps = governed(
        write, minimal,
        "at: 9s, unpause: everything", "at: 5s, pause: [trading, liquidation]", "at: 4s, upgrade: liquidator",
        "at: 1s, factors: {mm_bps: 700}", "at: 2s, factors: {im_bps: 1100}", "at: 10s, add_reporter: reporter-2",
        "at: 7s, remove_reporter: reporter-2", "at: 11s, remove_reporter: reporter-0",
    )  # fmt: skip
    assert steps == (
        GovernanceStep(1 * SECOND, "factors", factors=(1000, 700, 1500, 1000, 750)),
        GovernanceStep(2 * SECOND, "factors", factors=(1100, 700, 1500, 1000, 750)),
        GovernanceStep(4 * SECOND, "upgrade"),
        GovernanceStep(5 * SECOND, "pause", mask=3),
        GovernanceStep(7 * SECOND, "remove-reporter", reporter="reporter-2"),
        GovernanceStep(9 * SECOND, "unpause", mask=7),
        GovernanceStep(10 * SECOND, "add-reporter", reporter="reporter-2"),
        GovernanceStep(11 * SECOND, "remove-reporter", reporter="reporter-0"),
    )


def test_a_governed_plan_survives_its_file_and_lasts_until_the_last_change(write: Write, minimal: str) -> None:
    """A change announced at 30 s is in force 20 s later, and the storm is not over before."""
    plan = plan_from_file(write(minimal + "governance:\n  - {at: 30s, factors: {mm_bps: 700}}\n"))
    assert parse_plan(plan_bytes(plan)) == plan
    assert plan.storm_ns > 50 * SECOND


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (["at: 1s"], r"governance\[0\].*give one of pause, unpause, factors, upgrade, remove_reporter and add_"),
        (["at: 1s, pause: trading, upgrade: liquidator"], r"governance\[0\].*give one of"),
        (["at: 1s, pause: everythin"], r"governance\[0\]\.pause"),
        (["at: 1s, pause: []"], r"governance\[0\]\.pause"),
        (["at: 1s, unpause: trading"], r"governance\[0\]\.unpause.*trading is not paused at 1s"),
        (["at: 1s, pause: everything", "at: 2s, pause: liquidation"], r"governance\[1\]\.pause.*paused already at 2s"),
        (["at: 1s, factors: {}"], r"governance\[0\].*names at least one of im_bps"),
        (["at: 1s, factors: {mm: 700}"], r"governance\[0\]\.factors.*unknown key"),
        (["at: 1s, factors: {mm_bps: 1001}"], r"governance\[0\]\.factors.*mm_bps 1001 ≤ im_bps 1000"),
        (["at: 1s, factors: {mm_bps: 249}"], r"governance\[0\]\.factors.*penalty_bps 250 ≤ mm_bps 249"),
        (["at: 1s, factors: {option_mm_bps: 1001}"], r"governance\[0\]\.factors.*option_mm_bps 1001"),
        (["at: 1s, upgrade: vault"], r"governance\[0\]\.upgrade"),
        (["at: 1s, remove_reporter: reporter-4"], r"governance\[0\]\.remove_reporter.*no reporter-4.*oracles is 4"),
        (["at: 1s, remove_reporter: keeper-0"], r"governance\[0\]\.remove_reporter"),
        (["at: 1s, add_reporter: reporter-0"], r"governance\[0\]\.add_reporter.*reporter-0 is one already"),
        (["at: 1s, remove_reporter: reporter-0", "at: 2s, remove_reporter: reporter-0"],
         r"governance\[1\]\.remove_reporter.*removed already"),
        (["at: 1s, remove_reporter: reporter-0", "at: 2s, remove_reporter: reporter-1"],
         r"governance\[1\]\.remove_reporter.*2 reporters are left, and a round needs venue.min_sources 3"),
        (["at: 1s, upgrade: liquidator", "at: 2s, upgrade: liquidator"], r"governance\[1\]\.upgrade.*switched to once"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused_with_its_place(
    write: Write, minimal: str, steps: list[str], says: str
) -> None:
    with pytest.raises(ScenarioError, match=says):
        governed(write, minimal, *steps)


def test_nobody_governs_where_there_is_no_venue(write: Write, minimal: str) -> None:
    """A project alone has no pauses to use."""
    with pytest.raises(ScenarioError, match="is required"):
        governed(write, "version: 1\nname: tiny\n", "at: 1s, pause: trading")
