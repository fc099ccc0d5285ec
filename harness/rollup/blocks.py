"""What a block is made of, before and after execution, on either chain; values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

Hash = NewType("Hash", str)
"""A 32-byte hash as lower-case 0x-hex (66 characters)."""

ZERO_HASH = Hash("0x" + "00" * 32)


class InvalidBlock(Exception):
    """The execution node did not include exactly the transactions a block names, in their order."""

    def __init__(self, message: str, *, missing: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing
        """Indices into `BlockInputs.transactions` that the node refused or dropped; empty if not known."""


@dataclass(frozen=True, slots=True)
class L1Origin:
    """The L1 block an L2 block claims to have seen."""

    number: int
    hash: Hash
    timestamp: int  # seconds, of that L1 block


@dataclass(frozen=True, slots=True)
class BlockInputs:
    """Everything that determines a block. Equal inputs give equal hashes on every node."""

    chain_id: int
    number: int
    parent: Hash
    timestamp: int               # seconds; ≥ the parent's
    base_fee: int                # wei; 0 on L2
    transactions: tuple[bytes, ...]  # raw signed, in order
    origin: L1Origin | None = None   # None on L1 and on the L2 genesis; drives the L1-attributes system transaction


@dataclass(frozen=True, slots=True)
class Log:
    address: str                 # lower-case 0x-hex
    topics: tuple[Hash, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    transaction_hash: Hash
    sender: str                  # lower-case 0x-hex
    to: str | None
    succeeded: bool
    gas_used: int
    logs: tuple[Log, ...]
    revert_data: bytes = b""     # only where the engine could tell


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """A block as the node made it. `receipts` excludes the system transaction; `system_logs` are its logs."""

    inputs: BlockInputs
    hash: Hash
    state_root: Hash
    gas_used: int
    receipts: tuple[Receipt, ...]
    system_logs: tuple[Log, ...] = ()

    @property
    def number(self) -> int:
        return self.inputs.number
