"""What a set of runs shows: a property that was never judged, one violation among many, seeds as one writes them."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from harness.checks.results import Verdict
from harness.cli.main import main
from harness.hunt.sweep import SeedRun, Sweep, seeds_of
from harness.scenario.errors import ScenarioError

GOOD = SeedRun(
    scenario="calm", seed=1, verdict=Verdict.HOLDS, checks={"C1": Verdict.HOLDS, "C4": Verdict.UNKNOWN},
    unsettled=(), compared=130, differing=0, wall_s=5.0, folder=None,
)  # fmt: skip


def test_a_property_that_no_run_judged_is_named() -> None:
    """One that waited in every run for its occasion was never tested, however green the set is."""
    sweep = Sweep([GOOD, replace(GOOD, seed=2)])
    assert (sweep.verdict(), sweep.never_judged()) == (Verdict.HOLDS, ["C4"])
    sweep.runs.append(replace(GOOD, scenario="crash", checks={"C4": Verdict.HOLDS}))
    assert sweep.never_judged() == []
    assert [row["runs"] for row in sweep.scenario_rows()] == [2, 1]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"verdict": Verdict.VIOLATED}, Verdict.VIOLATED),
        ({"verdict": Verdict.UNKNOWN}, Verdict.UNKNOWN),
        ({"differing": 1}, Verdict.VIOLATED),
    ],
)
def test_one_bad_run_among_good_ones_decides(changes: dict[str, object], verdict: Verdict) -> None:
    """A violation is never averaged away, and neither is a wei."""
    assert Sweep([GOOD, replace(GOOD, **changes), GOOD]).verdict() is verdict  # type: ignore[arg-type]  # a test's table


def test_nothing_run_is_no_good_news() -> None:
    assert Sweep().verdict() is Verdict.UNKNOWN


@pytest.mark.parametrize(("text", "seeds"), [("1..3", [1, 2, 3]), ("7", [7]), ("5..5", [5])])
def test_seeds_are_written_with_both_ends(text: str, seeds: list[int]) -> None:
    assert list(seeds_of(text)) == seeds


@pytest.mark.parametrize("text", ["3..1", "a..b", "1-3", "", "-1", "1..99999999"])
def test_other_seeds_are_refused_in_words(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"seeds|last is before"):
        seeds_of(text)


def test_a_scenario_that_does_not_exist_is_told_before_anything_runs(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "clam", "--seeds", "1..2"]) == 2
    assert "calm" in capfd.readouterr().err


@pytest.mark.node
@pytest.mark.scenario
def test_a_sweep_judges_and_counts_every_seed(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: object
) -> None:
    """Two real runs in two workers; what holds leaves no folder behind."""
    code = main(["sweep", "calm", "--seeds", "4..5", "--out", str(tmp_path), "--json", "--jobs", "2"])
    document = orjson.loads(capfdbinary.readouterr().out)
    assert (code, document["verdict"], document["runs"], document["differing"]) == (0, "holds", 2, 0)
    assert document["compared"] > 100
    assert {row["id"]: row["holds"] for row in document["checks"]}["A6"] == 2
    assert document["failed"] == []
