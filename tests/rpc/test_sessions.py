"""The clients people have, each through the same session against a sequencer and a replica, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.evm.accounts import account
from tests.rpc import clients
from tests.rpc.network import Running
from tests.rpc.sessions import foundry, web3py
from tests.rpc.sessions.steps import FOUND, printed_steps

pytestmark = [pytest.mark.local, pytest.mark.node, pytest.mark.scenario, pytest.mark.xdist_group("rpc")]

SESSIONS = Path(__file__).parent / "sessions"
SESSION_TIMEOUT_S = 240
ROLES = ("sequencer-0", "replica-0")
CLIENTS = ("web3.py", "ethers", "viem", "cast")
SESSION_ACCOUNTS = 3
OTHER = 200
"""Receives; each session has one of its own."""

Taken = list[tuple[str, str | None]]


def _session(network: Running, installed: Path, client: str, role: str, index: int) -> Taken:
    rpc, mine, other = network.rpc(role), account(index), account(OTHER + index)
    if client == "web3.py":
        return web3py.session(rpc, mine.key, other.address)
    if client == "cast":
        return foundry.session(clients.cast_binary(installed), rpc, mine.key, mine.address, other.address)
    keys = (f"0x{mine.key.hex()}", f"0x{other.key.hex()}")
    script = SESSIONS / f"{client}.cjs"
    return printed_steps(clients.run_node(installed, script, rpc.http, rpc.ws, *keys, timeout_s=SESSION_TIMEOUT_S))


@pytest.fixture(scope="module")
def sessions(network: Running) -> Iterator[dict[tuple[str, str], Future[Taken]]]:
    """All of them, running side by side: each waits for blocks most of its time."""
    installed = clients.installed()
    pairs = [(client, role) for client in CLIENTS for role in ROLES]
    with ThreadPoolExecutor(len(pairs)) as pool:
        yield {
            pair: pool.submit(_session, network, installed, *pair, index)
            for index, pair in enumerate(pairs, start=SESSION_ACCOUNTS)
        }




@pytest.mark.timeout(SESSION_TIMEOUT_S + 60)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_takes_the_whole_session(
    sessions: dict[tuple[str, str], Future[Taken]], client: str, role: str
) -> None:
    """Every step, in order, and the same found as by all other clients."""
    taken = sessions[client, role].result(SESSION_TIMEOUT_S)
    assert [name for name, _ in taken] == list(FOUND)
    assert dict(taken) == FOUND


def test_the_session_has_forty_steps() -> None:
    assert len(FOUND) >= 40
