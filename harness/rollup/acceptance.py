"""The rules by which a batch found on L1 becomes the next blocks of the safe chain, or is dropped whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.rollup.batch import Batch, BatchError, BlockRecord
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, L1Origin
from harness.rollup.l1_view import L1View
from harness.rollup.origin import Valid, judge
from harness.rollup.profile import Profile

VerifyFinalization = Callable[[bytes, Hash, int], bool]
"""`verify(certificate, hash, height)`: whether a quorum of the set finalized that block. Pure and total: whatever
the bytes, it answers and never raises."""

L2_BASE_FEE_WEI = 0


@dataclass(frozen=True, slots=True)
class DerivationRules:
    """The parameters of one L2 chain that every node must share."""

    chain_id: int
    senders: frozenset[str]      # lower-case addresses whose frames count: the batcher and the active sequencers
    sequencing_window: int       # L1 blocks; see `Profile` for the rest
    channel_timeout: int
    finality_depth: int
    timestamp_drift_s: int

    @classmethod
    def of(cls, profile: Profile, *, chain_id: int, senders: frozenset[str]) -> DerivationRules:
        return cls(chain_id, frozenset(sender.lower() for sender in senders), profile.sequencing_window_l1_blocks,
                   profile.channel_timeout_l1_blocks, profile.finality_depth_l1_blocks, profile.timestamp_drift_s)


@dataclass(frozen=True, slots=True)
class SafeBlock:
    """A block of the safe chain. The L2 genesis is one too: its origin is the L1 block it was anchored to."""

    number: int
    hash: Hash
    timestamp: int
    origin: L1Origin
    l1_number: int               # the last L1 block whose data it was derived from


@dataclass(frozen=True, slots=True)
class DerivedBlock:
    """A block the safe chain will have if executing `inputs` gives `expected_hash`, and its batch's others do too."""

    inputs: BlockInputs
    expected_hash: Hash
    l1_number: int
    is_tip: bool                 # the last of its batch: confirming it makes the whole batch safe

    def is_confirmed_by(self, block: ExecutedBlock) -> bool:
        """Whether this very block was executed before, so that the node need not do it again."""
        return block.hash == self.expected_hash and block.inputs == self.inputs


def accept(batch: Batch, *, safe: SafeBlock, l1: L1View, l1_number: int, rules: DerivationRules,
           verify_finalization: VerifyFinalization) -> tuple[DerivedBlock, ...]:
    """The blocks a batch adds on top of the safe head, in order; empty if all of them are safe already.

    The batch stands or falls as a whole: only its tip carries a certificate, so nothing before the tip is certified
    until the hashes link up to it.

    Raises:
        BatchError: the first rule it breaks.
    """
    if batch.first_height > safe.number + 1:
        raise BatchError(f"batch starts at height {batch.first_height}, above the next safe height {safe.number + 1}")
    records = batch.records[safe.number + 1 - batch.first_height:]
    if not records:
        return ()
    if records[0].parent != safe.hash:
        raise BatchError(f"block {records[0].number} has parent {records[0].parent}, not the safe head {safe.hash}")
    parent_origin, parent_timestamp = safe.origin, safe.timestamp
    derived: list[DerivedBlock] = []
    for index, record in enumerate(records):
        origin = _judge(record, parent_origin, parent_timestamp, l1=l1, l1_number=l1_number, rules=rules)
        is_tip = index == len(records) - 1
        inputs = BlockInputs(rules.chain_id, record.number, record.parent, record.timestamp, L2_BASE_FEE_WEI,
                             record.transactions, origin)
        derived.append(DerivedBlock(inputs, batch.tip_hash if is_tip else records[index + 1].parent, l1_number, is_tip))
        parent_origin, parent_timestamp = origin, record.timestamp
    if not verify_finalization(batch.finalization, batch.tip_hash, batch.tip_height):
        raise BatchError(f"no valid finalization of block {batch.tip_height} ({batch.tip_hash})")
    return tuple(derived)


def _judge(record: BlockRecord, parent_origin: L1Origin, parent_timestamp: int, *, l1: L1View, l1_number: int,
           rules: DerivationRules) -> L1Origin:
    if l1_number > record.origin_number + rules.sequencing_window:
        raise BatchError(f"block {record.number} was included at L1 block {l1_number}, more than "
                         f"{rules.sequencing_window} after its origin {record.origin_number}")
    if record.origin_number > l1_number:
        # The view may already reach further than the L1 block being derived; what lies above it must not matter.
        raise BatchError(f"block {record.number} has L1 origin {record.origin_number}, above L1 block {l1_number}")
    verdict = judge(parent_origin, l1, parent_timestamp=parent_timestamp, timestamp=record.timestamp,
                    origin_number=record.origin_number, origin_hash=record.origin_hash,
                    drift_s=rules.timestamp_drift_s)
    if not isinstance(verdict, Valid):
        raise BatchError(f"block {record.number}: {verdict.reason}")
    return verdict.origin
