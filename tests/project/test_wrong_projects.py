"""What is wrong with a project is said exactly, with its place, before anything is created."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from harness.anvil.scratch import PREFIX
from harness.cli.main import main
from harness.scenario.errors import ScenarioError
from harness.scenario.planning import plan_from_file

pytestmark = pytest.mark.node

ARTIFACT_WITHOUT_BYTECODE = "is an interface or an abstract contract; deploy a contract that implements it"

# deploy entry → (where, what)
WRONG = [
    ("{contract: Countre, args: [10, $deployer]}", "deploy[0]",
     "creation of countre (Countre): no contract Countre in src (did you mean Counter or ICounter?)"),
    ("{contract: ICounter}", "deploy[0]",
     f"creation of iCounter (ICounter): ICounter (Counter.sol) has no bytecode: it {ARTIFACT_WITHOUT_BYTECODE}"),
    ("{contract: Counter, args: [10]}", "deploy[0]",
     "creation of counter (Counter): the constructor is Counter(uint256 start, address friend) and takes 2 arguments, "
     "given are 1: (10)"),
    ("{contract: Counter, args: [ten, $deployer]}", "deploy[0]",
     "creation of counter (Counter): uint256 start: 'ten' is no integer; write 7, 1e18 or 2.5 ether"),
    ("{contract: Counter, args: [-1, $deployer]}", "deploy[0]",
     "creation of counter (Counter): uint256 start: -1 is out of range; uint256 takes 0 to 2^256 - 1"),
    ("{contract: Counter, args: [10, $deployr]}", "deploy[0]", "$deployr is nothing (did you mean deployer?)"),
    ("{contract: Counter, args: [3, $deployer]}", "deploy[0]",
     "creation of counter (Counter) as deployer reverted: TooLow(given=3,least=10)"),
    ("{contract: Counter, args: [10, '0x0000000000000000000000000000000000000000']}", "deploy[0]",
     "creation of counter (Counter) as deployer reverted: Error('no friend')"),
    ("{contract: Linked, args: [4]}", "deploy[0]",
     "creation of linked (Linked): Linked (Counter.sol) is not linked: it needs the library Halves "
     "(Counter.sol:Halves); deploy Halves before it, or give its address under libraries: {Halves: …}"),
    ("{contract: Counter, args: [10, $deployer], as: alise}", "deploy[0]",
     "creation of counter (Counter): no account is called alise (did you mean alice?)"),
    ("{contract: Counter, args: [10, $deployer], then: [{call: add, args: [0]}]}", "deploy[0].then[0]",
     "counter.add as deployer reverted: TooLow(given=0,least=1)"),
    ("{contract: Counter, args: [10, $deployer], then: [{call: ad, args: [1]}]}", "deploy[0].then[0]",
     "counter.ad: no function 'ad'; there are add, born, count, owner, set(uint256), set(uint256,bool)"),
    ("{contract: Counter, args: [10, $deployer], then: [{call: set, args: [1]}]}", "deploy[0].then[0]",
     "counter.set: set is overloaded; name one of set(uint256), set(uint256,bool)"),
    ("{contract: Counter, args: [10, $deployer], then: [{call: add}]}", "deploy[0].then[0]",
     "counter.add: add(uint256) takes 1 arguments, given 0"),
    ("{call: counter.add, args: [1]}", "deploy[0]", "counter.add: no contract is called counter; there are none yet"),
    ("{contract: Counter, call: x.y}", "deploy[0]",
     "give one of contract (to create one), call (contract.function) or python (file.py:function)"),
    ("{contract: Counter, argz: [10]}", "deploy[0].argz", "unknown key (did you mean args?)"),
    ("{contract: Counter, args: [10, $deployer], value: 20000 ether}", "deploy[0]", "Insufficient funds"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "where", "what"), WRONG)
def test_a_wrong_deployment_is_named_with_its_place(folder: Path, entry: str, where: str, what: str) -> None:
    (folder / "harness.yaml").write_text(
        f"version: 1\ncontracts: src\naccounts: {{alice: 7}}\ndeploy:\n  - {entry}\n"
    )
    with pytest.raises(ScenarioError) as raised:
        plan_from_file(folder / "counting.yaml")
    problem = raised.value.problems[0]
    assert problem.where == where
    assert what in problem.what
    assert problem.line == 5
    assert str(folder / "harness.yaml") in str(raised.value)


def test_a_wrong_deployment_ends_with_exit_code_2_and_creates_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run folder, no node, no temporary folder; and the message instead of a traceback."""
    scratch = Path(tempfile.mkdtemp(prefix="p"))  # short: a socket's path is
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    (folder / "harness.yaml").write_text(
        "version: 1\ncontracts: src\ndeploy: [{contract: Counter, args: [3, $deployer]}]\n"
    )
    assert main(["run", str(folder / "counting.yaml"), "--out", str(tmp_path / "runs"), "--json"]) == 2
    printed = capsys.readouterr()
    assert "reverted: TooLow(given=3,least=10)" in json.loads(printed.out)["error"]
    assert "Traceback" not in printed.err
    assert not (tmp_path / "runs").exists()
    assert list(scratch.glob(f"{PREFIX}*")) == []
    scratch.rmdir()


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("contracts: nowhere\ndeploy: [{contract: A}]", "contracts", "nowhere: nothing is there"),
        ("contracts: out\ndeploy: [{contract: A}]", "contracts", "out: nothing is there; run `forge build` first"),
        ("contracts: empty", "contracts", "neither artifacts of Foundry or Hardhat"),
        ("contracts: bad", "contracts", "the contracts do not compile:\n  Bad.sol:2: ParserError: Expected"),
        ("deploy: [{contract: A}]", "", "deploy needs contracts: the folder they are in"),
        ("accounts: {alice: 3}", "accounts.alice", "3 is already deployer's; two names for one key"),
        ("accounts: {alice: 50}", "accounts.alice", "alice would have account 50, which is sequencer-0's"),
        ("accounts: {alice: {balance: 1.5}}", "accounts.alice.balance", "'1.5' is no whole number"),
        ("actors: [{name: keeper, class: 'a.py:A'}]", "actors[0].class", "a.py: No such file or directory"),
        ("actors: [{name: bot, class: 'bot.py:Bat'}]", "actors[0].class", "bot.py has no 'Bat'; it has Actor, Bot"),
        ("actors: [{name: bot, class: 'bot.py:Dull'}]", "actors[0].class", "not a subclass of harness.project.Actor"),
        ("actors: [{name: keeper, class: 'bot.py:Bot'}]", "actors[0].name", "keeper already means something"),
        ("actors: [{name: bot, class: 'broken.py:Bot'}]", "actors[0].class",
         "broken.py cannot be loaded: ZeroDivisionError: division by zero"),
        ("actors: [{name: bot, class: 'no.such.module:Bot'}]", "actors[0].class", "module no.such.module cannot be"),
        ("checks: bot.py:Bot", "checks[0]", "it must be a harness.project.Check, or a list of them"),
        ("contracts: src\ndeploy: bot.py:nothing", "deploy[0]", "bot.py has no 'nothing'"),
        ("contracts: src\ndeploy: bot.py:fails", "deploy[0]", "bot.py:fails raised KeyError: 'x'"),
        ("contracts: src\ndeploy: [{contract: Counter, args: [10, $deployer]}]\nwatch: {n: counter.cout()}", "watch.n",
         "no function 'cout'"),
        ("contracts: src\ndeploy: [{contract: Counter, args: [10, $deployer]}]\nwatch: {n: counter}", "watch.n",
         "'counter' is not contract.function(arguments)"),
        ("version: 2", "version", "input should be 1"),
    ],
)  # fmt: skip
def test_a_wrong_project_is_named_with_its_place(folder: Path, text: str, where: str, what: str) -> None:
    (folder / "empty").mkdir()
    (folder / "bad").mkdir()
    (folder / "bad" / "Bad.sol").write_text("pragma solidity ^0.8.20;\ncontract {}\n")
    (folder / "bot.py").write_text(
        "from harness.project import Actor\nclass Bot(Actor): pass\nclass Dull: pass\n"
        "def fails(d): raise KeyError('x')\n"
    )
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "harness.yaml").write_text(text if text.startswith("version") else f"version: 1\n{text}\n")
    with pytest.raises(ScenarioError) as raised:
        plan_from_file(folder / "counting.yaml")
    assert [(raised.value.problems[0].where, what in raised.value.problems[0].what)] == [(where, True)]


def test_a_project_inside_the_scenario_is_named_from_the_scenarios_top(folder: Path) -> None:
    (folder / "counting.yaml").write_text(
        "version: 1\nname: counting\nproject:\n  contracts: src\n  deploy: [{contract: Nope}]\nstorm: 5s\n"
    )
    with pytest.raises(ScenarioError, match=r"counting\.yaml:5: project\.deploy\[0\]: .*no contract Nope"):
        plan_from_file(folder / "counting.yaml")


def test_a_scenario_without_a_project_still_needs_a_market(folder: Path) -> None:
    (folder / "counting.yaml").write_text("version: 1\nname: counting\n")
    with pytest.raises(ScenarioError, match="market: is required, unless a project brings its own contracts"):
        plan_from_file(folder / "counting.yaml")


