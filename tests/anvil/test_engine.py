"""What one engine promises about one block: exactly these transactions, a hash, and no trace of a refused one."""

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak

from harness.anvil import DEPOSITOR_ADDRESS, L1_INFO_ADDRESS, AnvilEngine, ChainSpec
from harness.ports import EngineFailure, Refused
from harness.rollup.blocks import BlockInputs, Hash, InvalidBlock, L1Origin
from tests.anvil.conftest import ADDRESSES, ETHER, GENESIS_TIMESTAMP, MakeEngine, block_on, signer

pytestmark = pytest.mark.node

NOBODY = "0x" + "99" * 20


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def test_a_block_has_exactly_its_transactions_in_order(engine: AnvilEngine) -> None:
    alice, bob = signer(0), signer(1)
    raws = [alice.sign(NOBODY, value=1), bob.sign(NOBODY, value=2), alice.sign(NOBODY, value=3)]
    block = engine.execute(block_on(engine, None, *raws))
    assert [r.transaction_hash for r in block.receipts] == [f"0x{keccak(raw).hex()}" for raw in raws]
    assert [r.sender for r in block.receipts] == [alice.address, bob.address, alice.address]
    assert engine.head == block.hash
    assert block.gas_used == 3 * 21_000
