"""`harness init` fits what it writes to the repository, and what it writes works as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.scenario.planning import plan_from_file
from harness.solidity.foreign import read_contracts

from .test_artifacts import as_foundry, as_hardhat

pytestmark = pytest.mark.node

SOURCES = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Board { uint256 public lines; function write() external { lines += 1; } }
contract Capped { uint256 public immutable cap; constructor(uint256 cap_, address[] memory who) { cap = cap_; } }
interface IBoard { function write() external; }
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "My Board"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "Board.sol").write_text(SOURCES)
    return folder


@pytest.mark.parametrize(
    ("toolchain", "place"), [("Foundry", "out"), ("Hardhat", "artifacts"), ("Solidity sources", "src")]
)
def test_what_it_writes_fits_the_toolchain_and_plans(
    repository: Path, toolchain: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts = read_contracts(repository / "src", shown="src").artifacts
    if toolchain == "Foundry":
        (repository / "foundry.toml").write_text("[profile.default]\nout = 'out'\n")
        for artifact in artifacts:
            as_foundry(artifact, repository / "out")
    elif toolchain == "Hardhat":
        (repository / "hardhat.config.ts").write_text("export default {};\n")
        for artifact in artifacts:
            as_hardhat(artifact, repository / "artifacts")
    assert main(["init", str(repository), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["toolchain"], said["deployed"]) == (toolchain, ["Board"])
    assert said["left_out"] == ["Capped(uint256 cap_, address[] who)"]
    assert f"contracts: {place}\n" in (repository / "harness.yaml").read_text()
    plan = plan_from_file(repository / "storms" / "first-storm.yaml")
    assert plan.project is not None
    assert [item.name for item in plan.project.contracts] == ["board"]


def test_the_test_and_the_storm_it_writes_pass_as_they_are(repository: Path, tmp_path: Path) -> None:
    """The next two commands it names, run as a user would."""
    assert main(["init", str(repository)]) == 0
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_my_board_network.py"],
        cwd=repository, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert main(["run", str(repository / "storms" / "first-storm.yaml"), "--out", str(tmp_path / "runs")]) == 0


def test_it_overwrites_nothing(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of its files is there: exit code 2, and none of the others is written."""
    (repository / "storms").mkdir()
    (repository / "storms" / "first-storm.yaml").write_text("mine\n")
    assert main(["init", str(repository)]) == 2
    assert "storms/first-storm.yaml is there already; init overwrites nothing" in capsys.readouterr().err
    assert (repository / "storms" / "first-storm.yaml").read_text() == "mine\n"
    assert not (repository / "harness.yaml").exists()
    assert not (repository / "tests").exists()


def test_a_repository_that_does_not_compile_still_gets_one(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "src" / "Board.sol").write_text("contract {")
    assert main(["init", str(repository)]) == 0
    assert "the contracts do not compile" in capsys.readouterr().out
    plan_from_file(repository / "storms" / "first-storm.yaml")


def test_doctor_warns_of_guards_that_are_off_on_test_chains(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "src" / "Guarded.sol").write_text(
        "contract G {\n"
        "  function a() external view { if (block.chainid == 31337) return; }\n"
        "  // if (block.chainid == 1337) in a comment is none\n"
        "  function b() external pure returns (bytes32) { return keccak256('FORK'); }\n"
        "  function c() external view returns (bool) { return block.chainid == 10; }\n"
        "}\n"
    )
    (repository / "test").mkdir()
    (repository / "test" / "G.t.sol").write_text("contract T { bool x = block.chainid == 31337; }\n")
    assert main(["doctor", str(repository), "--json"]) in (0, 4)
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert [warning.split(": ")[0] for warning in warnings] == ["src/Guarded.sol:2", "src/Guarded.sol:4"]
    assert "networks of the harness have 900 and 901" in warnings[0]
    assert "FORK marker" in warnings[1]
    assert main(["doctor", str(repository / "nowhere")]) == 2


def test_the_project_file_has_a_schema_for_editors(capsys: pytest.CaptureFixture[str]) -> None:
    """It speaks of the keys that are written, not of our names for them."""
    assert main(["schema", "--project"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"contracts", "accounts", "deploy", "actors", "watch", "checks"} <= set(schema["properties"])
    assert "as" in schema["$defs"]["Deployment"]["properties"]
    assert "class" in schema["$defs"]["ActorSpec"]["properties"]
