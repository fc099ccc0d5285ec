"""The port itself: what it does with HTTP, with WebSockets, and with those who use neither properly."""

from __future__ import annotations

import pytest

from tests.rpc.network import Rpc, Running

pytestmark = [pytest.mark.local, pytest.mark.node, pytest.mark.xdist_group("rpc")]


def test_every_node_answers_for_its_own_chain(network: Running) -> None:
    for role, chain in (("l1-0", 900), ("l1-1", 900), ("sequencer-0", 901), ("replica-0", 901)):
        assert network.rpc(role).call("eth_chainId") == hex(chain)


def test_blocks_come(sequencer: Rpc) -> None:
    first = int(sequencer.call("eth_blockNumber"), 16)
    sequencer.wait(lambda: int(sequencer.call("eth_blockNumber"), 16) > first + 2)
