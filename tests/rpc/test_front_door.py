"""The public ports of a running network are links of the fault proxy: a wallet feels what is done to `user->ROLE`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import toxiproxy

from harness.evm.accounts import account
from harness.evm.wallet import sign_transaction, transaction_hash
from harness.faults.rpc import LIE
from harness.faults.rules import RpcRule
from harness.plan import L2_CHAIN_ID
from harness.ports import LinkRule
from tests.proxy import node_client
from tests.rpc.network import Rpc, Running

pytestmark = [pytest.mark.local, pytest.mark.node, pytest.mark.xdist_group("rpc")]

REPLICA = "replica-0"
WALLET = account(7)


@pytest.fixture
def api(network: Running) -> toxiproxy.Toxiproxy:
    """Toxiproxy's own client, on the network's control API."""
    assert network.runtime.fault_api is not None
    client = toxiproxy.Toxiproxy()
    client.update_api_consumer(*network.runtime.fault_api)
    return client


@contextmanager
def lying(network: Running, role: str, rule: RpcRule) -> Iterator[None]:
    network.run(network.runtime.set_rpc(role, {"f1": rule}))
    try:
        yield
    finally:
        network.run(network.runtime.set_rpc(role, {}))


def lie(action: str, *methods: str, **how: float) -> RpcRule:
    return RpcRule(senders=("user",), methods=methods, action=action, **how)  # type: ignore[arg-type]


def seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def signed(rpc: Rpc) -> str:
    nonce = int(rpc.call("eth_getTransactionCount", WALLET.address, "pending"), 16)
    raw = sign_transaction(
        WALLET.key, chain_id=L2_CHAIN_ID, nonce=nonce, to=account(8).address, data=b"", gas=50_000, max_fee=10**9
    )
    return "0x" + raw.hex()


def test_every_link_and_every_front_door_is_a_proxy(network: Running, api: toxiproxy.Toxiproxy) -> None:
    proxies = api.proxies()
    roles = network.runtime.roles()
    assert {f"{src}->{dst}" for src in roles for dst in roles if src != dst} <= set(proxies)
    door = proxies["user->sequencer-0"]
    assert door.listen == "{}:{}".format(*network.runtime.rpc_endpoints()["sequencer-0"])


def test_a_wallet_feels_a_toxic_and_no_longer_when_it_is_gone(replica: Rpc, api: toxiproxy.Toxiproxy) -> None:
    """Created, changed and removed by toxiproxy-python, on a network that runs on meanwhile."""
    door = api.get_proxy(f"user->{REPLICA}")
    door.add_toxic(type="latency", stream="downstream", attributes={"latency": 300})
    try:
        assert seconds(lambda: replica.call("eth_chainId")) >= 0.29
    finally:
        door.destroy_toxic("latency_downstream")
    assert min(seconds(lambda: replica.call("eth_chainId")) for _ in range(5)) < 0.2
    with door.down(), pytest.raises(OSError, match="refused"):
        replica.call("eth_chainId")
    assert replica.call("eth_chainId") == hex(L2_CHAIN_ID)


def test_the_node_client_does_to_a_wallet_what_it_says(network: Running, sequencer: Rpc) -> None:
    """toxiproxy-node-client on a network that runs: added, changed, removed, and reset, each felt by a call."""
    assert network.runtime.fault_api is not None
    api = "http://{}:{}".format(*network.runtime.fault_api)
    took = node_client.take("door.js", api, "user->sequencer-0", sequencer.http)
    assert took["slow"] >= 245
    assert took["slower"] >= 495
    assert took["again"] >= 245
    assert max(took["before"], took["removed"], took["reset"]) < 240, took


def test_the_session_in_the_readme_works_as_it_stands(api: toxiproxy.Toxiproxy) -> None:
    """Run as written, but for the port, which `harness up` would have chosen."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (shown,) = re.findall(r"^```py\n(import toxiproxy.*?)^```", readme, re.MULTILINE | re.DOTALL)
    exec(compile(shown, "README.md", "exec"), {})
    assert api.destroy(api.get_proxy("postgres"))
    assert api.get_proxy("user->sequencer-0").toxics() == {}


def test_a_toxic_between_two_nodes_delays_their_messages(network: Running, api: toxiproxy.Toxiproxy) -> None:
    def round_trip() -> float:
        answer = network.run(network.runtime.probe(REPLICA, "sequencer-0", timeout=5.0))
        assert answer is not None
        return answer

    link = api.get_proxy(f"{REPLICA}->sequencer-0")
    link.add_toxic(type="latency", stream="upstream", attributes={"latency": 250})
    try:
        assert round_trip() >= 240
    finally:
        link.destroy_toxic("latency_upstream")
    assert min(round_trip() for _ in range(5)) < 200


def test_the_scenarios_words_work_on_a_front_door(network: Running) -> None:
    """The links `user->ROLE` take the rules of every other link, and are probed as a wallet would."""
    runtime = network.runtime
    assert network.run(runtime.probe("user", REPLICA, timeout=5.0)) is not None
    network.run(runtime.set_link("user", REPLICA, {"f1": LinkRule(delay_ms=200)}))
    slow = network.run(runtime.probe("user", REPLICA, timeout=5.0))
    assert slow is not None
    assert slow >= 195
    network.run(runtime.set_link("user", REPLICA, {"f1": LinkRule(cut=True)}))
    assert network.run(runtime.probe("user", REPLICA, timeout=0.3)) is None
    network.run(runtime.set_link("user", REPLICA, {}))
    assert network.run(runtime.probe("user", REPLICA, timeout=5.0)) is not None


def test_a_websocket_passes_the_front_door_and_feels_it_too(network: Running, replica: Rpc) -> None:
    async def session() -> tuple[float, float]:
        async with aiohttp.ClientSession() as client, client.ws_connect(replica.ws) as socket:
            async def ask() -> float:
                began = time.monotonic()
                await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})
                assert (await socket.receive_json(timeout=20))["result"] == hex(L2_CHAIN_ID)
                return time.monotonic() - began

            before = min([await ask() for _ in range(3)])
            await network.runtime.set_link("user", REPLICA, {"f1": LinkRule(delay_ms=200)})
            try:
                return before, await ask()
            finally:
                await network.runtime.set_link("user", REPLICA, {})

    before, during = network.run(session())
    assert before < 0.19 <= during


def test_an_error_hides_a_transaction_that_is_included(network: Running, sequencer: Rpc, replica: Rpc) -> None:
    raw = signed(sequencer)
    with lying(network, "sequencer-0", lie("error", "tx")):
        assert sequencer.error("eth_sendRawTransaction", raw)["message"] == LIE
    assert replica.receipt(transaction_hash(bytes.fromhex(raw.removeprefix("0x"))))["status"] == "0x1"
    counters = network.run(network.runtime.rpc_counters("sequencer-0"))
    assert counters["f1"].lied == 1


def test_a_transaction_handed_in_twice_is_included_once(network: Running, sequencer: Rpc) -> None:
    before = int(sequencer.call("eth_getTransactionCount", WALLET.address, "latest"), 16)
    with lying(network, "sequencer-0", lie("duplicate", "eth_sendRaw*")):
        receipt = sequencer.receipt(sequencer.call("eth_sendRawTransaction", signed(sequencer)))
    assert receipt["status"] == "0x1"
    assert int(sequencer.call("eth_getTransactionCount", WALLET.address, "latest"), 16) == before + 1


def test_a_receipt_is_not_there_yet_for_as_long_as_the_lie_says(network: Running, sequencer: Rpc) -> None:
    name = sequencer.call("eth_sendRawTransaction", signed(sequencer))
    sequencer.receipt(name)
    with lying(network, "sequencer-0", lie("delay", "receipt", delay_ms=600)):
        assert sequencer.call("eth_getTransactionReceipt", name) is None
        assert seconds(lambda: sequencer.receipt(name)) >= 0.5


def test_an_old_head_is_served_for_the_newest(network: Running, replica: Rpc) -> None:
    replica.wait(lambda: int(replica.call("eth_blockNumber"), 16) > 12)
    with lying(network, REPLICA, lie("stale", "eth_*", blocks=8)):
        numbers = [int(replica.call("eth_blockNumber"), 16)]
        numbers.append(int(replica.call("eth_getBlockByNumber", "latest", False)["number"], 16))
        replies = replica.post('[{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}]')
        numbers.append(int(replies[0]["result"], 16))
    true = int(replica.call("eth_blockNumber"), 16)
    assert all(true - 8 - 8 <= number <= true - 8 for number in numbers), (numbers, true)
