"""What one engine promises about one block: exactly these transactions, a hash, and no trace of a refused one."""

from __future__ import annotations

import dataclasses

import pytest
from eth_utils.crypto import keccak

from harness.anvil import DEPOSITOR_ADDRESS, L1_INFO_ADDRESS, AnvilEngine, ChainSpec
from harness.ports import EngineFailure, Refused
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, InvalidBlock, L1Origin
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


def test_an_executed_block_is_answered_from_the_journal(engine: AnvilEngine) -> None:
    inputs = block_on(engine, None, signer(0).sign(NOBODY, value=1))
    assert engine.execute(inputs) is engine.execute(inputs)


def test_failed_transactions_are_included_with_their_revert_data(engine: AnvilEngine) -> None:
    alice = signer(0)
    raws = [alice.sign(ADDRESSES["reverts"]), alice.sign(ADDRESSES["burns"], gas=50_000), alice.sign(NOBODY)]
    reverted, burnt, plain = engine.execute(block_on(engine, None, *raws)).receipts
    assert (reverted.succeeded, reverted.revert_data) == (False, word(0xAA))
    assert (burnt.succeeded, burnt.gas_used, burnt.revert_data) == (False, 50_000, b"")
    assert (plain.succeeded, plain.revert_data) == (True, b"")


def test_logs_and_creations_are_reported(engine: AnvilEngine) -> None:
    alice = signer(0)
    store = alice.sign(ADDRESSES["store"], data=word(5) + word(7))
    create = alice.sign(None, data=bytes.fromhex("60058060095f395ff3" + "602a5f52f3"))
    stored, created = engine.execute(block_on(engine, None, store, create)).receipts
    assert [(log.address, log.topics, log.data) for log in stored.logs] == [(ADDRESSES["store"], (), word(1))]
    assert created.to is None
    assert created.succeeded
    assert int(engine.read("eth_getStorageAt", ADDRESSES["store"], f"0x{5:064x}", at=engine.head), 16) == 7


def test_an_unaffordable_transaction_is_named_and_leaves_no_trace(engine: AnvilEngine) -> None:
    alice, bob = signer(0), signer(1)
    first = engine.execute(block_on(engine, None, alice.sign(NOBODY, value=1)))
    before = engine.read("eth_getBalance", NOBODY, at=first.hash)
    raws = [alice.sign(NOBODY, value=1), bob.sign(NOBODY, value=1_000 * ETHER)]
    with pytest.raises(InvalidBlock, match=r"block 2 .* 1 of 2 transactions .*index 1: ") as caught:
        engine.execute(block_on(engine, None, *raws))
    assert caught.value.missing == (1,)
    assert engine.head == first.hash
    assert engine.read("eth_getBalance", NOBODY, at=first.hash) == before
    assert engine.execute(block_on(engine, None, raws[0])).number == 2


def test_a_transaction_that_becomes_unaffordable_while_mining_is_named_with_its_dependents(engine: AnvilEngine) -> None:
    alice = signer(0)
    raws = [alice.sign(NOBODY, value=60 * ETHER), alice.sign(NOBODY, value=60 * ETHER), alice.sign(NOBODY)]
    with pytest.raises(InvalidBlock, match="dropped while mining") as caught:
        engine.execute(block_on(engine, None, *raws))
    assert caught.value.missing == (1, 2)
    assert engine.head == engine.genesis_hash
    assert len(engine.execute(block_on(engine, None, raws[0])).receipts) == 1


@pytest.mark.parametrize(
    ("nonces", "missing"), [((1,), (0,)), ((0, 2), (1,)), ((1, 0), (0,)), ((0, 0), (1,))],
    ids=["gap-first", "gap-second", "swapped", "twice"],
)
def test_a_nonce_out_of_turn_is_refused(
    engine: AnvilEngine, nonces: tuple[int, ...], missing: tuple[int, ...]
) -> None:
    alice = signer(0)
    raws = [alice.sign(NOBODY, value=5, nonce=nonce) for nonce in nonces]
    with pytest.raises(InvalidBlock) as caught:
        engine.execute(block_on(engine, None, *raws))
    assert caught.value.missing == missing
    for nonce in range(3):  # none of the refused ones is left in the pool to ride along
        assert len(engine.execute(block_on(engine, None, alice.sign(NOBODY, nonce=nonce))).receipts) == 1


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\xde\xad\xbe\xef", b"\x7e\xc0", b"\x03\xc0", b"\x02\xff\xff"])
def test_garbage_transactions_are_refused_and_the_node_lives(engine: AnvilEngine, raw: bytes) -> None:
    good = signer(0).sign(NOBODY)
    with pytest.raises(InvalidBlock) as caught:
        engine.execute(block_on(engine, None, good, raw))
    assert caught.value.missing == (1,)
    assert len(engine.execute(block_on(engine, None, good)).receipts) == 1
    assert engine.restarts == 0


def test_another_chains_transaction_is_refused(engine: AnvilEngine) -> None:
    with pytest.raises(InvalidBlock) as caught:
        engine.execute(block_on(engine, None, signer(0).sign(NOBODY, chain_id=902)))
    assert caught.value.missing == (0,)


def test_what_does_not_fit_the_gas_limit_is_named(engine: AnvilEngine) -> None:
    raws = [signer(index).sign(ADDRESSES["burns"], gas=14_000_000) for index in range(3)]
    with pytest.raises(InvalidBlock) as caught:
        engine.execute(block_on(engine, None, *raws))
    assert caught.value.missing == (2,)


def test_more_transactions_than_one_array_takes_keep_their_order(engine: AnvilEngine) -> None:
    signers = [signer(index) for index in range(5)]
    raws = [signers[i * 7 % 5].sign(NOBODY, value=i, gas=30_000) for i in range(143)]
    block = engine.execute(block_on(engine, None, *raws))
    assert [r.transaction_hash for r in block.receipts] == [f"0x{keccak(raw).hex()}" for raw in raws]
    last_bad = [*(s.sign(NOBODY) for s in signers * 7), signers[0].sign(NOBODY, nonce=999)]
    with pytest.raises(InvalidBlock) as caught:
        engine.execute(block_on(engine, None, *last_bad))
    assert caught.value.missing == (35,)
    assert len(engine.execute(block_on(engine, None, *last_bad[:-1])).receipts) == 35


def test_a_refusal_in_the_first_of_several_arrays_leaves_nothing_in_the_pool(engine: AnvilEngine) -> None:
    alice, bob = signer(0), signer(1)
    raws = [alice.sign(NOBODY, value=1) for _ in range(40)]
    raws[3] = bob.sign(NOBODY, value=1_000 * ETHER)
    with pytest.raises(InvalidBlock) as caught:
        engine.execute(block_on(engine, None, *raws))
    assert 3 in caught.value.missing
    assert len(engine.execute(block_on(engine, None, bob.sign(NOBODY, nonce=0))).receipts) == 1
    assert engine.restarts == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chain_id": 902}, "this is chain 901"),
        ({"number": 7}, "its parent is block 0"),
        ({"timestamp": GENESIS_TIMESTAMP - 1}, "is before its parent's 1700000000"),
        ({"timestamp": 2**64}, "does not fit 64 bits"),
        ({"base_fee": -1}, "base_fee -1 does not fit"),
        ({"base_fee": 2**64}, "does not fit 64 bits"),
    ],
)
def test_impossible_numbers_are_refused_before_the_node_sees_them(
    engine: AnvilEngine, change: dict[str, int], message: str
) -> None:
    good = block_on(engine)
    fields = {name: getattr(good, name) for name in good.__slots__} | change
    with pytest.raises(InvalidBlock, match=message):
        engine.execute(BlockInputs(**fields))
    assert engine.execute(good).number == 1


def test_an_unknown_parent_is_an_engine_failure(engine: AnvilEngine) -> None:
    with pytest.raises(EngineFailure, match="does not know block 0xabab"):
        engine.execute(block_on(engine, Hash("0x" + "ab" * 32)))


def test_a_block_may_have_its_parents_timestamp(engine: AnvilEngine) -> None:
    first = engine.execute(block_on(engine, None, after_s=0))
    second = engine.execute(block_on(engine, None, after_s=0))
    assert first.inputs.timestamp == second.inputs.timestamp == GENESIS_TIMESTAMP


def test_calls_read_the_state_and_clock_of_their_block(engine: AnvilEngine) -> None:
    alice = signer(0)
    one = engine.execute(block_on(engine, None, alice.sign(NOBODY, value=1), after_s=3))
    two = engine.execute(block_on(engine, None, alice.sign(NOBODY, value=1), after_s=4))
    for block in (one, two):
        answer = engine.call(ADDRESSES["now"], b"", at=block.hash)
        assert answer == word(block.inputs.timestamp) + word(block.number)
        assert int(engine.read("eth_getBalance", NOBODY, at=block.hash), 16) == block.number
    assert engine.call(ADDRESSES["answer"], b"", at=engine.genesis_hash) == word(42)
    assert engine.call(ADDRESSES["echo"], b"", at=two.hash, sender=alice.address)[12:].hex() == alice.address[2:]


def test_a_reverting_call_is_refused_with_its_data(engine: AnvilEngine) -> None:
    with pytest.raises(Refused) as caught:
        engine.call(ADDRESSES["reverts"], b"", at=engine.head)
    assert caught.value.args[0] == f"0x{word(0xAA).hex()}"
    with pytest.raises(Refused, match=r"^0x$"):
        engine.call(ADDRESSES["burns"], b"", at=engine.head)


def test_a_call_on_another_fork_is_answered_there(engine: AnvilEngine) -> None:
    alice = signer(0)
    raw = alice.sign(NOBODY, value=1)
    left = engine.execute(block_on(engine, engine.genesis_hash, raw, after_s=1))
    right = engine.execute(block_on(engine, engine.genesis_hash, after_s=9))
    for block, balance in ((left, 1), (right, 0), (left, 1)):
        assert engine.call(ADDRESSES["now"], b"", at=block.hash) == word(block.inputs.timestamp) + word(1)
        assert int(engine.read("eth_getBalance", NOBODY, at=block.hash), 16) == balance
    assert engine.restarts == 0


def test_replay_stops_at_the_first_block_that_does_not_execute(make_engine: MakeEngine) -> None:
    maker, other = make_engine(), make_engine()
    alice = signer(0)
    blocks = [maker.execute(block_on(maker, None, alice.sign(NOBODY, value=1))) for _ in range(4)]
    bad = BlockInputs(chain_id=901, number=3, parent=blocks[1].hash, timestamp=GENESIS_TIMESTAMP + 50, base_fee=0,
                      transactions=(alice.sign(NOBODY, nonce=77),))
    assert list(other.replay([blocks[0].inputs, blocks[1].inputs, bad, blocks[3].inputs])) == blocks[:2]
    assert list(other.replay([block.inputs for block in blocks])) == blocks


def test_the_l1_attributes_come_first_and_stay_out_of_the_receipts(make_engine: MakeEngine, spec: ChainSpec) -> None:
    engine = make_engine(_with_l1_info(spec))
    alice = signer(0)
    for number in (11, 11, 12):
        origin = L1Origin(number=number, hash=Hash("0x" + f"{number:064x}"), timestamp=1_699_999_000 + number)
        block = engine.execute(block_on(engine, None, alice.sign(NOBODY, value=1), origin=origin))
        assert len(block.receipts) == 1
        slots = [int(engine.read("eth_getStorageAt", L1_INFO_ADDRESS, f"0x{i:064x}", at=block.hash), 16)
                 for i in range(4)]
        assert slots == [int(DEPOSITOR_ADDRESS, 16), number, number, origin.timestamp]
    without = engine.execute(block_on(engine))
    assert without.gas_used == 0
    engine.restart()
    origin = L1Origin(number=13, hash=Hash("0x" + "13" * 32), timestamp=1_699_999_013)
    assert engine.execute(block_on(engine, without.hash, origin=origin)).gas_used > 21_000


def test_a_reverting_l1_attributes_transaction_makes_the_block_invalid(
    make_engine: MakeEngine, spec: ChainSpec
) -> None:
    engine = make_engine(_with_l1_info(spec))
    refused = L1Origin(number=666, hash=Hash("0x" + "66" * 32), timestamp=1_699_999_000)
    raw = signer(0).sign(NOBODY, value=1)
    with pytest.raises(InvalidBlock, match="the L1-attributes transaction reverted with 0x; give it an origin"):
        engine.execute(block_on(engine, None, raw, origin=refused))
    assert engine.head == engine.genesis_hash
    accepted = L1Origin(number=667, hash=Hash("0x" + "67" * 32), timestamp=1_699_999_001)
    assert len(engine.execute(block_on(engine, None, raw, origin=accepted)).receipts) == 1


def test_every_block_has_the_base_fee_it_was_given_also_after_a_rollback(engine: AnvilEngine) -> None:
    alice = signer(0)
    gwei = 10**9
    one = engine.execute(block_on(engine, None, alice.sign(NOBODY, fee=9 * gwei), base_fee=9 * gwei))
    engine.execute(block_on(engine, one.hash, alice.sign(NOBODY, fee=30 * gwei), base_fee=30 * gwei))
    beside = engine.execute(block_on(engine, one.hash, base_fee=7))
    free = engine.execute(block_on(engine, beside.hash, base_fee=0))
    for block, fee in ((one, 9 * gwei), (beside, 7), (free, 0)):
        assert block.inputs.base_fee == fee  # the engine compared the mined header with it
    assert engine.call(ADDRESSES["answer"], b"", at=one.hash) == word(42)
    underpaid = signer(1).sign(NOBODY, fee=6)
    with pytest.raises(InvalidBlock) as caught:
        engine.execute(block_on(engine, free.hash, underpaid, base_fee=7))
    assert caught.value.missing == (0,)


def test_an_adopted_block_is_executed_when_it_is_needed_and_must_agree(make_engine: MakeEngine) -> None:
    maker, follower, fooled = make_engine(), make_engine(), make_engine()
    alice = signer(0)
    blocks = [maker.execute(block_on(maker, None, alice.sign(NOBODY, value=1))) for _ in range(3)]
    for block in blocks:
        follower.adopt(block)
    assert follower.head == blocks[-1].hash
    assert int(follower.read("eth_getBalance", NOBODY, at=blocks[-1].hash), 16) == 3
    child = block_on(maker, None, alice.sign(NOBODY))
    assert follower.execute(child) == maker.execute(child)

    lie = _with_hash(blocks[0], Hash("0x" + "13" * 32))
    fooled.adopt(lie)
    with pytest.raises(EngineFailure, match="contradicts its journal: block 1 was 0x1313"):
        fooled.call(ADDRESSES["answer"], b"", at=lie.hash)
    assert fooled.execute(blocks[0].inputs).hash in (lie.hash, blocks[0].hash)


def _with_hash(block: ExecutedBlock, wrong: Hash) -> ExecutedBlock:
    return dataclasses.replace(block, hash=wrong)


def _with_l1_info(spec: ChainSpec) -> ChainSpec:
    return dataclasses.replace(spec, l1_info=True)
