"""The README stays true: the storm it shows holds, the commands it lists exist, the demo ends as printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from harness.cli.main import main
from harness.scenario.fault_words import FAULT_WORDS, Fault
from harness.scenario.planning import plan_from_file
from harness.scenario.run import run_plan

README = (Path(__file__).parents[1] / "README.md").read_text()
CARRIED = {"loss": "Loss", "rate": "Bandwidths", "latency": "Latency", "duplicate": "Duplicate", "reorder": "Reorder"}
CODE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [body for kind, body in CODE.findall(README) if kind == language]


@pytest.mark.node
@pytest.mark.scenario
def test_the_storm_in_the_readme_holds(tmp_path: Path) -> None:
    """The first scenario a newcomer copies must run, and hold."""
    (shown,) = blocks("yaml")
    file = tmp_path / "first-storm.yaml"
    file.write_text(shown)
    result = run_plan(plan_from_file(file), out_dir=tmp_path, report=False).result
    assert [(c["id"], c["summary"]) for c in result["checks"] if c["verdict"] != "holds" and c["demanded"]] == []
    assert all(fault["bit"] and fault["healed"] for fault in result["faults"])
    assert result["exit_code"] == 0


def test_every_command_shown_exists(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb or an option that is gone must leave the README too."""
    monkeypatch.setenv("COLUMNS", "200")
    lines = [line.split("#")[0] for body in blocks("") for line in body.splitlines() if line.startswith("harness ")]
    assert len(lines) >= 7
    for line in lines:
        words = shlex.split(line)[1:]
        assert main([words[0], "--help"]) == 0, line
        helped = capsys.readouterr().out
        for option in (word for word in words if word.startswith("--")):
            assert option in helped, f"{option} of `{line}`"


def test_every_fault_word_shown_is_one_of_scenario_files() -> None:
    """What stands in the table of faults in containers can be copied into a file."""
    (lies,) = re.findall(r"^## Nodes that lie, and an L1 that turns back$(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    for words in re.findall(r"^\| `([a-z-]+: [^`]+)`", lies, re.MULTILINE):
        Fault.model_validate({"at": "1s", **yaml.load(words, Loader=yaml.BaseLoader)})
    assert {word for word in FAULT_WORDS if f"| `{word}: " in lies} >= {"rpc", "reorg", "oracle", "censor", "fee-spike"}
    (table,) = re.findall(r"^## Faults in containers$(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    shown = re.findall(r"^\| `([a-z-]+: [^`]+)`", table, re.MULTILINE)
    assert len(shown) >= 4
    for words in shown:
        Fault.model_validate({"at": "1s", "for": "1s", **yaml.load(words, Loader=yaml.BaseLoader)})
    for word in re.findall(r"`([a-z-]+)`", re.search(r"^\| (.*) with `via: kernel`", table, re.MULTILINE)[1]):  # type: ignore[index]
        assert "via" in Fault.model_json_schema()["$defs"][CARRIED[word]]["properties"]


@pytest.mark.node
@pytest.mark.scenario
def test_the_demo_ends_as_the_readme_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output shown is the real one: the simulator is deterministic, so it can be compared to the word."""
    shown = re.search(r"<!-- demo -->\n```\n(.*?)```\n<!-- /demo -->", README, re.DOTALL)
    assert shown is not None, "the README shows no demo output"
    assert main(["demo", "--out", str(tmp_path)]) == 0
    expected, printed = shown[1].splitlines(), capsys.readouterr().out.splitlines()
    assert [_without_folder(line) for line in expected] == [_without_folder(line) for line in printed]


def _without_folder(line: str) -> str:
    """Paths of run folders hold the time of the run."""
    return re.sub(r"\S*/?black-thursday-7-[^/\s]+", "<folder>", line).rstrip()
