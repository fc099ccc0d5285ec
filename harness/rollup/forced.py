"""The forced queue as a pure reader sees it: entries and their hash chain, and what has to stand at a block's head.

The rule (rollup.md §7): every entry of L1 block b executes, in queue order, at the head of the first L2 block with
origin b; a transaction that cannot execute there is consumed and never blocks the queue. What cannot is decided here,
from the entry and its sender's account before the block alone, so that builder, voter and derivation decide alike.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.evm.keccak import keccak
from harness.evm.wallet import DecodedTransaction, decode_transaction
from harness.rollup.blocks import ZERO_HASH, Hash

SIGNED_TRANSACTION = 0
"""The kind of an entry that is a raw transaction; the contract takes no other yet."""

# Shanghai's rules; what a block may not include without them.
INTRINSIC_GAS = 21_000
CREATION_GAS = 32_000          # EIP-2, on top
WORD_OF_INITCODE_GAS = 2       # EIP-3860, per 32 bytes
INITCODE_BYTES_MAX = 49_152    # EIP-3860
ZERO_BYTE_GAS, BYTE_GAS = 4, 16  # EIP-2028
ACCESS_ADDRESS_GAS, ACCESS_KEY_GAS = 2_400, 1_900  # EIP-2930
NONCE_MAX = (1 << 64) - 2      # EIP-2681


@dataclass(frozen=True, slots=True)
class ForcedEntry:
    """One entry, as `ForcedQueue.Enqueued` tells of it."""

    index: int
    kind: int
    gas: int             # L2 gas it may use
    payload: bytes       # the raw transaction
    accumulator: Hash    # what the contract says the chain is after it

    @property
    def hash(self) -> bytes:
        words = (self.index, self.kind, self.gas)
        return keccak(b"".join(word.to_bytes(32, "big") for word in words) + keccak(self.payload))


class QueueBroken(Exception):
    """Entries that are not the queue's next ones, or not chained as they say: what was read is not the queue."""


@dataclass(frozen=True, slots=True)
class _Read:
    """The entries of one L1 block, which has some."""

    l1_number: int
    entries: tuple[ForcedEntry, ...]


class ForcedView:
    """What one observer holds of the queue: the entries of recent L1 blocks, each chained to the one before."""

    def __init__(self) -> None:
        self._blocks: deque[_Read] = deque()

    def at(self, l1_number: int) -> tuple[ForcedEntry, ...]:
        """The entries of an L1 block, in queue order."""
        return next((read.entries for read in self._blocks if read.l1_number == l1_number), ())

    def push(self, l1_number: int, entries: Sequence[ForcedEntry]) -> None:
        """Take the entries of the next L1 block.

        Raises:
            QueueBroken: one is missing, repeated, out of order or altered; nothing was changed.
        """
        if not entries:
            return
        last = self._blocks[-1].entries[-1] if self._blocks else None
        length, accumulator = (0, ZERO_HASH) if last is None else (last.index + 1, last.accumulator)
        for entry in entries:
            if entry.index != length:
                raise QueueBroken(f"forced entry {entry.index} was read in L1 block {l1_number}, where entry {length} "
                                  "is next")
            accumulator = Hash("0x" + keccak(bytes.fromhex(accumulator[2:]) + entry.hash).hex())
            if accumulator != entry.accumulator:
                raise QueueBroken(f"forced entry {entry.index} of L1 block {l1_number} chains to {accumulator}, but "
                                  f"says {entry.accumulator}")
            length += 1
        self._blocks.append(_Read(l1_number, tuple(entries)))

    def truncate(self, l1_number: int) -> None:
        """Forget the entries of every L1 block above that one."""
        while self._blocks and self._blocks[-1].l1_number > l1_number:
            self._blocks.pop()

    def prune(self, l1_number: int) -> None:
        """Forget those below that one, but for the newest, which the next is chained to."""
        while len(self._blocks) > 1 and self._blocks[1].l1_number < l1_number:
            self._blocks.popleft()

    def to_json(self, up_to: int) -> list[Any]:
        """The entries up to an L1 block, as JSON."""
        return [[read.l1_number, [entry_to_json(entry) for entry in read.entries]]
                for read in self._blocks if read.l1_number <= up_to]

    @classmethod
    def from_json(cls, value: Iterable[Any]) -> ForcedView:
        """The reverse; raises what a malformed value brings (KeyError, TypeError, ValueError)."""
        view = cls()
        for number, entries in value:
            view._blocks.append(_Read(int(number), tuple(entry_from_json(entry) for entry in entries)))
        return view


def entry_to_json(entry: ForcedEntry) -> list[Any]:
    return [entry.index, entry.kind, entry.gas, entry.payload.hex(), entry.accumulator]


def entry_from_json(value: Any) -> ForcedEntry:
    """The reverse of `entry_to_json`. Raises ValueError or TypeError where it is not what that writes."""
    index, kind, gas, payload, accumulator = value
    if any(type(number) is not int or not 0 <= number < 1 << 64 for number in (index, kind, gas)):
        raise ValueError(f"forced entry has index {index!r}, kind {kind!r} and gas {gas!r}, expected integers")
    if len(bytes.fromhex(accumulator.removeprefix("0x"))) != len(ZERO_HASH) // 2 - 1:
        raise ValueError(f"forced entry {index} has no 32-byte accumulator")
    return ForcedEntry(index, kind, gas, bytes.fromhex(payload), Hash(accumulator))


# -- what has to stand at the head of a block


@dataclass(frozen=True, slots=True)
class AccountState:
    """What an L2 account has after the parent block."""

    nonce: int
    balance: int         # wei


@dataclass(frozen=True, slots=True)
class Due:
    """What became of the entries that a block owes: those it begins with, and those consumed as invalid."""

    head: tuple[bytes, ...]
    invalid: Mapping[int, str]   # index → why


def senders_of(entries: Iterable[ForcedEntry]) -> tuple[str, ...]:
    """Whose accounts `resolve` asks for, each once."""
    return tuple(dict.fromkeys(decoded.sender for entry in entries if (decoded := _decoded(entry)) is not None))


def resolve(
    entries: Iterable[ForcedEntry], accounts: Mapping[str, AccountState], *, chain_id: int, without: Iterable[int] = ()
) -> Due:
    """What the head of a block is, given its senders' accounts after the parent.

    What an entry brings to another account counts from the next block on: an account's earlier entries in this head
    are taken to have cost all that they could. So what is called valid executes, whatever the others do.
    `without` are entries known not to execute although nothing here says why.
    """
    head: list[bytes] = []
    invalid: dict[int, str] = {}
    state = dict(accounts)
    refused = dict.fromkeys(without)
    for entry in entries:
        decoded = _decoded(entry)
        why = "not a signed transaction" if decoded is None else _why_invalid(
            decoded, entry.gas, state[decoded.sender], chain_id=chain_id
        )
        if why is None and entry.index in refused:
            why = "the execution node would not include it"
        if why is not None or decoded is None:
            invalid[entry.index] = why or ""
            continue
        before = state[decoded.sender]
        state[decoded.sender] = AccountState(before.nonce + 1, before.balance - cost_max(decoded))
        head.append(entry.payload)
    return Due(tuple(head), invalid)


def _decoded(entry: ForcedEntry) -> DecodedTransaction | None:
    try:
        return decode_transaction(entry.payload) if entry.kind == SIGNED_TRANSACTION else None
    except ValueError:
        return None


def _why_invalid(transaction: DecodedTransaction, gas: int, account: AccountState, *, chain_id: int) -> str | None:
    """Why a transaction can be in no block here; one that reverts can."""
    if transaction.chain_id != chain_id:
        return f"signed for chain {transaction.chain_id}, this is {chain_id}"
    if transaction.gas_limit > gas:
        return f"gas limit {transaction.gas_limit} is above the {gas} declared and paid for"
    if transaction.gas_limit < (least := _intrinsic_gas(transaction)):
        return f"gas limit {transaction.gas_limit} is below its intrinsic gas {least}"
    if transaction.to is None and len(transaction.data) > INITCODE_BYTES_MAX:
        return f"initcode of {len(transaction.data)} bytes is above the limit of {INITCODE_BYTES_MAX}"
    if transaction.nonce != account.nonce or transaction.nonce > NONCE_MAX:
        return f"nonce {transaction.nonce}, the sender's next is {account.nonce}"
    if (needed := cost_max(transaction)) > account.balance:
        return f"may cost {needed} wei, the sender has {account.balance}"
    return None


def cost_max(transaction: DecodedTransaction) -> int:
    """What a transaction may take from its sender, in wei."""
    return transaction.value + transaction.gas_limit * transaction.max_fee


def _intrinsic_gas(transaction: DecodedTransaction) -> int:
    data = transaction.data
    zeros = data.count(0)
    gas = INTRINSIC_GAS + zeros * ZERO_BYTE_GAS + (len(data) - zeros) * BYTE_GAS
    gas += transaction.access_addresses * ACCESS_ADDRESS_GAS + transaction.access_keys * ACCESS_KEY_GAS
    return gas if transaction.to is not None else gas + CREATION_GAS + WORD_OF_INITCODE_GAS * ((len(data) + 31) // 32)
