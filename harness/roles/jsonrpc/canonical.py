"""The chain a node's clients see: its unsafe chain by height, where each transaction is, and what a head move changed.

Heads jump and sometimes turn to another branch; a follower of parent hashes sees both as blocks removed and added.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.roles.jsonrpc.source import ChainSource
from harness.rollup.blocks import ExecutedBlock, Hash
from harness.rollup.heads import Label


@dataclass(frozen=True, slots=True)
class Change:
    """What a move of the head undid, newest first, and brought, oldest first."""

    removed: tuple[ExecutedBlock, ...]
    added: tuple[ExecutedBlock, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A transaction of the canonical chain: its block, and its index among that block's receipts."""

    block: ExecutedBlock
    index: int

    @property
    def position(self) -> int:
        """Its transaction index, which counts the system transaction."""
        return self.index + system_transactions(self.block)


class CanonicalChain:
    """Follows a source's unsafe head; everything it says is as of the last `follow`."""

    def __init__(self, source: ChainSource) -> None:
        self._source = source
        self._hashes: list[Hash] = [source.genesis_hash]
        self._blocks: dict[Hash, ExecutedBlock] = {}
        self._places: dict[str, Place] = {}

    @property
    def height(self) -> int:
        return len(self._hashes) - 1

    @property
    def tip(self) -> Hash:
        return self._hashes[-1]

    def hash_at(self, number: int) -> Hash | None:
        return self._hashes[number] if 0 <= number < len(self._hashes) else None

    def number_of(self, name: Hash) -> int | None:
        """Height of a canonical block; None for every other hash."""
        if name == self._hashes[0]:
            return 0
        block = self._blocks.get(name)
        return None if block is None else block.number

    def block_at(self, number: int) -> ExecutedBlock | None:
        """The canonical block of a height; None for genesis, which was never executed, and above the head."""
        name = self.hash_at(number)
        return None if name is None else self._blocks.get(name)

    def place_of(self, transaction: str) -> Place | None:
        return self._places.get(transaction)

    def follow(self) -> Change | None:
        """Catch up with the source's head; what changed, or None."""
        head = self._source.head(Label.UNSAFE)
        if head.hash == self.tip:
            return None
        added: list[ExecutedBlock] = []
        number, name = head.number, head.hash
        while self.hash_at(number) != name:
            block = self._source.block(name)
            if block is None:
                return None  # a head whose ancestors are not held: it is looked at again with the next move
            added.append(block)
            number, name = number - 1, block.inputs.parent
        removed: list[ExecutedBlock] = []
        while len(self._hashes) - 1 > number:
            block = self._blocks.pop(self._hashes.pop())
            removed.append(block)
            for receipt in block.receipts:
                self._places.pop(receipt.transaction_hash, None)
        added.reverse()
        for block in added:
            self._hashes.append(block.hash)
            self._blocks[block.hash] = block
            for index, receipt in enumerate(block.receipts):
                self._places[receipt.transaction_hash] = Place(block, index)
        return Change(tuple(removed), tuple(added))


def system_transactions(block: ExecutedBlock) -> int:
    """How many transactions of the block nobody sent: the L1-attributes one of an L2 block with an origin."""
    return int(block.inputs.origin is not None)
