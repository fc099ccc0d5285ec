"""Genesis: everything is there at block 0, on any node, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import IpcClient
from harness.anvil.spec import ChainSpec
from harness.evm.accounts import account
from harness.plan import AssetTerms, VenueParameters
from harness.solidity import genesis as genesis_module
from harness.solidity.compile import compile_contracts
from harness.solidity.deploy import DeploymentFailed
from harness.solidity.genesis import GenesisSpec, build_genesis
from harness.toolchain import ToolError, anvil_binary
from harness.venue import exchange as ex
from harness.venue.deployment import L1_INFO, ON_L1

pytestmark = pytest.mark.node

PARAMS = VenueParameters(1000, 625, 250, 5000, 5, 1000, 1500, 1000, 750, 3, 20, 30, 3, 15)
OWNER, TRADER = account(0).address, account(100).address
SPEC = GenesisSpec(
    params=PARAMS, assets=(AssetTerms("ETH"),), reporters=tuple(account(30 + i).address for i in range(4)), owner=OWNER,
    collateral={TRADER: 5_000_000, OWNER: 7}, insurance=1_000_000, l1_balances={account(1).address: 10**20},
)


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools stay where they are; only genesis files are made anew."""
    try:
        binary, artifacts = anvil_binary(), compile_contracts()
    except ToolError as error:
        pytest.skip(f"no Anvil or no compiler: {error}")
    monkeypatch.setattr(genesis_module, "anvil_binary", lambda: binary)
    monkeypatch.setattr(genesis_module, "compile_contracts", lambda: artifacts)
    monkeypatch.setattr(genesis_module, "cache_home", lambda: tmp_path)


@pytest.fixture
def node() -> Iterator[tuple[IpcClient, dict[str, object]]]:
    """An L2 node booted from the file alone."""
    genesis = build_genesis(SPEC)
    process = AnvilProcess(ChainSpec(901, 1_700_000_000, 30_000_000, genesis.l2_file), name="l2", binary=anvil_binary())
    client = IpcClient(process.socket_path, timeout_s=10)
    try:
        process.start()
        process.wait_until_ready(client)
        yield client, dict(genesis.deployment.to_json())
    finally:
        client.close()
        process.close()


def test_funded_accounts_can_deposit_at_once(node: tuple[IpcClient, dict[str, object]]) -> None:
    """Tokens, allowance, insurance and zero nonces are all in the file; C1 holds from the first block."""
    client, at = node
    client.call("anvil_autoImpersonateAccount", True)
    sent = client.batch([
        ("eth_sendTransaction", [{"from": TRADER, "to": at["vault"], "data": "0x" + ex.encode_deposit(5_000_000).hex(),
                                  "gas": "0xfffff", "nonce": "0x0", "maxFeePerGas": "0x0",
                                  "maxPriorityFeePerGas": "0x0"}]),
        ("evm_mine", [{"timestamp": 1_700_000_001, "blocks": 1}]),
    ])
    assert client.call("eth_getTransactionReceipt", sent[0])["status"] == "0x1"
    data = ex.encode_state([TRADER, OWNER], ["ETH"])
    answer = client.call("eth_call", {"to": at["lens"], "data": "0x" + data.hex()}, "latest")
    state = ex.decode_state(bytes.fromhex(answer[2:]))
    assert (state.totals.custody, state.totals.insurance) == (6_000_000, 10**18)
    assert state.accounts[0].cash == 5 * 10**18
    assert state.conservation_gap() == 0


def test_second_build_reads_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A boot must not deploy again."""
    first = build_genesis(SPEC)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a scratch node was started on a warm cache")

    monkeypatch.setattr(genesis_module, "AnvilProcess", forbidden)
    assert build_genesis(SPEC) == first
    with pytest.raises(AssertionError, match="scratch node"):
        build_genesis(replace(SPEC, insurance=2))


def test_files_depend_on_the_spec_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built twice from nothing, byte for byte the same: every machine starts the same chain."""
    first = build_genesis(SPEC)
    monkeypatch.setattr(genesis_module, "cache_home", lambda: tmp_path / "other")
    second = build_genesis(SPEC)
    assert first.l2_file != second.l2_file
    assert first.l2_file.read_bytes() == second.l2_file.read_bytes()
    assert first.l1_file.read_bytes() == second.l1_file.read_bytes()


def test_alloc_holds_only_contracts_and_no_zero_slot() -> None:
    """A zero slot would stay in Anvil's trie for ever; a used nonce would make everyone's first transaction fail."""
    alloc = orjson.loads(build_genesis(SPEC).l2_file.read_bytes())["alloc"]
    assert L1_INFO in alloc
    assert alloc[L1_INFO]["storage"] == {}
    assert all(item["code"] != "0x" and item["nonce"] == "0x1" for item in alloc.values())
    assert all(int(value, 16) for item in alloc.values() for value in item["storage"].values())
    assert TRADER not in alloc


def test_l1_holds_its_contracts_and_the_balances() -> None:
    """Batchers pay for L1 gas; nothing of the venue is there, and nothing of L1's on L2."""
    genesis = build_genesis(SPEC)
    alloc = orjson.loads(genesis.l1_file.read_bytes())["alloc"]
    on_l1 = {getattr(genesis.deployment, name) for name in ON_L1}
    assert set(alloc) == {*on_l1, account(1).address}
    assert on_l1.isdisjoint(orjson.loads(genesis.l2_file.read_bytes())["alloc"])
    assert int(alloc[account(1).address]["balance"], 16) == 10**20


def test_failing_set_up_says_which_call_and_why() -> None:
    """Parameters come from users' scenario files."""
    bad = replace(SPEC, collateral={TRADER: 2**256 - 1, OWNER: 2**255})
    with pytest.raises(DeploymentFailed, match=rf"mint by {OWNER} reverted: Panic\(0x11"):
        build_genesis(bad)
