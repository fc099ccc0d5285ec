"""Nodes that went different ways (straight, through forks, through crashes) hold the same blocks, bit for bit."""

from __future__ import annotations

import dataclasses
import os
import signal
from random import Random

import pytest

from harness.anvil import AnvilEngine, ChainSpec
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, L1Origin
from tests.anvil.conftest import ADDRESSES, CHAIN_ID, MakeEngine, Signer, block_on, signer

pytestmark = pytest.mark.node

BLOCKS = 240
HISTORY = 24
GWEI = 10**9


class Traffic:
    """Mixed transactions of eight signers, drawn from a seed: transfers, creates, reverts, out-of-gas, zeroed slots."""

    def __init__(self, seed: int, *, fee: int = 0) -> None:
        self.random = Random(seed)
        self.signers = [signer(index) for index in range(8)]
        self.fee = fee

    def block(self) -> tuple[bytes, ...]:
        return tuple(self._transaction() for _ in range(self.random.randrange(0, 7)))

    def _transaction(self) -> bytes:
        draw, who = self.random, self.random.choice(self.signers)
        slot, value = draw.randrange(6).to_bytes(32, "big"), draw.randrange(3).to_bytes(32, "big")
        match draw.randrange(6):
            case 0:
                return self._sign(who, None, data=bytes.fromhex("60058060095f395ff3602a5f52f3"))
            case 1:
                return self._sign(who, ADDRESSES["reverts"])
            case 2:
                return self._sign(who, ADDRESSES["burns"], gas=40_000)
            case 3 | 4:
                return self._sign(who, ADDRESSES["store"], data=slot + value)  # a third of the values is zero
        return self._sign(who, f"0x{draw.randrange(20) + 0x7000:040x}", value=draw.randrange(1000))

    def _sign(self, who: Signer, to: str | None, *, data: bytes = b"", value: int = 0, gas: int = 120_000) -> bytes:
        return who.sign(to, data=data, value=value, gas=gas, fee=self.fee)


@pytest.fixture
def l2_spec(spec: ChainSpec) -> ChainSpec:
    return dataclasses.replace(spec, history=HISTORY, l1_info=True)


def _kill(engine: AnvilEngine) -> None:
    assert engine.process.pid is not None
    os.kill(engine.process.pid, signal.SIGKILL)


def _wander(engine: AnvilEngine, draw: Random, chain: list[ExecutedBlock], *, base_fee: int = 0) -> None:
    """Take the node onto a fork of its own, up to a depth its kept states reach or, rarely, beyond."""
    depth = min(draw.choice((1, 2, 5, 11, HISTORY + 6)), len(chain))
    root: Hash = engine.genesis_hash if depth == len(chain) else chain[-depth - 1].hash
    stranger = Signer(signer(7).account, nonce=0)
    for _ in range(draw.randrange(1, 4)):
        nonce = int(engine.read("eth_getTransactionCount", stranger.address, at=root), 16)
        raw = stranger.sign(ADDRESSES["store"], data=bytes(32) + bytes([9] * 32), nonce=nonce, fee=200 * GWEI)
        root = engine.execute(block_on(engine, root, raw, after_s=draw.randrange(20), base_fee=base_fee)).hash


def test_l2_nodes_agree_through_forks_crashes_and_restarts(make_engine: MakeEngine, l2_spec: ChainSpec) -> None:
    """Hundreds of mixed blocks; every block's hash, state root, receipts and logs are equal on all four nodes."""
    straight, wanderer, mortal, late = (make_engine(l2_spec) for _ in range(4))
    traffic, draw = Traffic(seed=11), Random(12)
    chain: list[ExecutedBlock] = []
    for number in range(1, BLOCKS + 1):
        origin = L1Origin(number=number // 6, hash=Hash(f"0x{number // 6:064x}"), timestamp=1_699_000_000 + number)
        inputs = block_on(straight, None, *traffic.block(), after_s=draw.randrange(3), origin=origin)
        block = straight.execute(inputs)
        chain.append(block)
        assert wanderer.execute(inputs) == block
        if draw.random() < 0.12:
            _wander(wanderer, draw, chain)
        if draw.random() < 0.03:
            _kill(mortal)
        if draw.random() < 0.01:
            mortal.restart()
        assert mortal.execute(inputs) == block
    assert list(late.replay([block.inputs for block in chain])) == chain
    statuses = [receipt.succeeded for block in chain for receipt in block.receipts]
    assert statuses.count(False) > 100, "the mix must contain failures"
    assert len(statuses) > 500
    assert mortal.restarts >= 3
    assert straight.restarts == wanderer.restarts == late.restarts == 0

    def stored(engine: AnvilEngine) -> list[object]:
        slots = [f"0x{slot:064x}" for slot in range(6)]
        return [engine.read("eth_getStorageAt", ADDRESSES["store"], slot, at=chain[-1].hash) for slot in slots]

    for engine in (wanderer, mortal, late):  # every live node, not only its journal, holds the same state
        assert stored(engine) == stored(straight)


def test_l1_nodes_agree_under_moving_base_fees_and_reorgs(make_engine: MakeEngine, spec: ChainSpec) -> None:
    """A rollback does not restore the base fee; equal hashes show that every block sets its own."""
    builder, follower = (make_engine(dataclasses.replace(spec, history=HISTORY)) for _ in range(2))
    traffic, draw = Traffic(seed=21, fee=200 * GWEI), Random(22)
    chain: list[ExecutedBlock] = []
    fee = 30 * GWEI
    for _ in range(60):
        fee = max(7, fee * draw.randrange(875, 1126) // 1000)
        inputs = block_on(builder, None, *traffic.block(), after_s=3, base_fee=min(fee, 150 * GWEI))
        chain.append(builder.execute(inputs))
        if len(chain) > 1 and draw.random() < 0.3:
            _wander(follower, draw, chain[:-1], base_fee=draw.choice((0, 5, 90 * GWEI)))
        assert follower.execute(inputs) == chain[-1]
        if draw.random() < 0.1:
            _kill(follower)
    assert follower.restarts >= 1


def test_a_chain_beyond_the_kept_states_is_rolled_back_by_replay(make_engine: MakeEngine, spec: ChainSpec) -> None:
    engine = make_engine(dataclasses.replace(spec, history=4))
    alice = signer(0)
    chain = [engine.execute(block_on(engine, None, alice.sign(ADDRESSES["store"], data=bytes(32) + bytes([i] * 32))))
             for i in range(1, 16)]
    pids = {engine.process.pid}
    for block in (chain[11], chain[0], chain[14], chain[6]):
        value = engine.read("eth_getStorageAt", ADDRESSES["store"], f"0x{0:064x}", at=block.hash)
        assert value == f"0x{bytes([block.number] * 32).hex()}"
        pids.add(engine.process.pid)
    assert len(pids) > 1, "the oldest states are only reached by a fresh node"
    side = BlockInputs(chain_id=CHAIN_ID, number=3, parent=chain[1].hash, timestamp=chain[1].inputs.timestamp,
                       base_fee=0, transactions=())
    assert engine.execute(side).state_root == chain[1].state_root
    assert engine.restarts == 0


def test_states_that_abandoned_forks_pushed_out_are_recovered(make_engine: MakeEngine, spec: ChainSpec) -> None:
    """Anvil counts the blocks of dead forks among the states it keeps, so a shallow rollback may fail as well."""
    engine = make_engine(dataclasses.replace(spec, history=8))
    alice = signer(0)
    chain = [engine.execute(block_on(engine, None, alice.sign(ADDRESSES["store"], data=bytes(32) + bytes([i] * 32))))
             for i in range(1, 11)]
    for late in range(12):
        engine.execute(block_on(engine, chain[-2].hash, after_s=late + 2))
    value = engine.read("eth_getStorageAt", ADDRESSES["store"], f"0x{0:064x}", at=chain[-4].hash)
    assert value == f"0x{bytes([7] * 32).hex()}"
    for late in range(12):
        engine.execute(block_on(engine, chain[-1].hash, after_s=late + 2))
    assert engine.execute(block_on(engine, chain[-5].hash, after_s=50)).state_root == chain[-5].state_root
    assert engine.restarts == 0
