"""The tree of blocks a node holds, keyed by hash: ancestry, forks, the canonical chain of a head, and pruning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash


class ChainError(Exception):
    """A question about blocks the tree does not hold, or a block that contradicts one it does."""


class UnknownBlock(ChainError):
    """A block named by hash is not in the tree: never added, or pruned."""

    def __init__(self, hash: Hash, why: str) -> None:
        super().__init__(f"block {hash} is not held ({why}); fetch it from a peer or re-derive it")
        self.hash = hash


@dataclass(frozen=True, slots=True)
class TreeBlock:
    """A block by its name; `executed` is None while only its inputs and claimed hash are known."""

    hash: Hash
    inputs: BlockInputs
    executed: ExecutedBlock | None = None

    @property
    def number(self) -> int:
        return self.inputs.number

    @property
    def parent(self) -> Hash:
        return self.inputs.parent


@dataclass(frozen=True, slots=True)
class Path:
    """The way from one block to another: undo `removed`, newest first, down to `fork`; apply `added`, oldest first."""

    fork: TreeBlock
    removed: tuple[TreeBlock, ...]
    added: tuple[TreeBlock, ...]


class BlockTree:
    """Every block stands on one the tree holds, except the root. Additions and questions about the head are O(1).

    One chain, the head's, is indexed by height. Questions about another block walk down only to where it meets that
    chain, so a node that keeps `head` at its unsafe block pays for forks and nothing else.
    """

    def __init__(self, root: TreeBlock) -> None:
        self._blocks: dict[Hash, TreeBlock] = {root.hash: root}
        self._at_height: dict[int, list[Hash]] = {root.number: [root.hash]}
        self._index: dict[int, Hash] = {root.number: root.hash}
        self._root = self._head = root

    @classmethod
    def genesis(cls, genesis: ExecutedBlock) -> BlockTree:
        return cls(TreeBlock(genesis.hash, genesis.inputs, genesis))

    @property
    def root(self) -> TreeBlock:
        """The lowest block of the canonical chain still held."""
        return self._root

    @property
    def head(self) -> TreeBlock:
        """The block whose ancestors are indexed."""
        return self._head

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, hash: object) -> bool:
        return hash in self._blocks

    def get(self, hash: Hash) -> TreeBlock | None:
        return self._blocks.get(hash)

    def block(self, hash: Hash) -> TreeBlock:
        """The block of that hash.

        Raises:
            UnknownBlock: it is not held.
        """
        found = self._blocks.get(hash)
        if found is None:
            raise UnknownBlock(hash, f"the tree holds {len(self._blocks)} blocks from height {self._root.number}")
        return found

    def siblings_at(self, number: int) -> tuple[TreeBlock, ...]:
        """Every block held at a height, in the order they were added."""
        return tuple(self._blocks[hash] for hash in self._at_height.get(number, ()))

    def add(self, block: ExecutedBlock) -> TreeBlock:
        """Add an executed block, or complete one of which only the inputs were known.

        Raises:
            UnknownBlock: its parent is not held.
            ChainError: its height does not follow its parent's, or a block of this hash has other inputs.
        """
        return self._add(TreeBlock(block.hash, block.inputs, block))

    def add_inputs(self, inputs: BlockInputs, hash: Hash) -> TreeBlock:
        """Add a block of which only the inputs and the claimed hash are known. Raises as `add` does."""
        return self._add(TreeBlock(hash, inputs))

    def set_head(self, hash: Hash) -> TreeBlock:
        """Index another block's chain; costs the blocks that differ.

        Raises:
            UnknownBlock: it is not held.
            ChainError: its chain does not reach the root.
        """
        head = self.block(hash)
        branch: list[TreeBlock] = []
        block = head
        while self._index.get(block.number) != block.hash:
            branch.append(block)
            block = self._parent(block)
        for number in range(block.number + 1, self._head.number + 1):
            self._index.pop(number, None)
        self._index.update((each.number, each.hash) for each in branch)
        self._head = head
        return head

    def at(self, number: int, *, head: Hash | None = None) -> TreeBlock | None:
        """The block at a height on the chain of `head` (the tree's own if not given); None above it or below the root.

        Raises:
            UnknownBlock: `head` is not held.
        """
        block = self._head if head is None else self.block(head)
        if not self._root.number <= number <= block.number:
            return None
        while block.number > number:
            if self._index.get(block.number) == block.hash:
                return self._blocks[self._index[number]]
            block = self._parent(block)
        return block

    def is_ancestor(self, ancestor: Hash, of: Hash) -> bool:
        """Whether `ancestor` is `of` or lies below it on its chain.

        Raises:
            UnknownBlock: either is not held.
        """
        found = self.at(self.block(ancestor).number, head=of)
        return found is not None and found.hash == ancestor

    def fork_of(self, a: Hash, b: Hash) -> TreeBlock:
        """The highest block on both chains. Raises as `path` does."""
        return self.path(a, b).fork

    def path(self, start: Hash, end: Hash) -> Path:
        """What a node undoes and applies to move from one block to another.

        Raises:
            UnknownBlock: either is not held.
        """
        low, high = self.block(start), self.block(end)
        removed: list[TreeBlock] = []
        added: list[TreeBlock] = []
        while low.hash != high.hash:
            if low.number >= high.number:
                removed.append(low)
                low = self._parent(low)
            else:
                added.append(high)
                high = self._parent(high)
        return Path(low, tuple(removed), tuple(reversed(added)))

    def chain(self, end: Hash, *, above: int) -> Iterator[TreeBlock]:
        """The blocks of a chain above a height up to `end`, oldest first.

        Raises:
            UnknownBlock: `end` is not held, or the chain is not held down to that height.
        """
        blocks: list[TreeBlock] = []
        block = self.block(end)
        while block.number > above:
            blocks.append(block)
            if block.number == above + 1:
                break
            block = self._parent(block)
        return reversed(blocks)

    def prune(self, finalized: Hash, *, window: int) -> tuple[Hash, ...]:
        """Forget what finality made pointless; returns the forgotten hashes, lowest first.

        Kept are the last `window` blocks below the finalized one on its chain, and everything that stands on it.
        Blocks beside them, and whatever stands on those, are dead.

        Raises:
            UnknownBlock: the block is not held.
            ChainError: the head does not stand on it; move the head first.
        """
        base = self.block(finalized)
        if not self.is_ancestor(finalized, self._head.hash):
            raise ChainError(f"the head {self._head.number} ({self._head.hash}) does not stand on the finalized block "
                             f"{base.number} ({finalized}); move the head first")
        root = self.at(max(self._root.number, base.number - window))
        assert root is not None
        dropped: list[Hash] = []
        alive: set[Hash] = set()
        for number in sorted(self._at_height):
            kept: list[Hash] = []
            for hash in self._at_height[number]:
                if number <= base.number:
                    lives = number >= root.number and self._index[number] == hash
                else:
                    lives = self._blocks[hash].parent in alive
                (kept if lives else dropped).append(hash)
            alive.update(kept)
            if kept:
                self._at_height[number] = kept
            else:
                del self._at_height[number]
        for hash in dropped:
            del self._blocks[hash]
        for number in range(self._root.number, root.number):
            del self._index[number]
        self._root = root
        return tuple(dropped)

    def _add(self, block: TreeBlock) -> TreeBlock:
        known = self._blocks.get(block.hash)
        if known is not None:
            if known.inputs != block.inputs:
                raise ChainError(f"block {block.hash} at height {block.number} is held with other inputs; one of the "
                                 "two hashes was claimed and not executed")
            if block.executed is None or known.executed is not None:
                return known
            self._blocks[block.hash] = block
            if self._head.hash == block.hash:
                self._head = block
            if self._root.hash == block.hash:
                self._root = block
            return block
        parent = self._blocks.get(block.parent)
        if parent is None:
            raise UnknownBlock(block.parent, f"the parent of block {block.number} ({block.hash})")
        if block.number != parent.number + 1:
            raise ChainError(f"block {block.hash} has height {block.number} on a parent of height {parent.number}")
        self._blocks[block.hash] = block
        self._at_height.setdefault(block.number, []).append(block.hash)
        return block

    def _parent(self, block: TreeBlock) -> TreeBlock:
        parent = self._blocks.get(block.parent)
        if parent is None:
            raise UnknownBlock(block.parent, f"the parent of block {block.number} ({block.hash})")
        return parent
