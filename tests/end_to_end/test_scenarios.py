"""Every shipped scenario holds, for every seed tried; and a run is a function of its plan and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.scenario.folder import RunFolder
from harness.scenario.narration import Silence
from harness.scenario.on_sim import run_sim
from harness.scenario.planning import plan_from_file

from .conftest import SCENARIOS, Run

pytestmark = [pytest.mark.node, pytest.mark.scenario]

SHIPPED = (
    "black-thursday",
    "calm",
    "isolated-leader",
    "keeper-cut-off",
    "oracle-behind",
    "restart-after-outage",
    "split-brain",
)
OF_THE_VENUE = (
    "adversaries", "auction-across-outage", "censored-top-up", "crowded-market", "disputed-settlement",
    "funding-squeeze", "gas-war", "insurance-exhausted", "inverse-fall", "isolated-pool", "oil-below-zero",
    "option-board", "order-book", "pause-under-load", "sandwich", "upgrade-under-load",
)
"""Storms on the venue's own rules; fewer seeds, since what they add is not the network."""
DECEIVING = ("lying-rpc", "l1-reorg", "byzantine-reporter", "bridge-across-reorg")
"""Fewer seeds in CI, for its time; all ten were run when they were made."""
RUNS = [
    *((name, seed) for name in SHIPPED for seed in range(1, 11)),
    *((name, seed) for name in (*OF_THE_VENUE, *DECEIVING) for seed in range(1, 4)),
]


@pytest.mark.parametrize(("name", "seed"), RUNS)
def test_a_shipped_scenario_holds(run: Run, name: str, seed: int) -> None:
    """Nothing is violated, nothing demanded stays unknown, every fault bit and was undone."""
    result = run(name, seed=seed)
    unhappy = [
        (c["id"], c["verdict"], c["summary"])
        for c in result.result["checks"]
        if c["verdict"] != "holds" and (c["demanded"] or c["verdict"] == "violated" or c["crashed"])
    ]
    assert unhappy == []
    assert [f for f in result.result["faults"] if not (f["bit"] and f["healed"])] == []
    assert result.exit_code == 0
    assert result.result["stats"]["settlements"] > 0


def history_of(name: str, seed: int, hash_seed: int, out: Path) -> str:
    """The hash of the history that another process records of a run."""
    code = (
        "import sys, json; from pathlib import Path\n"
        "from harness.scenario.planning import plan_from_file\n"
        "from harness.scenario.run import run_plan\n"
        "result = run_plan(plan_from_file(Path(sys.argv[1]), seed=int(sys.argv[2])), out_dir=Path(sys.argv[3]),\n"
        "                  report=False)\n"
        "print(json.dumps(result.result['history_sha256']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(SCENARIOS / f"{name}.yaml"), str(seed), str(out)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return str(json.loads(done.stdout))


def test_a_seed_names_one_history_whatever_the_hash_seed(tmp_path: Path) -> None:
    """Twice the same, in processes whose sets and dicts of strings are ordered differently; another seed differs."""
    first = history_of("black-thursday", 7, 1, tmp_path)
    assert history_of("black-thursday", 7, 2, tmp_path) == first
    assert history_of("black-thursday", 8, 1, tmp_path) != first


def test_sharing_executions_changes_nothing_in_a_history(tmp_path: Path) -> None:
    """One Anvil per node and one for all of them record the same run, forks and all."""
    plan = plan_from_file(SCENARIOS / "isolated-leader.yaml", seed=2)
    recorded = [
        run_sim(plan, RunFolder.create(tmp_path, plan), Silence(), shared=shared).history_sha256
        for shared in (True, False)
    ]
    assert recorded[0] == recorded[1]
