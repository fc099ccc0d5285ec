"""Artifacts of Foundry and of Hardhat are read like sources: same bytecode, same addresses, libraries linked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.evm.accounts import account
from harness.plan import Plan
from harness.project_plan import ProjectCodec
from harness.scenario.errors import ScenarioError
from harness.scenario.planning import plan_from_file
from harness.solidity.foreign import ForeignArtifact, read_contracts

pytestmark = pytest.mark.node

DEPLOY = """version: 1
contracts: {contracts}
deploy:
  - {{contract: Halves}}
  - {{contract: Linked, args: [84]}}
  - {{contract: Counter, args: [10, $linked], value: 1 ether, then: [{{call: add, args: [5]}}]}}
  - {{call: counter.add, args: [7]}}
watch: {{count: counter.count()}}
"""


def placeholder(artifact: ForeignArtifact) -> str:
    """The bytecode as compilers leave it: a placeholder where each library's address goes."""
    code = artifact.bytecode
    for link in artifact.links:
        for start in link.starts:
            code = code[: 2 * start] + "__$" + "a" * 34 + "$__" + code[2 * start + 40 :]
    return "0x" + code


def references(artifact: ForeignArtifact) -> dict[str, dict[str, list[dict[str, int]]]]:
    found: dict[str, dict[str, list[dict[str, int]]]] = {}
    for link in artifact.links:
        source, _, name = link.library.partition(":")
        found.setdefault(source, {})[name] = [{"start": start, "length": 20} for start in link.starts]
    return found


def as_foundry(artifact: ForeignArtifact, out: Path) -> None:
    file = out / Path(artifact.source).name / f"{artifact.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({
        "abi": artifact.abi,
        "bytecode": {"object": placeholder(artifact), "sourceMap": "", "linkReferences": references(artifact)},
        "deployedBytecode": {"object": "0x", "sourceMap": "", "linkReferences": {}},
        "methodIdentifiers": {},
        "metadata": {"settings": {"compilationTarget": {f"src/{artifact.source}": artifact.name}}},
    }))  # fmt: skip


def as_hardhat(artifact: ForeignArtifact, out: Path) -> None:
    folder = out / "contracts" / artifact.source
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{artifact.name}.json").write_text(json.dumps({
        "_format": "hh-sol-artifact-1", "contractName": artifact.name, "sourceName": f"contracts/{artifact.source}",
        "abi": artifact.abi, "bytecode": placeholder(artifact), "deployedBytecode": "0x",
        "linkReferences": references(artifact), "deployedLinkReferences": {},
    }))  # fmt: skip
    (folder / f"{artifact.name}.dbg.json").write_text(
        json.dumps({"_format": "hh-sol-dbg-1", "buildInfo": "../../build-info/x.json"})
    )
    (out / "build-info").mkdir(exist_ok=True)
    (out / "build-info" / "x.json").write_text(json.dumps({"abi": [], "bytecode": "0x00"}))


def plan_with(folder: Path, contracts: str) -> Plan:
    (folder / "harness.yaml").write_text(DEPLOY.format(contracts=contracts))
    return plan_from_file(folder / "counting.yaml")


def test_sources_and_artifacts_of_foundry_and_hardhat_give_the_same_project(folder: Path) -> None:
    """Whatever compiled them: equal transactions, so equal addresses and an equal genesis."""
    for artifact in read_contracts(folder / "src", shown="src").artifacts:
        as_foundry(artifact, folder / "out")
        as_hardhat(artifact, folder / "artifacts")
    plans = [plan_with(folder, place) for place in ("src", "out", "artifacts")]
    projects = [plan.project for plan in plans]
    assert projects[0] is not None
    assert all(p is not None and p.genesis == projects[0].genesis for p in projects)
    assert [item.label for item in projects[0].genesis] == [
        "creation of halves (Halves)", "creation of linked (Linked)", "creation of counter (Counter)", "counter.add",
        "counter.add",
    ]  # fmt: skip
    # The deployer made five transactions, and goes on counting from there.
    deployer = next(item for item in projects[0].accounts if item.name == "deployer")
    assert (deployer.nonce, deployer.balance_wei) == (5, 10_000 * 10**18)


def test_a_library_that_was_not_deployed_is_missed_in_foundrys_output_too(folder: Path) -> None:
    for artifact in read_contracts(folder / "src", shown="src").artifacts:
        as_foundry(artifact, folder / "out")
    (folder / "harness.yaml").write_text("version: 1\ncontracts: out\ndeploy: [{contract: Linked, args: [4]}]\n")
    with pytest.raises(ScenarioError, match=r"Linked \(src/Counter.sol\) is not linked: it needs the library Halves"):
        plan_from_file(folder / "counting.yaml")


def test_a_name_that_two_sources_have_must_say_which(folder: Path) -> None:
    (folder / "src" / "Other.sol").write_text("pragma solidity ^0.8.20;\ncontract Counter { uint256 public x = 1; }\n")
    for name, problem in (("Counter", "is several contracts in src"), ("Other.sol:Counter", "")):
        (folder / "harness.yaml").write_text(
            f"version: 1\ncontracts: src\ndeploy: [{{contract: '{name}', name: thing}}]\n"
        )
        if problem:
            with pytest.raises(ScenarioError, match=problem):
                plan_from_file(folder / "counting.yaml")
        else:
            plan_from_file(folder / "counting.yaml")


def test_a_deploy_function_reads_what_it_made(folder: Path) -> None:
    """A factory's child is only known by asking; the function runs against a real chain."""
    (folder / "deploy.py").write_text(
        "def deploy(chain):\n"
        "    chain.deploy('Factory')\n"
        "    chain.send('factory', 'make', 12, sender='alice')\n"
        "    child = chain.call('factory', 'made')\n"
        "    chain.deploy('Counter', 10, child)\n"
        "    assert chain.call('counter', 'count') == 10\n"
    )
    (folder / "harness.yaml").write_text(
        "version: 1\ncontracts: src\naccounts: {alice: 7}\ndeploy: deploy.py:deploy\n"
    )
    project = plan_from_file(folder / "counting.yaml").project
    assert project is not None
    assert {item.name for item in project.contracts} == {"factory", "counter"}
    assert project.genesis[1].sender == account(7).address
    assert set(ProjectCodec(project).interfaces["counter"].functions) >= {"count", "set(uint256)", "set(uint256,bool)"}
