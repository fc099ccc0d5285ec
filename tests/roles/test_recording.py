"""A block as the history has it: what the checks cannot compute must be there."""

from __future__ import annotations

from dataclasses import replace

from harness.history.parse import parse_record
from harness.history.records import BlockRecord
from harness.roles.recording import block_record
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, L1Origin

HASH = Hash("0x" + "11" * 32)
ORIGIN = L1Origin(7, Hash("0x" + "77" * 32), 988)


def recorded(inputs: BlockInputs) -> BlockRecord:
    block = ExecutedBlock(inputs=inputs, hash=HASH, state_root=HASH, gas_used=0, receipts=(), system_logs=())
    read = parse_record({"t": 0, "node": "sequencer-0", "kind": "block", **block_record("l2", block, {})})
    assert isinstance(read, BlockRecord)
    return read


def test_a_block_says_the_time_of_its_l1_origin_which_ends_a_grace() -> None:
    inputs = BlockInputs(901, 3, Hash("0x" + "22" * 32), 1_000, 0, (), ORIGIN)
    assert (recorded(inputs).origin, recorded(inputs).origin_time, recorded(inputs).timestamp) == (7, 988, 1_000)
    first = recorded(replace(inputs, origin=None))
    assert (first.origin, first.origin_time) == (None, None)
