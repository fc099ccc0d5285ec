"""One node's L2 chain: executed blocks by hash, the journal behind them, and the four head labels over them."""

from __future__ import annotations

from harness.plan import L2_CHAIN_ID
from harness.ports import Engine
from harness.roles.context import RoleContext
from harness.roles.mempool import Mempool
from harness.roles.wire import inputs_from_json, inputs_to_json
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, L1Origin
from harness.rollup.heads import Head, Heads, Label
from harness.solidity.wallet import decode_transaction

JOURNAL = "journal"
HEADS = "heads"


class Divergence(Exception):
    """A certified block contradicts what this node holds as committed: it must not go on as if nothing happened."""


class Chain:
    """Blocks are kept for the whole run; labels are restored from the store, and written there with every commit."""

    def __init__(self, context: RoleContext) -> None:
        assert context.engine is not None, "an L2 node runs on an engine"
        self.context = context
        self.engine: Engine = context.engine
        self.genesis_hash = context.engine.genesis_hash
        self.heads = Heads.genesis(0, self.genesis_hash)
        self.pool = Mempool(chain_id=L2_CHAIN_ID, gas_limit=context.plan.profile.l2_gas_limit)
        self._blocks: dict[Hash, ExecutedBlock] = {}
        self._committed: list[Hash] = [self.genesis_hash]
        """Hash of the committed block at each height."""

    # -- holding blocks

    def get(self, name: Hash) -> ExecutedBlock | None:
        return self._blocks.get(name)

    async def execute(self, inputs: BlockInputs) -> ExecutedBlock:
        """Execute a block on its parent and journal it (not flushed: a vote or a commit does that).

        Raises what `Engine.execute` raises.
        """
        block = await self.engine.execute(inputs)
        if block.hash not in self._blocks:
            self._blocks[block.hash] = block
            self.context.store.put(JOURNAL, f"{block.number:012d}:{block.hash}", inputs_to_json(inputs))
        return block

    def timestamp_of(self, name: Hash) -> int:
        block = self._blocks.get(name)
        return self.context.genesis_timestamp if block is None else block.inputs.timestamp

    def anchor(self, l1_genesis: Hash) -> L1Origin:
        """The L1 block the L2 genesis stands on."""
        return L1Origin(0, l1_genesis, self.context.genesis_timestamp)

    def origin_of(self, name: Hash, *, l1_genesis: Hash) -> L1Origin:
        """The L1 origin of a held block, or of genesis."""
        block = self._blocks.get(name)
        if block is None or block.inputs.origin is None:
            return self.anchor(l1_genesis)
        return block.inputs.origin

    def uncommitted(self, tip: Hash) -> list[ExecutedBlock]:
        """The held blocks above the committed head up to `tip`, oldest first; stops at the first one not held."""
        path: list[ExecutedBlock] = []
        block = self._blocks.get(tip)
        while block is not None and block.number > self.heads.committed.number:
            path.append(block)
            block = self._blocks.get(block.inputs.parent)
        path.reverse()
        return path

    def committed_hash(self, height: int) -> Hash | None:
        return self._committed[height] if 0 <= height < len(self._committed) else None

    def committed_range(self, start: int, end: int) -> list[ExecutedBlock]:
        """Committed blocks of heights start … end, both included, as far as held."""
        return [self._blocks[name] for name in self._committed[max(start, 1) : end + 1]]

    # -- labels

    def commit(self, tip: Hash) -> list[ExecutedBlock]:
        """Move `committed` up to an executed block, returning what it newly covers, oldest first.

        Raises:
            Divergence: the block does not stand on the committed head.
        """
        path = self.uncommitted(tip)
        if not path:
            return []
        if path[0].inputs.parent != self.heads.committed.hash:
            raise Divergence(
                f"block {path[-1].number} ({tip}) is certified but its ancestor {path[0].number} has parent "
                f"{path[0].inputs.parent}, while this node committed {self.heads.committed.hash}"
            )
        unsafe = self.heads.unsafe
        if unsafe.number > self.heads.committed.number and not self._is_on(unsafe.hash, path):
            # The unsafe head was on a fork that lost: it falls to the committed block before it can rise again.
            self._set(Label.UNSAFE, self.heads.reset(Label.UNSAFE, *_pair(self.heads.committed)), is_reset=True)
        for block in path:
            self._committed.append(block.hash)
            self.advance(Label.COMMITTED, block.hash)
            self.pool.commit(decode_transaction(raw) for raw in block.inputs.transactions)
        self.context.store.put(HEADS, "heads", self.heads.to_json())
        return path

    def advance(self, label: Label, name: Hash) -> None:
        """Move one label up to a held block; a head record is written for each label that changed."""
        self._set(label, self.heads.advance(label, self._blocks[name].number, name), is_reset=False)

    def notarized(self, name: Hash) -> None:
        """The set notarized a held block: it is the unsafe head now, even where that changes branch."""
        block = self._blocks[name]
        unsafe, committed = self.heads.unsafe, self.heads.committed
        if block.number <= committed.number or name == unsafe.hash:
            return
        extends = block.number > unsafe.number and self._descends(block, unsafe.hash)
        if not extends:
            self._set(Label.UNSAFE, self.heads.reset(Label.UNSAFE, *_pair(committed)), is_reset=True)
        self.advance(Label.UNSAFE, name)

    def _descends(self, block: ExecutedBlock, ancestor: Hash) -> bool:
        at: ExecutedBlock | None = block
        while at is not None:
            if at.inputs.parent == ancestor:
                return True
            at = self._blocks.get(at.inputs.parent)
        return False

    def _is_on(self, name: Hash, path: list[ExecutedBlock]) -> bool:
        """Whether a block is on a path to the new committed head or descends from its tip."""
        if any(block.hash == name for block in path):
            return True
        block = self._blocks.get(name)
        return block is not None and self._descends(block, path[-1].hash)

    def _set(self, label: Label, heads: Heads, *, is_reset: bool) -> None:
        before, self.heads = self.heads, heads
        for each in Label:
            head = heads.at(each)
            if head != before.at(each):
                self.context.record.record(
                    "head", label=each.word, number=head.number, hash=head.hash, reset=is_reset and each is label
                )

    # -- after a crash

    async def recover(self) -> list[ExecutedBlock]:
        """Replay the journal: the committed chain, then what stood on it uncommitted, which is returned, parents first.

        The uncommitted blocks matter: this node may have voted for one, and be the last to hold its body.
        """
        rows = {key: inputs_from_json(row) for key, row in self.context.store.scan(JOURNAL)}
        stored = self.context.store.get(HEADS, "heads")
        if stored is not None:
            await self._recover_committed(Heads.from_json(stored), rows)
        pending: list[ExecutedBlock] = []
        first = f"{self.heads.committed.number + 1:012d}"
        for inputs in [row for key, row in rows.items() if key >= first]:
            if inputs.parent == self.heads.committed.hash or inputs.parent in self._blocks:
                for block in await self.engine.replay([inputs]):
                    self._blocks[block.hash] = block
                    pending.append(block)
        return pending

    async def _recover_committed(self, wanted: Heads, rows: dict[str, BlockInputs]) -> None:
        chain: list[BlockInputs] = []
        at = wanted.committed.hash
        number = wanted.committed.number
        while number > 0 and (inputs := rows.get(f"{number:012d}:{at}")) is not None:
            chain.append(inputs)
            at, number = inputs.parent, number - 1
        if number != 0:
            self.context.record.record(
                "problem", what="journal has a hole", detail=f"block {number} ({at}) is missing; syncing from peers"
            )
            return
        chain.reverse()
        for block in await self.engine.replay(chain):
            self._blocks[block.hash] = block
            self._committed.append(block.hash)
            self.pool.commit(decode_transaction(raw) for raw in block.inputs.transactions)
        # What is behind the labels is committed and durable; they come back as they were, the unsafe one lower.
        top = len(self._committed) - 1
        committed = (min(wanted.committed.number, top), self._committed[min(wanted.committed.number, top)])
        heads = Heads.genesis(0, self.genesis_hash).advance(Label.COMMITTED, *committed)
        for label in (Label.SAFE, Label.FINALIZED):
            number = min(wanted.at(label).number, top)
            heads = heads.advance(label, number, self._committed[number])
        self._set(Label.UNSAFE, heads, is_reset=True)


def _pair(head: Head) -> tuple[int, Hash]:
    return head.number, head.hash
