"""What one observer holds of the L1 chain: a bounded run of linked blocks up to its head."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from harness.rollup.blocks import Hash, L1Origin


class L1LinkError(Exception):
    """An L1 block does not stand on the view's head; walk back to the fork and `truncate` first."""


class L1View:
    """The newest `keep` canonical L1 blocks, oldest first, without gaps; never empty."""

    def __init__(self, start: L1Origin, *, keep: int) -> None:
        """A view that has seen one block. `keep` ≥ 1 is the most it will hold."""
        if keep < 1:
            raise ValueError(f"an L1 view keeps at least one block, not {keep}")
        self._blocks: deque[L1Origin] = deque([start], maxlen=keep)

    @classmethod
    def of(cls, blocks: Iterable[L1Origin], *, keep: int) -> L1View:
        """A view of consecutive blocks, oldest first; their links were checked when they were first pushed."""
        first, *rest = blocks
        view = cls(first, keep=keep)
        for block in rest:
            view._append(block)
        return view

    @property
    def head(self) -> L1Origin:
        return self._blocks[-1]

    @property
    def oldest(self) -> L1Origin:
        return self._blocks[0]

    def __iter__(self) -> Iterator[L1Origin]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    def at(self, number: int) -> L1Origin | None:
        """The canonical block at a height, or None above the head and below what is kept."""
        index = number - self._blocks[0].number
        return self._blocks[index] if 0 <= index < len(self._blocks) else None

    def push(self, block: L1Origin, *, parent: Hash) -> None:
        """Extend the view by one block.

        Raises:
            L1LinkError: the block is not the next one, or its parent is not the head.
        """
        self.check(block, parent=parent)
        self._append(block)

    def check(self, block: L1Origin, *, parent: Hash) -> None:
        """Raise `L1LinkError` where `push` would."""
        if parent != self.head.hash:
            raise L1LinkError(f"L1 block {block.number} ({block.hash}) has parent {parent}, but the head is "
                              f"{self.head.number} ({self.head.hash})")
        if block.number != self.head.number + 1:
            raise L1LinkError(f"L1 block {block.number} does not follow {self.head.number}")

    def truncate(self, number: int) -> None:
        """Forget every block above a height.

        Raises:
            L1LinkError: nothing would be left; the fork lies below what the view kept.
        """
        if number < self.oldest.number:
            raise L1LinkError(f"L1 block {number} is older than the oldest kept, {self.oldest.number}")
        kept = list(islice(self._blocks, number - self.oldest.number + 1))
        self._blocks.clear()
        self._blocks.extend(kept)

    def _append(self, block: L1Origin) -> None:
        if block.number != self.head.number + 1:
            raise L1LinkError(f"L1 block {block.number} does not follow {self.head.number}")
        self._blocks.append(block)
