"""The plugin as its users meet it: pytest in a process of its own, over small test files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.node]
DEADLINE_S = 240.0

COUNTER = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Counter {
    error TooLow(uint256 given);
    event Counted(address indexed by, uint256 count);
    uint256 public count;
    constructor(uint256 start) { if (start < 10) revert TooLow(start); count = start; }
    function add(uint256 by) external { if (by == 0) revert TooLow(by); count += by; emit Counted(msg.sender, count); }
}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A test suite of somebody's, with one contract and nothing of ours but the plugin."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "Counter.sol").write_text(COUNTER)
    (tmp_path / "pytest.ini").write_text("[pytest]\nharness_contracts = src\naddopts = -p no:cacheprovider\n")
    return tmp_path


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files that has to be empty again afterwards; short, for sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="p"))
    yield folder
    left = sorted(path.name for path in folder.iterdir() if not path.name.startswith("pytest-of-"))
    assert left == []
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def pytest_in(suite: Path, temporary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-o", "console_output_style=classic", *arguments],
        cwd=suite, env=environment(temporary), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip


def environment(temporary: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return {**kept, "TMPDIR": str(temporary), "NO_COLOR": "1"}


def test_fixtures_work_together_and_every_test_gets_the_network_as_it_was(suite: Path, temporary: Path) -> None:
    """Each test finds nonce 0 and no contract, whatever ran before; with scope session it finds what was done."""
    (suite / "test_it.py").write_text('''
import pytest

def use(web3, deploy, accounts, wait_for):
    assert web3.eth.get_transaction_count(accounts[0].address) == 0
    counter = deploy("Counter", 10)
    counter.functions.add(5).transact({"from": accounts[1].address})
    wait_for(lambda: counter.functions.count().call() == 15, within=5)
    signed = accounts[0].sign_transaction({
        "to": accounts[2].address, "value": 9, "nonce": 1, "gas": 21000, "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0, "chainId": 901, "type": 2})
    receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction))
    assert receipt["status"] == 1

def test_one(web3, deploy, accounts, wait_for, check):
    use(web3, deploy, accounts, wait_for)
    check("H1", "H4")

def test_two(web3, deploy, accounts, wait_for):
    use(web3, deploy, accounts, wait_for)

@pytest.mark.network(scope="session")
@pytest.mark.parametrize("turn", [0, 1])
def test_kept(web3, accounts, turn):
    assert web3.eth.get_transaction_count(accounts[0].address) == turn
    web3.eth.wait_for_transaction_receipt(web3.eth.send_transaction({"to": accounts[1].address, "value": 1}))

def test_faults_heal_whatever_happens_inside(network, faults):
    before = network.fault({"latency": {"to": "replica-0", "delay": "1ms"}})
    with pytest.raises(ZeroDivisionError):
        with faults.kill("replica-0"):
            assert network.status().faults[-1].word == "kill"
            1 / 0
    assert [fault.id for fault in network.status().faults] == [before.id]

def test_what_the_test_before_left_on_is_off(network):
    assert network.status().faults == ()

def test_names(accounts, contracts, faults):
    assert accounts["keeper-0"].address and len(accounts) >= 5
    assert contracts["vault"].functions.insuranceAvailable(0).call() >= 0
    with pytest.raises(KeyError, match="no contract is called 'valt'.*did you mean vault"):
        contracts["valt"]
    with pytest.raises(AttributeError, match="no fault is called latenzy.*did you mean latency"):
        faults.latenzy
''')
    done = pytest_in(suite, temporary)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_a_failing_test_keeps_its_history_and_says_how_to_see_it_again(suite: Path, temporary: Path) -> None:
    (suite / "test_it.py").write_text('''
import pytest

def test_of_a_wish(network, check):
    network.advance(2)
    check("S1")

def test_of_a_wait(wait_for, faults):
    with faults.pause("sequencer-0"):
        wait_for("Liquidated", within=3)

def test_of_a_contract(deploy):
    deploy("Counter", 3)

def test_of_a_name(deploy):
    deploy("Countr", 10)

@pytest.mark.network(sequencer=4)
def test_of_a_word(network): pass

@pytest.mark.network(sequencers=0)
def test_of_a_number(network): pass
''')
    done = pytest_in(suite, temporary)
    assert done.returncode == 1
    assert "4 failed, 2 errors" in done.stdout, done.stdout
    for line in (
        "NotHeld: S1 (settled once) is unknown: nothing was settled",
        "TimedOut: event Liquidated did not come within 3 s; at ",
        "with pause sequencer-0",
        "DeployFailed: Counter: its constructor reverted: TooLow(given=3)",
        "DeployFailed: Countr: no contract Countr in src (did you mean Counter?)",
        "@pytest.mark.network: sequencer: unknown word (did you mean sequencers",
        "@pytest.mark.network: network.l2.sequencers: input should be greater than or equal to 1, got 0",
        "replay    pytest 'test_it.py::test_of_a_wait'   (seed 1, runtime sim)",
    ):
        assert line in done.stdout, done.stdout
    assert "harness/testing/" not in done.stdout   # tracebacks end in the user's own file
    folder = suite / "runs" / "pytest" / "test_it.py-test_of_a_wait"
    assert {file.name for file in folder.iterdir()} >= {"plan.json", "history.jsonl", "result.json"}
    report = subprocess.run(
        [sys.executable, "-m", "harness.cli", "report", str(folder)], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert (folder / "report.html").exists(), report.stderr


def test_a_suite_that_does_not_use_it_imports_nothing_of_it(suite: Path, temporary: Path) -> None:
    """What everybody pays is one small module."""
    (suite / "test_it.py").write_text('''
import sys

def test_it():
    ours = {name for name in sys.modules if name.split(".")[0] == "harness"}
    assert ours == {"harness", "harness.pytest_plugin"}
    assert not {"web3", "pydantic", "aiohttp"} & set(sys.modules)
''')
    done = pytest_in(suite, temporary)
    assert done.returncode == 0, done.stdout


@pytest.mark.local
def test_workers_have_networks_of_their_own(suite: Path, temporary: Path) -> None:
    """Two at once, of processes, with ports that are nobody else's; restored between tests as in the simulator."""
    (suite / "test_it.py").write_text('''
import os, pathlib, pytest

pytestmark = pytest.mark.network(runtime="local")

@pytest.mark.parametrize("turn", range(4))
def test_it(network, web3, deploy, accounts, faults, wait_for, check, turn):
    assert web3.eth.get_transaction_count(accounts[0].address) == 0
    counter = deploy("Counter", 10)
    counter.functions.add(1 + turn).transact()
    wait_for(lambda: counter.functions.count().call() == 11 + turn, within=20)
    worker = os.environ["PYTEST_XDIST_WORKER"]
    with pathlib.Path("seen-" + worker).open("a") as seen:
        seen.write(network.name + " " + " ".join(item.http for item in network.endpoints()) + "\\n")
    if turn == 0:
        with faults.pause("sequencer-0"):
            height = network.height
            network.advance(1)
            assert network.height <= height + 1
        wait_for(lambda: network.height > height + 1, within=20)
    check("H1", "H4")   # from genesis on, through the snapshot: a gap would be unknown
''')
    done = pytest_in(suite, temporary, "-n", "2", "--dist", "load")
    assert done.returncode == 0, done.stdout + done.stderr
    seen = [set(file.read_text().split()) for file in sorted(suite.glob("seen-*"))]
    assert len(seen) == 2
    assert not seen[0] & seen[1]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_session_leaves_nothing_behind(suite: Path, temporary: Path, how: signal.Signals) -> None:
    """After Ctrl-C at once; after SIGKILL with the next session."""
    (suite / "test_it.py").write_text('''
import pathlib, pytest

def test_it(network):
    pathlib.Path("started").touch()
    while True:
        network.advance(0.1)

def test_next(network): network.advance(1)
''')
    running = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-k", "test_it"], cwd=suite, env=environment(temporary),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + DEADLINE_S
    while not (suite / "started").exists():
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(running.pid, how)
    said = running.communicate(timeout=DEADLINE_S)[0]
    if how is signal.SIGINT:
        assert running.returncode == 2, said
    else:
        assert list(temporary.glob("harness-*")) != []
        done = pytest_in(suite, temporary, "-k", "test_next")
        assert done.returncode == 0, done.stdout
