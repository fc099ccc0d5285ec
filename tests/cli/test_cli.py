"""The command line: exit codes, what goes to which stream, and no traceback for a user's mistake."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import harness.toolchain
from harness.cli.main import main
from harness.history.errors import HistoryError
from harness.plan import Plan
from harness.ports import EngineFailure, StoreFailure
from harness.scenario.plan_file import plan_bytes
from harness.scenario.planning import plan_from_file
from harness.toolchain import ACCEPTED_ANVIL, ToolError, ToolStatus

ROOT = Path(__file__).parents[2]
CALM = ROOT / "scenarios" / "calm.yaml"


@dataclass
class Finished:
    """What `run_plan` returns, made up."""

    exit_code: int
    folder: Path
    verdict: str = "holds"
    result: dict[str, Any] = field(default_factory=dict)


Stub = Callable[..., list[Plan]]


@pytest.fixture
def stub_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stub:
    """Replace the run by one that ends as told; returns the plans it was given."""

    def stub(*, verdict: str = "holds", exit_code: int = 0, error: BaseException | None = None) -> list[Plan]:
        plans: list[Plan] = []

        def run_plan(plan: Plan, *, runtime: str, out_dir: Path, narrate: Any, variant: object) -> Finished:
            plans.append(plan)
            narrate.milestone("boot")
            narrate.progress(5 * 10**9, 10 * 10**9, "head 12")
            if error is not None:
                raise error
            result = {
                "scenario": plan.scenario, "seed": plan.seed, "runtime": runtime, "verdict": verdict,
                "exit_code": exit_code, "checks": [], "faults": [], "problems": [], "stats": {}, "replay": "harness …",
            }  # fmt: skip
            return Finished(exit_code, tmp_path / "run", verdict, result)

        # The module, not its function: the command line must need nothing else of it, and tests no chain stack.
        module = ModuleType("harness.scenario.run")
        module.__dict__["run_plan"] = run_plan
        monkeypatch.setitem(sys.modules, "harness.scenario.run", module)
        return plans

    return stub


@pytest.mark.parametrize(("verdict", "code"), [("holds", 0), ("violated", 1), ("unknown", 3), ("unknown", 4)])
def test_the_exit_code_is_the_runs(stub_run: Stub, verdict: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """CI reads nothing else."""
    stub_run(verdict=verdict, exit_code=code)
    assert main(["run", "calm"]) == code
    out, err = capsys.readouterr()
    assert ("FAILED" if code == 4 else verdict.upper()) in out
    assert "seed 1" in err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ToolError("Anvil is missing", found="nothing on PATH", remedy="run make setup"), 4, "run make setup"),
        (EngineFailure("node sequencer-1 died twice"), 4, "sequencer-1 died twice"),
        (StoreFailure("no space left"), 4, "no space left"),
        (HistoryError("line 7 is cut off"), 4, "cut off"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 4, "runs/x: No space left on device"),
        (OSError(errno.EADDRINUSE, "Address already in use"), 4, "Address already in use"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BaseExceptionGroup("several", [ValueError("x"), KeyboardInterrupt()]), 130, "interrupted"),
        (ExceptionGroup("several", [EngineFailure("node died")]), 4, "node died"),
        (RuntimeError("surprise"), 4, "RuntimeError: surprise"),
    ],
)
def test_what_goes_wrong_in_a_run_is_a_message_and_a_code(
    stub_run: Stub, error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stub_run(error=error)
    assert main(["run", "calm"]) == code
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


def test_a_traceback_is_shown_on_request(
    stub_run: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_DEBUG", "1")
    stub_run(error=RuntimeError("surprise"))
    assert main(["run", "calm"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_json_is_the_only_thing_on_stdout(stub_run: Stub, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    stub_run()
    assert main(["run", "calm", "--json"]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    assert document["verdict"] == "holds"
    assert document["folder"].endswith("run")


def test_seed_and_overrides_reach_the_plan(stub_run: Stub) -> None:
    plans = stub_run()
    assert (
        main(["run", str(CALM), "--seed", "99", "--set", "network.l2.sequencers=7", "--set", "workload.traders=2"]) == 0
    )
    assert plans[0].seed == 99
    assert len(plans[0].of_kind("sequencer")) == 7
    assert len(plans[0].operations) == 2


def test_replay_runs_the_plan_of_a_folder(stub_run: Stub, tmp_path: Path) -> None:
    plan = plan_from_file(CALM, seed=5)
    (tmp_path / "plan.json").write_bytes(plan_bytes(plan))
    plans = stub_run()
    assert main(["replay", str(tmp_path)]) == 0
    assert plans == [plan]


def test_demo_runs_black_thursday(stub_run: Stub) -> None:
    plans = stub_run()
    assert main(["demo"]) == 0
    assert plans[0].scenario == "black-thursday"


USAGE = [
    (["run", "blak-thursday"], "did you mean black-thursday"),
    (["run", "missing.yaml"], "no such file"),
    (["run", str(ROOT / "scenarios") + "/"], "is a directory"),
    (["validate", "calm", "--set", "sede=3"], "did you mean seed?"),
    (["validate", "calm", "--set", "seed"], "is not key=value"),
    (["replay", "nowhere"], "no such plan"),
    (["report", "nowhere"], "no such plan"),
    (["run", "calm", "--seed", "-1"], "--seed"),
    (["run", "calm", "--runtime", "composed"], "composed"),
    (["run"], "SCENARIO"),
    (["rum"], "rum"),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE, ids=[" ".join(case[0]) for case in USAGE])
def test_a_users_mistake_is_exit_2_with_a_message(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert out == ""
    assert "Traceback" not in err


GARBAGE = {
    "unknown key": ("name: calm", "nmae: calm", "nmae"),
    "wrong type": ("version: 1", "version: [1]", "version"),
    "negative duration": ("storm: 60s", "storm: -60s", "storm"),
    "NaN price": ("0s: 200", "0s: .nan", "market.ETH.knots.0s"),
    "missing CSV": ("  ETH: {knots:", "  BTC: {csv: no.csv, column: close}\n  ETH: {knots:", "market.BTC.csv"),
    "unknown node": ("storm: 60s", "storm: 60s\nfaults: [{at: 1s, for: 1s, kill: sequencer-9}]", "faults[0].kill"),
    "contradiction": (
        "storm: 60s",
        "storm: 60s\nfaults: [{at: 1s, for: 5s, kill: keeper-0}, {at: 2s, for: 1s, kill: keeper-0}]",
        "faults[1].kill",
    ),
    "10 MB": ("storm: 60s", "storm: 60s\n" + "#" * 10_000_000, "larger than"),
    "bomb": ("storm: 60s", "storm: &a [x, x]\na: &b [*a, *a]\nb: [*b, *b]", "aliases"),
}


@pytest.mark.parametrize("case", list(GARBAGE))
def test_garbage_in_a_scenario_is_exit_2_with_its_place(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, words = GARBAGE[case]
    text = CALM.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "storm.yaml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    for verb in ("validate", "run"):
        assert main([verb, str(file)]) == 2
        err = capsys.readouterr().err
        assert words in err
        assert str(file) in err
        assert "Traceback" not in err


def test_an_error_is_a_document_too_under_json(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["validate", "calm", "--set", "storm=-5s", "--json"]) == 2
    document = json.loads(capsysbinary.readouterr().out)
    assert document["exit_code"] == 2
    assert document["problems"][0]["where"] == "storm"


def test_validate_says_what_a_storm_would_do(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["validate", "black-thursday", "--json"]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    assert document["scenario"] == "black-thursday"
    assert [fault["id"] for fault in document["faults"]] == ["f1", "f2", "f3", "f4", "f5", "f6"]


def test_schema_is_json_schema_that_knows_every_top_level_key(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsysbinary.readouterr().out)
    assert {"version", "name", "market", "products", "workload", "faults", "within"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("verb", ["demo", "run", "replay", "validate", "report", "schema", "doctor"])
def test_help_starts_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[1].startswith(f"Example: harness {verb}")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"harness {version('harness')}, for Anvil {ACCEPTED_ANVIL}\n"


@pytest.mark.parametrize(("found", "code"), [(True, 0), (False, 4)])
def test_doctor_fails_only_for_what_a_run_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: bool, code: int
) -> None:
    tools = [
        ToolStatus("anvil", found, "/opt/anvil" if found else None, "1.7.1" if found else None, True, "make setup"),
        ToolStatus("docker engine", False, None, None, False, "install Docker"),
    ]
    monkeypatch.setattr(harness.toolchain, "inspect", lambda: tools)
    assert main(["doctor"]) == code
    out = capsys.readouterr().out
    assert "install Docker" in out
    assert ("make setup" in out) is not found


def test_nothing_heavy_is_imported_for_help() -> None:
    """A command line that takes seconds to say how it is used is not used."""
    program = (
        "import sys; from harness.cli.main import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    for heavy in ("'web3'", "'plotly.graph_objects'", "'docker'", "'solcx'"):
        assert heavy not in done.stderr


def test_ctrl_c_is_exit_130_even_before_the_run(tmp_path: Path) -> None:
    """The verb is waiting on a FIFO it was given as its scenario when the interrupt comes."""
    fifo = tmp_path / "storm.yaml"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "validate", str(fifo)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    writer = os.open(fifo, os.O_WRONLY)  # returns when the process has opened the other end
    try:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        os.close(writer)
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in err
