"""The blocks above the finalized one that a validator knows of, and how far each has got."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from harness.consensus.messages import Proposal
from harness.rollup.blocks import Hash

MAX_BLOCKS = 16_384
"""Blocks held above the last finalized one. Reaching it means that paging (see `RequestBlocks`) is not done."""


class TooManyBlocks(Exception):
    """More unfinalized blocks are held than `MAX_BLOCKS`."""


class BlockState(Enum):
    KNOWN = auto()      # a body is at hand, not asked to be executed yet
    EXECUTING = auto()  # asked, not answered
    EXECUTED = auto()   # and so are all its ancestors
    FAILED = auto()     # the body at hand did not execute to this hash


@dataclass(slots=True)
class Block:
    height: int
    parent_hash: Hash
    state: BlockState
    seen_ns: int | None          # when its proposal was first seen; None if it was fetched
    proposal: Proposal | None    # the body, if it came as a proposal
    certified_run: bool = False  # while EXECUTING: asked for as a certified block


class BlockTree:
    """Blocks by hash. The root is the finalized block; it counts as executed."""

    def __init__(self, root: Hash, height: int) -> None:
        self._blocks: dict[Hash, Block] = {root: Block(height, Hash(""), BlockState.EXECUTED, None, None)}
        self.root = root
        self.root_height = height

    def get(self, block_hash: Hash) -> Block | None:
        return self._blocks.get(block_hash)

    def is_executed(self, block_hash: Hash) -> bool:
        block = self._blocks.get(block_hash)
        return block is not None and block.state is BlockState.EXECUTED

    def add(self, block_hash: Hash, block: Block) -> Block:
        """Learn a body, unless a usable one is held already; when it was first seen stays."""
        held = self._blocks.get(block_hash)
        if held is None or held.state is BlockState.FAILED:
            if len(self._blocks) >= MAX_BLOCKS:
                raise TooManyBlocks(
                    f"{len(self._blocks)} blocks are held above finalized height {self.root_height}; "
                    "hand over a finalization certificate with each page of fetched blocks"
                )
            self._blocks[block_hash] = block
            return block
        if held.seen_ns is None:
            held.seen_ns = block.seen_ns
        return held

    def children(self, parent_hash: Hash) -> list[tuple[Hash, Block]]:
        """Known blocks on this parent, in the order they were learnt."""
        return [(key, block) for key, block in self._blocks.items() if block.parent_hash == parent_hash]

    def path(self, tip: Hash) -> list[tuple[Hash, int]] | None:
        """(hash, height) from just above the root up to an executed `tip`, or None if it does not stand on the root."""
        path: list[tuple[Hash, int]] = []
        at = tip
        while at != self.root:
            block = self._blocks.get(at)
            if block is None or block.state is not BlockState.EXECUTED or block.height <= self.root_height:
                return None
            path.append((at, block.height))
            at = block.parent_hash
        path.reverse()
        return path

    def finalize(self, root: Hash) -> None:
        """Make an executed block the root and forget everything not above it."""
        height = self._blocks[root].height
        self._blocks = {key: block for key, block in self._blocks.items() if block.height > height or key == root}
        self.root, self.root_height = root, height

    def __len__(self) -> int:
        return len(self._blocks)
