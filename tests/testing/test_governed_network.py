"""Governing a network by hand, in virtual time: what was switched and paused is what a saved state brings back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from harness.evm.accounts import OWNER, account
from harness.testing.people import ContractsOf
from harness.testing.sim_network import SimNetwork
from harness.testing.wanted import wanted_network

pytestmark = pytest.mark.node


@pytest.fixture
def network(tmp_path: Path) -> Iterator[SimNetwork]:
    plan = wanted_network({"sequencers": 4}, folder=Path()).plan
    network = SimNetwork(plan, name="governed", folder=tmp_path / "here")
    network.boot()
    network.advance(15)  # by then its operator has listed everything and signs no more
    yield network
    network.remove()


class Operator:
    """Dev account 0: guardian, and whom the timelock listens to."""

    def __init__(self, network: SimNetwork) -> None:
        self.contracts = ContractsOf(network, network.web3)
        self._w3 = network.web3()
        self._account = Account.from_key(account(OWNER).key)

    def send(self, call: Any) -> None:
        """Sign, send and see it succeed."""
        address = self._account.address
        fields = {
            "from": address, "nonce": self._w3.eth.get_transaction_count(address, "pending"), "gas": 3_000_000,
            "gasPrice": 0,  # what every role here pays
        }  # fmt: skip
        signed = self._account.sign_transaction(call.build_transaction(fields))
        receipt = self._w3.eth.wait_for_transaction_receipt(
            self._w3.eth.send_raw_transaction(signed.raw_transaction), timeout=20
        )
        assert receipt["status"] == 1


def test_a_state_saved_after_an_upgrade_comes_back_with_the_same_root(network: SimNetwork) -> None:
    """U5: every node, also one that was killed, stands on the root that was saved, version and pause included."""
    operator, venue = Operator(network), network.plan.venue
    liquidator, timelock = operator.contracts["liquidator"], operator.contracts["timelock"]
    second = network.web3().to_checksum_address(
        next(item.address for item in network.contracts() if item.key == "liquidator_v2")
    )
    share = liquidator.encode_abi("initialize", args=[venue.keeper_share_bps])
    switch = liquidator.encode_abi("upgradeToAndCall", args=[second, bytes.fromhex(share[2:])])
    call = (liquidator.address, 0, bytes.fromhex(switch[2:]), bytes(32), bytes(32))
    operator.send(timelock.functions.schedule(*call, venue.timelock_delay_s))
    network.advance(venue.timelock_delay_s + 2)
    operator.send(timelock.functions.execute(*call))
    operator.send(operator.contracts["pauses"].functions.pause(3))
    network.kill("replica-0")
    network.advance(2)
    network.start("replica-0")
    network.advance(4)
    saved = network.save_snapshot("governed")

    def seen(role: str) -> tuple[Any, ...]:
        w3 = network.web3(role)
        block = w3.eth.get_block(saved.l2_block)
        state = ContractsOf(network, lambda: w3)["lens"].functions.governance().call(block_identifier=saved.l2_block)
        return block["stateRoot"], block["hash"], state[0], state[-1]

    roles = ("sequencer-0", "sequencer-3", "replica-0")
    before = [seen(role) for role in roles]
    assert len(set(before)) == 1
    assert before[0][2:] == (3, 2)
    operator.send(operator.contracts["pauses"].functions.unpause(3))
    network.load_snapshot("governed")
    assert [seen(role) for role in roles] == before
    assert operator.contracts["pauses"].functions.paused().call() == 3
