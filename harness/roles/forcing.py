"""What L1's forced queue makes an L2 block begin with: found by who builds, held by who votes and by who derives.

The entries and the rule are `harness.rollup.forced`'s; here are the sender accounts it asks for, read from this
node's own execution of the parent. A block whose head holds every entry needs no reading at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.evm.wallet import decode_transaction
from harness.plan import L2_CHAIN_ID
from harness.ports import QueryRefused
from harness.roles.chain import Chain
from harness.rollup.blocks import BlockInputs, Hash, InvalidBlock, L1Origin
from harness.rollup.derivation import Derivation
from harness.rollup.forced import AccountState, Due, ForcedEntry, cost_max, resolve, senders_of

REMEMBERED_MAX = 64
NOTHING_DUE = Due((), {})


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a block goes: what its forced entries depend on."""

    number: int
    parent: Hash
    timestamp: int
    origin: L1Origin

    @classmethod
    def of(cls, inputs: BlockInputs) -> Slot:
        assert inputs.origin is not None, "every block above the genesis has an origin"
        return cls(inputs.number, inputs.parent, inputs.timestamp, inputs.origin)

    def holding(self, transactions: Sequence[bytes]) -> BlockInputs:
        return BlockInputs(L2_CHAIN_ID, self.number, self.parent, self.timestamp, 0, tuple(transactions), self.origin)


class Forcing:
    """One node's answers. What it found stands: the parent's state never changes."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._found: dict[Slot, Due] = {}

    async def due(self, slot: Slot, *, derivation: Derivation, l1_genesis: Hash) -> Due:
        """What a block there has to begin with.

        Raises:
            PortError: this node cannot read the parent's state.
        """
        entries = self._entries(slot, derivation, l1_genesis)
        if not entries:
            return NOTHING_DUE
        if slot not in self._found:
            found = resolve(entries, await self._accounts(entries, slot.parent), chain_id=L2_CHAIN_ID)
            self._remember(slot, found)
            for index, why in found.invalid.items():
                self._chain.context.record.record("stat", name="forced-entry-invalid", entry=index,
                                                  l1_block=slot.origin.number, block=slot.number, reason=why)
        return self._found[slot]

    async def why_refused(self, inputs: BlockInputs, *, derivation: Derivation, l1_genesis: Hash) -> str | None:
        """Why a block leaves out, displaces or reorders what it has to begin with; None where it does not.

        Raises:
            PortError: this node cannot tell, for it cannot read the parent's state.
        """
        slot = Slot.of(inputs)
        entries = self._entries(slot, derivation, l1_genesis)
        if inputs.transactions[: len(entries)] == tuple(entry.payload for entry in entries):
            return None  # all of them, so all executed; the usual case costs nothing
        try:
            due = await self.due(slot, derivation=derivation, l1_genesis=l1_genesis)
            if inputs.transactions[: len(due.head)] == due.head:
                return None
            due = await self._tried(slot, entries, due)
        except QueryRefused:
            due = self._long_ago(inputs, entries)
        if inputs.transactions[: len(due.head)] == due.head:
            return None
        place = next(at for at, raw in enumerate(due.head) if inputs.transactions[at : at + 1] != (raw,))
        entry = next(entry for entry in entries if entry.payload == due.head[place])
        return (f"forced entry {entry.index} of L1 block {slot.origin.number} is skipped: it has to be transaction "
                f"{place} of block {inputs.number}")

    async def without_refused(self, slot: Slot, *, derivation: Derivation, l1_genesis: Hash) -> Due:
        """As `due`, less what the node will not include although it should: such an entry must not stop the chain."""
        due = await self.due(slot, derivation=derivation, l1_genesis=l1_genesis)
        return await self._tried(slot, self._entries(slot, derivation, l1_genesis), due)

    def _entries(self, slot: Slot, derivation: Derivation, l1_genesis: Hash) -> tuple[ForcedEntry, ...]:
        """Those of the origin, for the first block with it."""
        if self._chain.origin_of(slot.parent, l1_genesis=l1_genesis).number == slot.origin.number:
            return ()
        return derivation.forced_at(slot.origin.number)

    async def _accounts(self, entries: Sequence[ForcedEntry], parent: Hash) -> dict[str, AccountState]:
        accounts: dict[str, AccountState] = {}
        for sender in senders_of(entries):
            nonce = await self._chain.engine.query("eth_getTransactionCount", [sender], at=parent)
            balance = await self._chain.engine.query("eth_getBalance", [sender], at=parent)
            accounts[sender] = AccountState(int(nonce, 16), int(balance, 16))
        return accounts

    async def _tried(self, slot: Slot, entries: Sequence[ForcedEntry], due: Due) -> Due:
        """The head that a node does execute: the last word where the rule called an entry valid and it is not.

        Not known to happen; each round takes out one entry at least.
        """
        accounts = await self._accounts(entries, slot.parent)
        refused: list[int] = []
        while due.head:
            try:
                await self._chain.engine.execute(slot.holding(due.head))
                break
            except InvalidBlock as invalid:
                gone = [due.head[place] for place in invalid.missing] or list(due.head)
                refused += [one.index for one in entries if one.payload in gone and one.index not in due.invalid]
            due = resolve(entries, accounts, chain_id=L2_CHAIN_ID, without=refused)
        if refused:
            self._chain.context.record.record("problem", what="forced entries do not execute",
                                              detail=f"entries {refused} of L1 block {slot.origin.number} were called "
                                              f"valid on {slot.parent}, and the node would not include them")
            self._remember(slot, due)
        return due

    def _long_ago(self, inputs: BlockInputs, entries: Sequence[ForcedEntry]) -> Due:
        """What a block that this node holds had to begin with, where its parent's state is not kept any more.

        A node that was away for long derives what it holds already. Nonces follow from the chain. What is not known is
        what somebody owned then: that is taken to be just enough for what the block holds, and for nothing it left out.
        """
        chain = self._chain
        later = chain.committed_range(inputs.number, chain.heads.committed.number)
        used = Counter(decode_transaction(raw).sender for block in later for raw in block.inputs.transactions)
        held = dict.fromkeys(inputs.transactions[: len(entries)])
        needed: Counter[str] = Counter()
        for raw in held:
            needed[decode_transaction(raw).sender] += cost_max(decode_transaction(raw))
        accounts = {
            sender: AccountState(chain.pool.nonces.get(sender, 0) - used[sender], needed[sender])
            for sender in senders_of(entries)
        }
        return resolve(entries, accounts, chain_id=L2_CHAIN_ID)

    def _remember(self, slot: Slot, due: Due) -> None:
        while len(self._found) >= REMEMBERED_MAX:
            del self._found[next(iter(self._found))]
        self._found[slot] = due
