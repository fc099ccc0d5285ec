"""A dev network in containers is lived in like one of processes: asked, broken, restarted, saved and brought back."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from harness.network.client import NetworkClient
from harness.network.network_file import network_plan
from harness.network.owner import Wanted
from harness.network.ports import ANY
from harness.network.starting import up
from harness.plan import L2_CHAIN_ID
from harness.runtimes.compose.layout import NETWORK_LABEL
from harness.runtimes.compose.removal import left_over

pytestmark = [pytest.mark.docker, pytest.mark.node, pytest.mark.timeout(600)]

NAME = "in-containers"
DEADLINE_S = 120.0
GONE_S = 30.0
SMALL = ["network.l2.sequencers=1", "network.l2.replicas=1", "network.l1.followers=0", "network.keepers=1"]


@pytest.fixture(scope="module")
def network(module_state: Path, engine: docker.DockerClient, image: str) -> Iterator[NetworkClient]:
    wanted = Wanted(network_plan(None, overrides=SMALL), name=NAME, runtime="compose", ports=ANY)
    client = up(wanted, tied=True)
    try:
        yield client
    finally:
        client.stop()
        deadline = time.monotonic() + GONE_S   # the engine may show for a moment what it has said is gone
        while left := left_over(engine, f"{NETWORK_LABEL}={NAME}"):
            assert time.monotonic() < deadline, f"still there after {GONE_S:g} s: {left}"
            time.sleep(0.2)


def ask(network: NetworkClient, role: str, method: str, *params: Any) -> Any:
    where = next(endpoint.http for endpoint in network.endpoints() if endpoint.role == role)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(where, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        return json.loads(answer.read())["result"]


def wait_for_block(network: NetworkClient, number: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while network.status().l2_block < number:
        assert time.monotonic() < deadline, f"no block {number} within {DEADLINE_S:g} s"
        time.sleep(0.1)


def test_nodes_answer_wallets_through_the_proxy(network: NetworkClient) -> None:
    """What stands between a wallet and a node can be broken, also where the node is in a container."""
    assert ask(network, "sequencer-0", "eth_chainId") == hex(L2_CHAIN_ID)
    assert int(ask(network, "l1-0", "eth_blockNumber"), 16) >= 0
    fault = network.fault({"latency": {"from": "user", "to": "sequencer-0", "delay": "400ms"}})
    began = time.monotonic()
    assert ask(network, "sequencer-0", "eth_chainId") == hex(L2_CHAIN_ID)
    assert time.monotonic() - began > 0.4
    (healed,) = network.heal(fault.id)
    assert (healed.phase, healed.bit) == ("healed", True)


def test_a_restarted_node_has_its_address_and_its_chain(network: NetworkClient) -> None:
    before = network.endpoints()
    number = int(ask(network, "replica-0", "eth_blockNumber"), 16)
    network.restart("replica-0")
    assert network.endpoints() == before
    wait_for_block(network, network.status().l2_block + 2)
    assert int(ask(network, "replica-0", "eth_blockNumber"), 16) >= number
    assert network.status().problems == ()


def test_a_state_is_saved_from_the_volumes_and_put_into_new_ones(network: NetworkClient) -> None:
    before = network.endpoints()
    saved = network.save_snapshot("before")
    wait_for_block(network, saved.l2_block + 2)
    assert network.load_snapshot("before") == saved
    assert network.endpoints() == before
    wait_for_block(network, saved.l2_block + 2)
    assert {role.state for role in network.status().roles} == {"running"}


def test_logs_are_where_they_are_looked_for(network: NetworkClient) -> None:
    assert network.log("sequencer-0").exists()
