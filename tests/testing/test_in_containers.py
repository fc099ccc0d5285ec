"""`@pytest.mark.network(runtime="compose")` gives the same fixtures over containers."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from harness.runtimes.compose.layout import NETWORK_LABEL
from harness.runtimes.compose.removal import left_over
from tests.testing.test_plugin import pytest_in, suite, temporary

__all__ = ["suite", "temporary"]   # fixtures

pytestmark = [pytest.mark.docker, pytest.mark.node, pytest.mark.timeout(400)]


def test_a_network_of_containers_is_deployed_to_broken_and_checked(
    suite: Path, temporary: Path, engine: docker.DockerClient, image: str
) -> None:
    """Two tests, so that the second finds what a snapshot brought back, and the check reads through it."""
    (suite / "test_it.py").write_text('''
import pathlib, pytest

pytestmark = pytest.mark.network(runtime="compose")

@pytest.mark.parametrize("turn", range(2))
def test_it(network, web3, deploy, accounts, faults, wait_for, check, turn):
    pathlib.Path("name").write_text(network.name)
    assert network.runtime == "compose"
    assert web3.eth.get_transaction_count(accounts[0].address) == 0
    counter = deploy("Counter", 10)
    counter.functions.add(1 + turn).transact()
    wait_for(lambda: counter.functions.count().call() == 11 + turn, within=30)
    if turn == 1:
        with faults.pause("sequencer-0"):
            height = network.height
            network.advance(1)
            assert network.height <= height + 1
        wait_for(lambda: network.height > height + 1, within=30)
    check("H1", "H4")
''')
    done = pytest_in(suite, temporary)
    assert done.returncode == 0, done.stdout + done.stderr
    assert left_over(engine, f"{NETWORK_LABEL}={(suite / 'name').read_text()}") == []
