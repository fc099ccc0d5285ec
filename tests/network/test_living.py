"""One network, used by hand as a person would: asked, broken, healed, saved, brought back, ended."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.cli.main import main
from harness.network.claim import find
from harness.network.client import NetworkClient, connect
from harness.network.network_file import network_plan
from harness.network.owner import Wanted
from harness.network.ports import ANY
from harness.network.socket_path import SOCKET, short_path
from harness.network.starting import up
from harness.network.values import YOU, NetworkFailure, NetworkMisuse
from harness.plan import L2_CHAIN_ID
from harness.venue.deployment import CONTRACTS

pytestmark = [pytest.mark.node, pytest.mark.local, pytest.mark.xdist_group("lived-in")]  # one network for all of them

NAME = "lived-in"
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def network(module_state: Path) -> Iterator[NetworkClient]:
    client = up(Wanted(network_plan(None), name=NAME, ports=ANY), tied=True)
    try:
        yield client
    finally:
        client.stop()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"   # one that nobody reaps yet
    except OSError:
        return False


def ask(network: NetworkClient, role: str, method: str, *params: Any) -> Any:
    """One JSON-RPC request to a node, as a wallet makes it."""
    where = next(endpoint.http for endpoint in network.endpoints() if endpoint.role == role)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(where, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        return json.loads(answer.read())["result"]


def pay(network: NetworkClient, to: str, wei: int) -> None:
    """A transfer from the first of the user's accounts, committed before this returns."""
    you = next(account for account in network.accounts() if account.owner == YOU)
    sent = {"from": you.address, "to": to, "value": hex(wei)}
    name = ask(network, "sequencer-0", "eth_sendTransaction", sent)
    wait_until(lambda: ask(network, "replica-0", "eth_getTransactionReceipt", name) is not None, "it is in a block")
    block = int(ask(network, "replica-0", "eth_getTransactionReceipt", name)["blockNumber"], 16)
    wait_until(lambda: network.status().l2_block >= block, "its block is committed")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.05)


def command(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str) -> Any:
    """What a verb of the command line says, as JSON."""
    code = main([*arguments, "--name", NAME, "--json"])
    out, err = capsysbinary.readouterr()
    assert code == 0, err.decode()
    return json.loads(out)


def test_it_is_ready_when_it_says_so(network: NetworkClient) -> None:
    status = network.status()
    assert status.state == "ready"
    assert status.l2_block >= 1
    assert {role.state for role in status.roles} == {"running"}
    assert all(Path(f"/proc/{role.pid}").exists() for role in status.roles)
    assert status.problems == ()


def test_its_files_tell_other_languages_all_they_need(network: NetworkClient) -> None:
    deployed = orjson.loads((network.folder / "deployments.json").read_bytes())
    assert deployed["chains"]["l2"]["chainId"] == L2_CHAIN_ID
    assert set(CONTRACTS.values()) <= set(deployed["contracts"])
    for contract in deployed["contracts"].values():
        assert orjson.loads((network.folder / contract["abi"]).read_bytes())
    assert {item.name: item.address for item in network.contracts()} == {
        name: item["address"] for name, item in deployed["contracts"].items()
    }


def test_accounts_are_those_that_everybody_knows(network: NetworkClient) -> None:
    by_index = {account.index: account for account in network.accounts()}
    assert by_index[0].address == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert by_index[0].owner == "admin-0"
    assert [index for index, account in by_index.items() if account.owner == "you"] == list(range(3, 10))


def test_latency_is_felt_and_measured_and_ends_by_itself(
    network: NetworkClient, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    shown = command(
        capsysbinary, "fault", "latency", "--from", "reporter-0", "--to", "sequencer-0,sequencer-1",
        "--delay", "300ms", "--for", "2s",
    )  # fmt: skip
    assert shown["word"] == "latency"
    assert [felt["what"] for felt in shown["felt"]] == ["reporter-0→sequencer-0", "reporter-0→sequencer-1"]
    for felt in shown["felt"]:
        assert felt["during_ms"] - felt["before_ms"] > 150
    wait_until(lambda: next(f for f in network.faults() if f.id == shown["id"]).phase == "healed", "it healed itself")
    healed = next(fault for fault in network.faults() if fault.id == shown["id"])
    assert healed.bit


def test_a_partition_stays_until_it_is_healed(
    network: NetworkClient, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    shown = command(capsysbinary, "fault", "partition", "sequencer-3", "rest")
    assert [felt["during_ms"] for felt in shown["felt"]] == [None] * len(shown["felt"])
    assert [fault.id for fault in network.status().faults] == [shown["id"]]
    (healed,) = command(capsysbinary, "heal", shown["id"])["faults"]
    assert healed["phase"] == "healed"
    assert healed["bit"]
    assert all(felt["after_ms"] is not None for felt in healed["felt"] if "after_ms" in felt)
    assert network.status().faults == ()


def test_a_killed_role_is_gone_and_comes_back(network: NetworkClient) -> None:
    before = {role.name: role.pid for role in network.status().roles}
    fault = network.fault({"kill": "batcher-0"})
    assert fault.felt[0]["during_ms"] is None
    assert next(role for role in network.status().roles if role.name == "batcher-0").state == "dead"
    with pytest.raises(NetworkMisuse, match="batcher-0 is already killed by"):
        network.fault({"pause": "batcher-0"})
    with pytest.raises(NetworkMisuse, match=f"held by fault {fault.id}"):
        network.restart("batcher-0")
    (healed,) = network.heal(fault.id)
    assert healed.phase == "healed"
    again = {role.name: role.pid for role in network.status().roles}
    assert again["batcher-0"] not in (None, before["batcher-0"])


def test_what_stands_between_a_wallet_and_a_node_can_be_broken_too(network: NetworkClient) -> None:
    """`user` is the world outside, at the nodes' front doors."""
    fault = network.fault({"latency": {"from": "user", "to": "sequencer-0", "delay": "400ms"}})
    began = time.monotonic()
    assert ask(network, "sequencer-0", "eth_chainId") == hex(L2_CHAIN_ID)
    assert time.monotonic() - began > 0.4
    assert fault.felt[0]["what"] == "user→sequencer-0"
    (healed,) = network.heal(fault.id)
    assert healed.phase == "healed", healed.evidence
    assert healed.bit
    with pytest.raises(NetworkMisuse, match="nobody there answers users; l1-0"):
        network.fault({"latency": {"from": "user", "to": "keeper-0", "delay": "1s"}})


def test_money_is_there_and_moves(network: NetworkClient) -> None:
    """Ether on both chains, and the addresses stay where they are when a node is restarted."""
    you = next(account for account in network.accounts() if account.owner == YOU)
    for role in ("l1-0", "replica-0"):
        assert int(ask(network, role, "eth_getBalance", you.address, "latest"), 16) == 10_000 * 10**18
    before = network.endpoints()
    network.restart("replica-0")
    assert network.endpoints() == before
    assert int(ask(network, "replica-0", "eth_getBalance", you.address, "latest"), 16) == 10_000 * 10**18


def test_every_word_of_scenario_files_has_its_flags(network: NetworkClient) -> None:
    """Each of them bites, or says why not; none of them is left on."""
    for fault in (
        {"loss": {"between": ["reporter-*", "sequencer"], "probability": "90%"}},
        {"duplicate": {"from": "reporter-0", "probability": "100%"}},
        {"reorder": {"to": "replica-0", "probability": "50%"}},
        {"rate": {"from": "sequencer-1", "to": "sequencer-2", "rate": "8kbit"}},
        {"skew": {"of": "sequencer-2", "offset": "400ms"}},
        {"view-lag": {"of": "replica-1", "delay": "300ms"}},
        {"pause": "leader"},
    ):
        shown = network.fault(fault)
        assert shown.phase == "on", fault
    healed = network.heal()
    assert {fault.word: fault.phase for fault in healed} == {fault.word: "healed" for fault in healed}
    assert next(fault for fault in healed if fault.word == "skew").felt[0]["during_ms"] > 350


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"pause": "leder"}, r"pause: unknown role .*did you mean leader"),
        ({"latency": {"from": "l1-0"}}, "latency.delay: is required"),
        ({"latency": {"form": "l1-0", "delay": "1s"}}, "latency.form: unknown key .did you mean from"),
        ({"latency": {"from": "l1-0", "delay": "1 week"}}, "latency.delay: not a duration"),
        ({"latency": {"from": "l1-0", "to": "l1-0", "delay": "1s"}}, "no link to itself"),
        ({"latncy": {"from": "l1-0"}}, "latncy: unknown key .did you mean latency"),
        ({"kill": "l1-0", "at": "3s"}, "at: a fault by hand begins at once"),
        ({"kill": "l1-0", "restart": "3s"}, "restart: by hand, say for how long: for"),
        ({}, "a fault has exactly one of"),
    ],
)
def test_a_fault_that_makes_no_sense_changes_nothing(network: NetworkClient, fault: dict[str, Any], words: str) -> None:
    with pytest.raises(NetworkMisuse, match=words):
        network.fault(fault)
    assert network.status().faults == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["restart", "sequencr-0"], "did you mean sequencer-0"),
        (["heal", "h999"], 'no fault is called "h999"'),
        (["heal"], "say which fault to heal"),
        (["logs", "nobody"], 'no role is called "nobody"'),
        (["snapshot", "load", "nothing"], 'no snapshot is called "nothing"'),
        (["snapshot", "save", "../x"], "cannot name a snapshot"),
        (["fault", "pause"], "pause"),
        (["fault", "latency", "--delay", "5s"], "say which links"),
    ],
)
def test_a_mistake_on_the_command_line_is_exit_2_with_its_reason(
    network: NetworkClient, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main([*arguments, "--name", NAME]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert out == ""
    assert "Traceback" not in err


def test_the_name_is_taken_while_it_is_up(network: NetworkClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--detach", "--any-port", "--name", NAME]) == 2
    assert f"network {NAME} is up already (process {network.status().pid})" in capsys.readouterr().err
    with pytest.raises(NetworkMisuse, match="did you mean lived-in"):
        connect("lived-on")


def test_a_state_is_saved_and_brought_back(network: NetworkClient) -> None:
    """The chain is where it was, on every node, and goes on from there; faults are not part of a state."""
    before = network.endpoints()
    pay(network, "0x" + "77" * 20, 7)
    saved = network.save_snapshot("before")
    block = ask(network, "replica-0", "eth_getBlockByNumber", hex(saved.l2_block), False)["hash"]
    pay(network, "0x" + "88" * 20, 8)
    network.fault({"pause": "maker-0"})
    loaded = network.load_snapshot("before")
    assert loaded == saved
    assert network.endpoints() == before
    for role in ("sequencer-0", "sequencer-3", "replica-1"):
        assert ask(network, role, "eth_getBlockByNumber", hex(saved.l2_block), False)["hash"] == block
        assert int(ask(network, role, "eth_getBalance", "0x" + "77" * 20, "latest"), 16) == 7
        assert int(ask(network, role, "eth_getBalance", "0x" + "88" * 20, "latest"), 16) == 0
    status = network.status()
    assert status.state == "ready"
    assert status.faults == ()
    assert status.clock_s < saved.clock_s + DEADLINE_S
    assert {role.state for role in status.roles} == {"running"}
    head = status.l2_block
    wait_until(lambda: network.status().l2_block > head, "blocks are committed on top of the state")
    assert network.status().problems == ()
    assert [snapshot.name for snapshot in network.snapshots()] == ["before"]


def test_logs_are_shown(network: NetworkClient, capsys: pytest.CaptureFixture[str]) -> None:
    network.log("sequencer-0").write_text("one\ntwo\nthree\n", encoding="utf-8")
    assert main(["logs", "sequencer-0", "--lines", "2", "--name", NAME]) == 0
    assert capsys.readouterr().out == "two\nthree\n"


def test_garbage_on_the_control_socket_is_answered_and_harms_nobody(network: NetworkClient) -> None:
    too_long = b"x" * (2 << 20)
    for garbage in (b"", b"{}", b"[1]", b"\xff\xfe", b'{"do": "kill"}', b'{"do": 7}', too_long):
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
            short_path(network.folder / SOCKET) as path,
        ):
            connection.settimeout(DEADLINE_S)
            connection.connect(path)
            try:
                connection.sendall(garbage + b"\n")
            except BrokenPipeError:
                continue   # it had enough, and said so
            answer = orjson.loads(connection.makefile("rb").readline())
            assert "misuse" in answer, garbage[:20]
    assert network.status().state == "ready"


def test_it_leaves_nothing_when_it_is_stopped(module_state: Path) -> None:
    client = up(Wanted(network_plan(None, overrides=["network.l2.sequencers=1"]), name="short", ports=ANY))
    pids = [client.status().pid, *(role.pid for role in client.status().roles if role.pid is not None)]
    client.stop()
    client.stop()
    assert find("short") is None
    assert not (module_state / "networks" / "short").exists()
    assert [pid for pid in pids if is_running(pid)] == []
    with pytest.raises(NetworkFailure, match="does not answer"):
        client.status()
