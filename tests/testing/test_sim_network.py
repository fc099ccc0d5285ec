"""A network in virtual time: what a snapshot brings back is the same to the byte, and nothing else is left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from harness.evm.wallet import sign_transaction, transaction_hash
from harness.network.values import NetworkFailure, NetworkMisuse
from harness.testing.judging import demand, judged
from harness.testing.sim_network import SimNetwork
from harness.testing.waiting import TimedOut, wait_for
from harness.testing.wanted import wanted_network
from harness.venue.forced_queue import encode_enqueue

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def module_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimNetwork]:
    plan = wanted_network({"sequencers": 4}, folder=Path()).plan
    network = SimNetwork(plan, name="under-test", folder=tmp_path_factory.mktemp("network") / "here")
    network.boot()
    network.save_snapshot("ready")
    yield network
    network.remove()
    assert not network.folder.exists()


@pytest.fixture
def network(module_network: SimNetwork) -> SimNetwork:
    module_network.load_snapshot("ready")
    return module_network


def do_something(network: SimNetwork) -> bytes:
    """A transfer, a fault and some time; the history so far."""
    w3 = network.web3()
    mine, other, *_ = [w3.to_checksum_address(item.address) for item in network.accounts() if item.owner == "you"]
    w3.eth.wait_for_transaction_receipt(w3.eth.send_transaction({"from": mine, "to": other, "value": 7}))
    network.fault({"latency": {"to": "sequencer-0", "delay": "30ms"}, "for": "1s"})
    network.advance(3)
    return network.history().read_bytes()


def test_the_same_actions_after_the_same_snapshot_give_the_same_history(network: SimNetwork) -> None:
    """A test's outcome depends on nothing that other tests did to the network before it."""
    first = do_something(network)
    network.load_snapshot("ready")
    network.advance(5)  # another test in between
    network.load_snapshot("ready")
    assert do_something(network) == first


def test_a_snapshot_brings_back_balances_nonces_heads_and_time(network: SimNetwork) -> None:
    def seen() -> tuple[object, ...]:
        w3 = network.web3("sequencer-1")
        mine = w3.to_checksum_address(next(item.address for item in network.accounts() if item.owner == "you"))
        return w3.eth.get_balance(mine), w3.eth.get_transaction_count(mine), network.height, round(network.now, 3)

    before = seen()
    network.load_snapshot("ready")
    do_something(network)
    assert seen() != before
    network.load_snapshot("ready")
    assert seen() == before


def test_time_is_the_tests_and_the_chain_follows_it(network: SimNetwork) -> None:
    """A minute passes because the test says so, and not otherwise."""
    w3 = network.web3()
    before, at = w3.eth.get_block("latest")["timestamp"], network.now
    assert network.now == pytest.approx(at)
    network.advance(60)
    assert network.now == pytest.approx(at + 60)
    assert w3.eth.get_block("latest")["timestamp"] - before == pytest.approx(60, abs=2)


def test_a_week_is_skipped_at_once_and_the_chain_goes_on_in_good_order(network: SimNetwork) -> None:
    """For contracts with long timers: the chain's clock is there when the call returns, and nothing is violated."""
    w3 = network.web3()
    network.advance(3)
    height, before = network.height, w3.eth.get_block("latest")["timestamp"]
    network.jump(7 * 86_400)
    assert w3.eth.get_block("latest")["timestamp"] >= before + 7 * 86_400
    assert network.height > height
    network.advance(20)
    assert w3.eth.get_block("safe")["number"] > height
    assert demand(network, ["H1", "H2", "H3", "H4", "R2"])
    assert [result.id for result in judged(network, ["all"]) if result.verdict == "violated"] == []


def test_it_refuses_to_run_inside_another_loop(network: SimNetwork) -> None:
    """In an async test; said, and nothing is left hanging."""

    async def inside() -> None:
        with pytest.raises(NetworkMisuse, match="runs its own loop; use it from a test that is not async"):
            network.advance(1)

    asyncio.run(inside())
    network.advance(1)


def test_a_killed_role_comes_back_with_what_it_had(network: SimNetwork) -> None:
    network.advance(3)
    height = network.height
    network.kill("replica-0")
    assert "replica-0" not in network.nodes()
    network.advance(2)
    network.start("replica-0")
    network.advance(1)
    reply = orjson.loads(
        network.rpc(b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}', role="replica-0") or b""
    )
    assert int(reply["result"], 16) > height


def test_a_quorum_cut_off_is_a_chain_that_stands_still(network: SimNetwork) -> None:
    """Faults bite here as in a scenario, and end when they are healed."""
    network.fault({"partition": [["sequencer-0", "sequencer-1"], ["sequencer-2", "sequencer-3"]]})
    network.advance(2)
    height = network.height
    network.advance(5)
    assert network.height == height
    with pytest.raises(TimedOut, match=r"event Traded did not come within 1 s; .* with partition sequencer-0, seq"):
        wait_for(network, "Traded", within=1)
    (healed,) = network.heal()
    assert (healed.bit, healed.phase) == (True, "healed")
    wait_for(network, lambda: network.height > height, within=15)


def test_what_is_put_through_the_forced_queue_by_hand_executes_on_l2(network: SimNetwork) -> None:
    """Whoever has an account on L1 needs no sequencer's leave: money moves on L2 by a transaction that only L1 got."""
    l2, l1 = network.web3(), network.web3("l1-0")
    mine, other, *_ = [item for item in network.accounts() if item.owner == "you"]
    key, before = bytes.fromhex(mine.key[2:]), l2.eth.get_balance(l2.to_checksum_address(other.address))
    nonces = [w3.eth.get_transaction_count(w3.to_checksum_address(mine.address)) for w3 in (l2, l1)]
    raw = sign_transaction(key, chain_id=901, nonce=nonces[0], to=other.address, value=7, gas=21_000)
    (queue,) = [contract for contract in network.contracts() if contract.name == "ForcedQueue"]
    assert queue.chain == "l1"
    enqueuing = sign_transaction(
        key, chain_id=900, nonce=nonces[1], to=queue.address, data=encode_enqueue(raw, 21_000), gas=200_000,
        value=10**15, max_fee=10**10,
    )  # fmt: skip
    assert l1.eth.wait_for_transaction_receipt(l1.eth.send_raw_transaction(enqueuing)).status == 1
    wait_for(network, lambda: l2.eth.get_balance(l2.to_checksum_address(other.address)) == before + 7, within=20)
    receipt = l2.eth.get_transaction_receipt(transaction_hash(raw))
    assert (receipt.status, receipt.transactionIndex) == (1, 1), "right after the block's system transaction"
    assert demand(network, ["Q1"])


def test_misuse_is_named(network: SimNetwork) -> None:
    with pytest.raises(NetworkMisuse, match=r'no role is called "sequencer-9" \(did you mean sequencer-'):
        network.kill("sequencer-9")
    with pytest.raises(NetworkMisuse, match='no snapshot is called "redy" \\(did you mean ready'):
        network.load_snapshot("redy")
    with pytest.raises(NetworkMisuse, match="time cannot go back by 1 s"):
        network.advance(-1)


def test_a_stopped_network_says_so(tmp_path: Path) -> None:
    network = SimNetwork(wanted_network({}, folder=Path()).plan, name="gone", folder=tmp_path / "n")
    network.boot()
    network.remove()
    with pytest.raises(NetworkFailure, match="network gone has been stopped"):
        network.advance(1)
