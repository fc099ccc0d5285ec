"""What the README shows of pytest and of one's own contracts works, word for word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.report.exit_code import is_idle
from harness.scenario.planning import plan_from_file
from harness.scenario.run import run_plan

ROOT = Path(__file__).parents[1]
SHOWN = re.compile(r"^```(?:python|yml)\n# (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.node, pytest.mark.scenario]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every file the README shows under its name, and the contracts of the vault beside them."""
    files = dict(SHOWN.findall((ROOT / "README.md").read_text()))
    assert set(files) >= {"test_leader.py", "harness.yaml", "actors.py", "checks.py", "storm.yaml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    shutil.copytree(ROOT / "scenarios" / "examples" / "vault" / "contracts", tmp_path / "contracts")
    return tmp_path


@pytest.mark.parametrize("runtime", ["sim", pytest.param("local", marks=pytest.mark.local)])
def test_the_ten_lines_pass(folder: Path, runtime: str) -> None:
    """A liquidation happens while the leader is cut off, in virtual time and among real processes."""
    file = folder / "test_leader.py"
    text = file.read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    if runtime != "sim":
        assert "network(sequencers=4, " in text
        file.write_text(text.replace("network(sequencers=4, ", f'network(sequencers=4, runtime="{runtime}", '))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_leader.py"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_project_shown_holds_in_its_storm(folder: Path, tmp_path: Path) -> None:
    result = run_plan(plan_from_file(folder / "storm.yaml"), out_dir=tmp_path / "runs", report=False).result
    checks = {check["id"]: check for check in result["checks"]}
    assert checks["MY-CUSTODY"]["verdict"] == "holds"
    assert [check for check in checks.values() if check["verdict"] != "holds" and not is_idle(check)] == []
    assert all(fault["bit"] and fault["healed"] for fault in result["faults"])
