"""Every block an engine knows, by hash and by inputs: the truth a dead node is rebuilt from."""

from __future__ import annotations

from dataclasses import dataclass

from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash


@dataclass(frozen=True, slots=True)
class Genesis:
    """Block 0. Its hash covers neither alloc nor chain id, so two chains may share it: compare block 1 as well."""

    hash: Hash
    timestamp: int
    state_root: Hash
    number: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """How a node's head gets from one block to another: back to `ancestor`, then forward through `forward`."""

    ancestor: Hash
    back: int
    forward: tuple[ExecutedBlock, ...]


class Journal:
    """A tree of executed blocks over one genesis. Nothing is ever removed."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._blocks: dict[Hash, ExecutedBlock] = {}
        self._by_inputs: dict[BlockInputs, ExecutedBlock] = {}
        self._origins_seen: dict[Hash, int] = {genesis.hash: 0}

    def __contains__(self, block: Hash) -> bool:
        return block in self._origins_seen

    def block(self, block: Hash) -> ExecutedBlock | None:
        """The block of that hash, if it is known and not the genesis."""
        return self._blocks.get(block)

    def executed(self, inputs: BlockInputs) -> ExecutedBlock | None:
        """The block these inputs gave, if they were ever executed."""
        return self._by_inputs.get(inputs)

    def add(self, block: ExecutedBlock) -> None:
        """Append a block whose parent is known; adding it again changes nothing."""
        self._blocks[block.hash] = block
        self._by_inputs[block.inputs] = block
        seen = self._origins_seen[block.inputs.parent]
        self._origins_seen[block.hash] = seen + (block.inputs.origin is not None)

    def number(self, block: Hash) -> int:
        """Height of a known block."""
        return 0 if block == self._genesis.hash else self._blocks[block].number

    def timestamp(self, block: Hash) -> int:
        """Timestamp of a known block, in seconds."""
        return self._genesis.timestamp if block == self._genesis.hash else self._blocks[block].inputs.timestamp

    def origins_up_to(self, block: Hash) -> int:
        """How many blocks up to this one have an L1 origin: the depositor's next nonce."""
        return self._origins_seen[block]

    def route(self, start: Hash, end: Hash) -> Route:
        """The shortest way from one known block to another."""
        back = 0
        forward: list[ExecutedBlock] = []
        while start != end:
            if self.number(start) > self.number(end):
                start = self._blocks[start].inputs.parent
                back += 1
            else:
                forward.append(self._blocks[end])
                end = self._blocks[end].inputs.parent
        return Route(ancestor=end, back=back, forward=tuple(reversed(forward)))
