"""One node's L2 chain: executed blocks by hash, the journal behind them, and the four head labels over them."""

from __future__ import annotations

from collections.abc import Callable

from harness.evm.accounts import account
from harness.evm.wallet import decode_transaction
from harness.plan import L2_CHAIN_ID
from harness.ports import Engine
from harness.roles.context import RoleContext
from harness.roles.mempool import Mempool
from harness.roles.wire import inputs_from_json, inputs_to_json
from harness.rollup.blocks import ZERO_HASH, BlockInputs, ExecutedBlock, Hash, L1Origin
from harness.rollup.chain import BlockTree, TreeBlock
from harness.rollup.heads import Head, Heads, Label

JOURNAL = "journal"
HEADS = "heads"


class Divergence(Exception):
    """A certified block contradicts what this node holds as committed: it must not go on as if nothing happened."""


class Chain:
    """Blocks are kept for the whole run; labels but `unsafe` are in the store, and restored from there."""

    def __init__(self, context: RoleContext) -> None:
        assert context.engine is not None, "an L2 node runs on an engine"
        self.context = context
        self.engine: Engine = context.engine
        self.genesis_hash = context.engine.genesis_hash
        self.heads = Heads.genesis(0, self.genesis_hash)
        project = context.plan.project
        # Who deployed in genesis goes on counting from there: a creation at a used nonce would meet its contract again.
        nonces = {account(item.index).address: item.nonce for item in (project.accounts if project is not None else ())}
        self.pool = Mempool(chain_id=L2_CHAIN_ID, gas_limit=context.plan.profile.l2_gas_limit, nonces=nonces)
        root = BlockInputs(L2_CHAIN_ID, 0, ZERO_HASH, context.genesis_timestamp, 0, ())
        self._tree = BlockTree(TreeBlock(self.genesis_hash, root))
        self._unflushed: list[tuple[Label, Head, bool]] = []
        """Durable labels that moved and are not durable yet, in order: (label, where to, is_reset)."""
        self.when_changed: list[Callable[[], None]] = []
        """Called after any label has moved."""

    # -- holding blocks

    def get(self, name: Hash) -> ExecutedBlock | None:
        """A block this node executed; None for genesis and for what it does not hold."""
        held = self._tree.get(name)
        return None if held is None else held.executed

    async def execute(self, inputs: BlockInputs) -> ExecutedBlock:
        """Execute a block on its parent and journal it (not flushed: a vote or a commit does that).

        Raises what `Engine.execute` raises.
        """
        block = await self.engine.execute(inputs)
        if block.hash not in self._tree:
            self._tree.add(block)
            self.context.store.put(JOURNAL, f"{block.number:012d}:{block.hash}", inputs_to_json(inputs))
        return block

    def timestamp_of(self, name: Hash) -> int:
        block = self.get(name)
        return self.context.genesis_timestamp if block is None else block.inputs.timestamp

    def anchor(self, l1_genesis: Hash) -> L1Origin:
        """The L1 block the L2 genesis stands on."""
        return L1Origin(0, l1_genesis, self.context.genesis_timestamp)

    def origin_of(self, name: Hash, *, l1_genesis: Hash) -> L1Origin:
        """The L1 origin of a held block, or of genesis."""
        block = self.get(name)
        if block is None or block.inputs.origin is None:
            return self.anchor(l1_genesis)
        return block.inputs.origin

    def uncommitted(self, tip: Hash) -> list[ExecutedBlock]:
        """The blocks above the committed height up to `tip`, oldest first; none where `tip` is not held."""
        if tip not in self._tree:
            return []
        above = self._tree.chain(tip, above=self.heads.committed.number)
        return [held.executed for held in above if held.executed is not None]

    def committed_range(self, start: int, end: int) -> list[ExecutedBlock]:
        """Committed blocks of heights start … end, both included, as far as held."""
        end = min(end, self.heads.committed.number)
        found = (self._tree.at(number, head=self.heads.committed.hash) for number in range(max(start, 1), end + 1))
        return [held.executed for held in found if held is not None and held.executed is not None]

    def behind(self, head: Head, blocks: int) -> Head:
        """The head so many blocks ago, on its own chain; genesis at the least."""
        if not blocks:
            return head
        found = self._tree.at(max(0, head.number - blocks), head=head.hash)
        assert found is not None, "a head's chain is held down to genesis"
        return Head(found.number, found.hash)

    # -- labels

    def commit(self, tip: Hash) -> list[ExecutedBlock]:
        """Move `committed` up to an executed block, returning what it newly covers, oldest first.

        Raises:
            Divergence: the block does not stand on the committed head.
        """
        path = self.uncommitted(tip)
        if not path:
            return []
        committed, unsafe = self.heads.committed, self.heads.unsafe
        if path[0].inputs.parent != committed.hash:
            raise Divergence(
                f"block {path[-1].number} ({tip}) is certified but its ancestor {path[0].number} has parent "
                f"{path[0].inputs.parent}, while this node committed {committed.hash}"
            )
        if not (self._tree.is_ancestor(unsafe.hash, tip) or self._tree.is_ancestor(tip, unsafe.hash)):
            # The unsafe head was on a fork that lost: it falls to the committed block before it can rise again.
            self._set(Label.UNSAFE, self.heads.fall_to(committed.number, committed.hash), is_reset=True)
        for block in path:
            self.advance(Label.COMMITTED, block.hash)
            self.pool.commit(decode_transaction(raw) for raw in block.inputs.transactions)
        return path

    def advance(self, label: Label, name: Hash) -> None:
        """Move one label up to a held block; the caller flushes, once for all it moves."""
        self._set(label, self.heads.advance(label, self._tree.block(name).number, name), is_reset=False)
        if label is not Label.UNSAFE:
            self.context.store.put(HEADS, "heads", self.heads.to_json())

    def lower_safe(self, number: int, name: Hash) -> None:
        """An L1 reorg took back the data of the blocks above this one: they are committed and no longer safe.

        Raises:
            FinalityBroken: the finalized block lies above it.
        """
        self._set(Label.SAFE, self.heads.reset(Label.SAFE, number, name), is_reset=True)
        self.context.store.put(HEADS, "heads", self.heads.to_json())

    def notarized(self, name: Hash) -> None:
        """The set notarized a held block: it is the unsafe head now, even where that changes branch."""
        block = self._tree.block(name)
        unsafe, committed = self.heads.unsafe, self.heads.committed
        if block.number <= committed.number or name == unsafe.hash:
            return
        if not self._tree.is_ancestor(unsafe.hash, name):
            self._set(Label.UNSAFE, self.heads.fall_to(committed.number, committed.hash), is_reset=True)
        self.advance(Label.UNSAFE, name)

    def flush(self) -> None:
        """Make every row put so far durable, and only then record the labels that moved with them.

        In the other order a node whose disk is full would have shown a head that it has to come back below.

        Raises:
            StoreFailure: nothing was made durable, and no label is recorded.
        """
        self.context.store.flush()
        for label, head, is_reset in self._unflushed:
            self._record(label, head, is_reset=is_reset)
        self._unflushed.clear()

    def _set(self, label: Label, heads: Heads, *, is_reset: bool) -> None:
        before, self.heads = self.heads, heads
        if heads.unsafe != before.unsafe:
            self._tree.set_head(heads.unsafe.hash)
        for each in Label:
            head = heads.at(each)
            if head == before.at(each):
                continue
            if each is Label.UNSAFE:
                self._record(each, head, is_reset=is_reset and each is label)
            else:
                self._unflushed.append((each, head, is_reset and each is label))
        if heads != before:
            for tell in self.when_changed:
                tell()

    def _record(self, label: Label, head: Head, *, is_reset: bool) -> None:
        self.context.record.record("head", label=label.word, number=head.number, hash=head.hash, reset=is_reset)

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
            if inputs.parent in self._tree:
                for block in await self.engine.replay([inputs]):
                    self._tree.add(block)
                    pending.append(block)
        return pending

    async def _recover_committed(self, wanted: Heads, rows: dict[str, BlockInputs]) -> None:
        chain: list[BlockInputs] = []
        at, number = wanted.committed.hash, wanted.committed.number
        while number > 0 and (inputs := rows.get(f"{number:012d}:{at}")) is not None:
            chain.append(inputs)
            at, number = inputs.parent, number - 1
        if number != 0:
            self.context.record.record(
                "problem", what="journal has a hole", detail=f"block {number} ({at}) is missing; syncing from peers"
            )
            return
        chain.reverse()
        names = [self.genesis_hash]
        expected = [*(inputs.parent for inputs in chain[1:]), wanted.committed.hash]
        for inputs, name in zip(chain, expected, strict=False):
            replayed = await self.engine.replay([inputs])
            if not replayed or replayed[0].hash != name:
                self.context.record.record(
                    "problem",
                    what="journal contradicts itself",
                    detail=f"block {inputs.number} was {name} and executes to "
                    f"{replayed[0].hash if replayed else 'nothing'}; syncing from peers above {inputs.number - 1}",
                )
                break
            self._tree.add(replayed[0])
            names.append(name)
            self.pool.commit(decode_transaction(raw) for raw in inputs.transactions)
        # What is behind the labels is committed and durable; they come back as they were, the unsafe one lower.
        heads = self.heads
        for label in (Label.COMMITTED, Label.SAFE, Label.FINALIZED):
            number = min(wanted.at(label).number, len(names) - 1)
            heads = heads.advance(label, number, names[number])
        self._set(Label.UNSAFE, heads, is_reset=True)
        self.flush()
