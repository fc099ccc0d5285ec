"""The four labels a node puts on its chain, in an order that cannot be broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from harness.rollup.blocks import Hash


class Label(IntEnum):
    """How sure a block is; a larger value is surer and never lies above a smaller one."""

    UNSAFE = 0      # notarized by the sequencer set
    COMMITTED = 1   # finalized by the sequencer set
    SAFE = 2        # derived from canonical L1 data
    FINALIZED = 3   # derived only from L1 blocks too deep to be reorged

    @property
    def word(self) -> str:
        """The label as the API writes it, for instance `safe`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Head:
    number: int
    hash: Hash


class HeadsError(Exception):
    """A label was asked to move where it may not; nothing moved."""


class FinalityBroken(HeadsError):
    """A finalized block would have to be undone; the node must halt and raise an alarm."""


@dataclass(frozen=True, slots=True)
class Heads:
    """finalized ≤ safe ≤ committed ≤ unsafe, always; equal heights carry equal hashes.

    Whether a surer head is an ancestor of a less sure one needs the blocks; ask `BlockTree` before advancing, and
    `fall_to` the fork first where it is not.
    """

    unsafe: Head
    committed: Head
    safe: Head
    finalized: Head

    def __post_init__(self) -> None:
        ordered = [self.at(label) for label in Label]
        for label, below, above in zip(Label, ordered[1:], ordered, strict=False):
            if below.number > above.number:
                raise HeadsError(f"{Label(label + 1).word} {below.number} would lie above {label.word} {above.number}; "
                                 "move the surer label down first")
            if below.number == above.number and below.hash != above.hash:
                raise HeadsError(f"{Label(label + 1).word} and {label.word} would name different blocks at height "
                                 f"{below.number}: {below.hash} and {above.hash}; fall back to their fork first")

    @classmethod
    def genesis(cls, number: int, hash: Hash) -> Heads:
        """Every label on one block."""
        head = Head(number, hash)
        return cls(head, head, head, head)

    def at(self, label: Label) -> Head:
        match label:
            case Label.UNSAFE:
                return self.unsafe
            case Label.COMMITTED:
                return self.committed
            case Label.SAFE:
                return self.safe
            case Label.FINALIZED:
                return self.finalized

    def advance(self, label: Label, number: int, hash: Hash) -> Heads:
        """Move a label up, lifting the less sure ones it passes; the same block again changes nothing.

        Raises:
            HeadsError: the block is lower than the label's head, or another block at a labelled height.
        """
        current = self.at(label)
        if number < current.number:
            raise HeadsError(f"{label.word} would fall from {current.number} to {number}; only a reset may do that")
        if number == current.number and hash != current.hash:
            raise HeadsError(f"{label.word} would change its block at height {number} from {current.hash} to {hash}; "
                             "only a reset may do that")
        head = Head(number, hash)
        return self._with({less: head for less in Label
                           if less == label or (less < label and self.at(less).number < number)})

    def reset(self, label: Label, number: int, hash: Hash) -> Heads:
        """Put one label on another block, up or down, leaving the others where they are.

        Raises:
            FinalityBroken: the finalized label would fall or change.
            HeadsError: a surer label lies above the block, or a less sure one below it.
        """
        head, current = Head(number, hash), self.at(label)
        if label is Label.FINALIZED and (number < current.number or (number == current.number and head != current)):
            raise FinalityBroken(f"finalized would fall from {current.number} ({current.hash}) to {number} ({hash}); "
                                 "the L1 was reorged deeper than finality, halt")
        return self._with({label: head})

    def fall_to(self, number: int, hash: Hash) -> Heads:
        """Bring every label above a block down to it, as when everything above it has died.

        Raises:
            FinalityBroken: the finalized block lies above it.
        """
        if self.finalized.number > number:
            raise FinalityBroken(f"everything above {number} ({hash}) died but {self.finalized.number} "
                                 f"({self.finalized.hash}) is finalized; the L1 was reorged deeper than finality, halt")
        head = Head(number, hash)
        return self._with({label: head for label in Label if self.at(label).number > number})

    def to_json(self) -> dict[str, Any]:
        return {label.word: [self.at(label).number, self.at(label).hash] for label in Label}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Heads:
        return cls(*(Head(int(value[label.word][0]), Hash(value[label.word][1])) for label in Label))

    def _with(self, changed: Mapping[Label, Head]) -> Heads:
        return Heads(*(changed.get(label, self.at(label)) for label in Label))
