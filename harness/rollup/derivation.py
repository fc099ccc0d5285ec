"""The safe chain as a pure function of L1 bytes: feed L1 blocks in order, execute what comes out, report its hash.

    derivation.feed(l1_block)
    while (block := derivation.next()) is not None:
        hash = ...execute block.inputs, or recognise it with block.is_confirmed_by...
        newly_safe = derivation.on_executed(block.inputs.number, hash)

Strict in the manner of OP's Holocene: one staging channel, frames in order, nothing buffered for later; what is
wrong is dropped with a reason and never waited for. One thing is stricter: a batch becomes safe as a whole, when its
tip has executed to the certified hash. Any one sequencer may post, and only the tip is certified; were blocks safe
one by one, a single Byzantine poster could make a forged block safe under a genuine certificate for a later one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.rollup.acceptance import DerivationRules, DerivedBlock, SafeBlock, VerifyFinalization, accept
from harness.rollup.batch import BatchError, decode_channel, decode_frame
from harness.rollup.blocks import Hash, L1Origin
from harness.rollup.forced import ForcedEntry, ForcedView, QueueBroken
from harness.rollup.l1_view import L1LinkError, L1View
from harness.rollup.staging import Discarded, StagedChannel, Staging

QUEUE_MAX = 256
"""L1 blocks that may be fed before they are derived; drain `next` before feeding more."""
DROPPED_KEPT = 256
"""Reasons kept for `take_dropped`; the oldest give way."""


class DerivationError(Exception):
    """The driver used the machine out of turn, or its stored state cannot be read."""


class ReorgTooDeep(DerivationError):
    """The L1 was reorged below what this chain holds for finalized; the node must halt and raise an alarm."""


@dataclass(frozen=True, slots=True)
class L1Block:
    """What derivation reads of an L1 block: its header, and the frames that transactions submitted, in order."""

    number: int
    hash: Hash
    parent: Hash
    timestamp: int                             # seconds
    inbox: tuple[tuple[str, bytes], ...] = ()  # (sender, frame bytes)
    forced: tuple[ForcedEntry, ...] = ()       # what joined the forced queue

    @property
    def ref(self) -> L1Origin:
        return L1Origin(self.number, self.hash, self.timestamp)


@dataclass(frozen=True, slots=True)
class Dropped:
    """L1 data that did not become blocks, and why; for logs and metrics."""

    l1_number: int
    reason: str


@dataclass(slots=True)
class _Execution:
    """A batch whose blocks are being executed; none of them is safe yet."""

    channel_id: bytes
    blocks: tuple[DerivedBlock, ...]
    done: int = 0


class Derivation:
    """One L2 chain's derivation, from its genesis or from a stored state. Never blocks, never raises on L1 data."""

    def __init__(self, rules: DerivationRules, genesis: SafeBlock, *, verify_finalization: VerifyFinalization) -> None:
        """Start above `genesis.origin`: the first L1 block to feed is the one after it."""
        self._rules = rules
        self._verify = verify_finalization
        self._l1 = L1View(genesis.origin, keep=_view_size(rules))
        self._forced = ForcedView()
        self._queue: deque[L1Block] = deque()  # fed and not fully derived; the first may be half done
        self._frame = 0                        # how many frames of the queue's first block are done
        self._staging = Staging(timeout=rules.channel_timeout)
        self._executing: _Execution | None = None
        self._safe: list[SafeBlock] = [genesis]  # finalized base first, head last, no gaps
        self._accepted: dict[bytes, int] = {}  # channel id → the L1 block that made its batch safe
        self._cursor = self._floor = genesis.origin.number
        self._staged_at: dict[int, tuple[StagedChannel, int]] = {}  # after that L1 block: channel, frames it had
        self._dropped: deque[Dropped] = deque(maxlen=DROPPED_KEPT)

    # -- what a driver reads

    @property
    def safe(self) -> SafeBlock:
        """The safe head."""
        return self._safe[-1]

    @property
    def l1_head(self) -> L1Origin:
        """The newest L1 block fed."""
        return self._l1.head

    @property
    def cursor(self) -> int:
        """The newest L1 block of which everything has been derived."""
        return self._cursor

    @property
    def reorg_floor(self) -> int:
        """The L1 block below which `rewind` refuses to go: the cursor's highest ever, less the finality depth."""
        return self._floor

    @property
    def l1(self) -> L1View:
        """The L1 blocks fed so far, for judging origins; not to be changed."""
        return self._l1

    def l1_at(self, number: int) -> L1Origin | None:
        """The fed L1 block at a height, for the parent-hash walk that finds an L1 fork."""
        return self._l1.at(number)

    def forced_at(self, l1_number: int) -> tuple[ForcedEntry, ...]:
        """What the first L2 block with that L1 block for its origin owes, in order; of origins not finalized."""
        return self._forced.at(l1_number)

    def safe_at(self, number: int) -> SafeBlock | None:
        """The safe block at a height, back to the finalized one."""
        index = number - self._safe[0].number
        return self._safe[index] if 0 <= index < len(self._safe) else None

    def finalized(self, l1_head_number: int) -> SafeBlock:
        """The last safe block derived only from L1 blocks at least the finality depth below an L1 head.

        Never lower than what an earlier L1 head has finalized.
        """
        deep = l1_head_number - self._rules.finality_depth
        return self._safe[max(0, bisect_right(self._safe, deep, key=lambda block: block.l1_number) - 1)]

    def finalized_height(self, l1_head_number: int) -> int:
        return self.finalized(l1_head_number).number

    def take_dropped(self) -> tuple[Dropped, ...]:
        """What was dropped since last asked, oldest first, at most `DROPPED_KEPT`."""
        dropped = tuple(self._dropped)
        self._dropped.clear()
        return dropped

    # -- what a driver does

    def feed(self, block: L1Block) -> None:
        """Append the next canonical L1 block; a block fed before is ignored.

        Raises:
            L1LinkError: it does not stand on `l1_head`; find the fork and `rewind` to it first.
            DerivationError: `QUEUE_MAX` blocks wait to be derived, or its forced entries are not the queue's next.
        """
        known = self._l1.at(block.number)
        if known is not None and known.hash == block.hash:
            return
        if len(self._queue) >= QUEUE_MAX:
            raise DerivationError(f"{QUEUE_MAX} L1 blocks wait to be derived; drain next() before feeding more")
        self._l1.check(block.ref, parent=block.parent)
        try:
            self._forced.push(block.number, block.forced)
        except QueueBroken as broken:
            raise DerivationError(str(broken)) from broken
        self._l1.push(block.ref, parent=block.parent)
        self._queue.append(block)

    def next(self) -> DerivedBlock | None:
        """The block to execute now, the same until its outcome is reported; None when more L1 is needed."""
        while self._executing is None:
            if not self._queue:
                return None
            self._step(self._queue[0])
        return self._executing.blocks[self._executing.done]

    def on_executed(self, number: int, hash: Hash) -> tuple[SafeBlock, ...]:
        """Report what block `next` named executed to; returns the blocks this made safe, oldest first.

        Another hash than expected drops the batch.

        Raises:
            DerivationError: that block is not the one being waited for.
        """
        execution, block = self._expect(number)
        if hash != block.expected_hash:
            self._executing = None
            self._drop(block.l1_number, f"block {number} executed to {hash}, its batch says {block.expected_hash}")
            return ()
        execution.done += 1
        if not block.is_tip:
            return ()
        self._executing = None
        newly_safe = tuple(_safe_block(each) for each in execution.blocks)
        self._safe.extend(newly_safe)
        self._accepted[execution.channel_id] = block.l1_number
        return newly_safe

    def on_invalid(self, number: int, reason: str) -> None:
        """Report that the block `next` named cannot be executed as it is; drops the batch.

        Raises:
            DerivationError: that block is not the one being waited for.
        """
        _, block = self._expect(number)
        self._executing = None
        self._drop(block.l1_number, f"block {number} does not execute: {reason}")

    def rewind(self, l1_number: int) -> SafeBlock:
        """Return to the state after an L1 block, dropping everything derived from later ones; gives the safe head.

        Raises:
            ReorgTooDeep: the L1 block lies below `reorg_floor`; nothing was changed.
        """
        if l1_number < self._floor:
            raise ReorgTooDeep(f"rewind to L1 block {l1_number} undoes finalized data (floor {self._floor}, finality "
                               f"depth {self._rules.finality_depth}); halt: the L1 broke its finality")
        if l1_number >= self._l1.head.number:
            return self.safe
        self._l1.truncate(l1_number)
        self._forced.truncate(l1_number)
        if l1_number > self._cursor:
            # The block being derived may be the queue's first; it stays.
            while self._queue[-1].number > l1_number:
                self._queue.pop()
            return self.safe
        self._queue.clear()
        self._frame, self._executing, self._cursor = 0, None, l1_number
        staged = self._staged_at.get(l1_number)
        self._staging.channel = staged[0].prefix(staged[1]) if staged else None
        self._staged_at = {at: kept for at, kept in self._staged_at.items() if at <= l1_number}
        self._accepted = {name: at for name, at in self._accepted.items() if at <= l1_number}
        while len(self._safe) > 1 and self._safe[-1].l1_number > l1_number:
            self._safe.pop()
        return self.safe

    # -- one frame at a time

    def _step(self, block: L1Block) -> None:
        if self._frame == 0:
            self._note(block.number, self._staging.expire(block.number))
        if self._frame < len(block.inbox):
            sender, data = block.inbox[self._frame]
            self._frame += 1
            self._take_frame(sender, data, block.number)
        else:
            self._finish(block)

    def _take_frame(self, sender: str, data: bytes, l1_number: int) -> None:
        if sender.lower() not in self._rules.senders:
            self._drop(l1_number, f"sender {sender} is neither the batcher nor an active sequencer")
            return
        try:
            frame = decode_frame(data)
            accepted_at = self._accepted.get(frame.channel_id)
            if accepted_at is not None and l1_number <= accepted_at + self._rules.sequencing_window:
                # Without this a replayed channel would change nothing itself but displace the one being staged.
                self._drop(l1_number, f"channel {frame.channel_id.hex()} was accepted at L1 block {accepted_at}")
                return
            channel = self._staging.add(frame, l1_number)
            if channel is None or isinstance(channel, Discarded):
                self._note(l1_number, channel)
                return
            blocks = accept(decode_channel(channel.data), safe=self.safe, l1=self._l1, l1_number=l1_number,
                            rules=self._rules, verify_finalization=self._verify)
        except BatchError as error:
            self._drop(l1_number, error.reason)
            return
        if blocks:
            self._executing = _Execution(channel.id, blocks)
        else:
            self._drop(l1_number, f"channel {channel.id.hex()} holds only blocks that are safe already")

    def _finish(self, block: L1Block) -> None:
        self._queue.popleft()
        self._frame, self._cursor = 0, block.number
        if self._staging.channel is not None:
            self._staged_at[block.number] = self._staging.channel, len(self._staging.channel.frames)
        self._floor = max(self._floor, self._cursor - self._rules.finality_depth)
        oldest_replay = self._floor - self._rules.sequencing_window
        self._accepted = {name: at for name, at in self._accepted.items() if at >= oldest_replay}
        self._staged_at = {at: kept for at, kept in self._staged_at.items() if at >= self._floor}
        del self._safe[:max(0, bisect_right(self._safe, self._floor, key=lambda each: each.l1_number) - 1)]
        self._forced.prune(self._safe[0].origin.number)  # no block below will be built or derived again

    def _expect(self, number: int) -> tuple[_Execution, DerivedBlock]:
        block = self.next() if self._executing is not None else None
        if self._executing is None or block is None or block.inputs.number != number:
            raise DerivationError(f"block {number} was reported, but "
                                  f"{'no block' if block is None else block.inputs.number} is being waited for")
        return self._executing, block

    def _note(self, l1_number: int, discarded: Discarded | None) -> None:
        if discarded is not None:
            self._drop(l1_number, discarded.reason)

    def _drop(self, l1_number: int, reason: str) -> None:
        self._dropped.append(Dropped(l1_number, reason))

    # -- across a restart

    def to_json(self) -> dict[str, Any]:
        """The state after the cursor's L1 block, as JSON values; feed the L1 blocks after it again when restored."""
        # Snapshots of one channel are prefixes of each other, so each channel's frames are written once.
        channels = {id(channel): channel for channel, _ in self._staged_at.values()}
        places = {key: index for index, key in enumerate(channels)}
        longest = {id(channel): count for channel, count in self._staged_at.values()}
        return {
            "chain_id": self._rules.chain_id,
            "cursor": self._cursor,
            "floor": self._floor,
            "l1": [_ref_json(block) for block in self._l1 if block.number <= self._cursor],
            "forced": self._forced.to_json(self._cursor),
            "safe": [[block.number, block.hash, block.timestamp, _ref_json(block.origin), block.l1_number]
                     for block in self._safe if block.l1_number <= self._cursor],
            "accepted": [[name.hex(), at] for name, at in self._accepted.items() if at <= self._cursor],
            "channels": [[channel.id.hex(), channel.opened_at, [data.hex() for data in channel.frames[:longest[key]]]]
                         for key, channel in channels.items()],
            "staged_at": [[at, places[id(channel)], count] for at, (channel, count) in self._staged_at.items()],
        }

    @classmethod
    def from_json(cls, rules: DerivationRules, value: Mapping[str, Any], *,
                  verify_finalization: VerifyFinalization) -> Derivation:
        """The machine that `to_json` described, ready for the L1 block after its cursor.

        Raises:
            DerivationError: the value is damaged or belongs to another chain; derive again from L1 genesis.
        """
        try:
            if value["chain_id"] != rules.chain_id:
                raise DerivationError(f"stored derivation is of chain {value['chain_id']}, not {rules.chain_id}")
            safe = [SafeBlock(number, Hash(hash), timestamp, _ref(origin), at)
                    for number, hash, timestamp, origin, at in value["safe"]]
            machine = cls(rules, safe[0], verify_finalization=verify_finalization)
            machine._l1 = L1View.of(map(_ref, value["l1"]), keep=_view_size(rules))
            machine._forced = ForcedView.from_json(value.get("forced", ()))
            machine._safe = safe
            machine._accepted = {bytes.fromhex(name): at for name, at in value["accepted"]}
            machine._cursor, machine._floor = int(value["cursor"]), int(value["floor"])
            channels = [StagedChannel(bytes.fromhex(name), opened_at, frames := [bytes.fromhex(each) for each in data],
                                      sum(map(len, frames))) for name, opened_at, data in value["channels"]]
            machine._staged_at = {at: (channels[place], count) for at, place, count in value["staged_at"]}
            staged = machine._staged_at.get(machine._cursor)
            machine._staging.channel = staged[0] if staged else None
        except (KeyError, IndexError, TypeError, ValueError, L1LinkError) as error:
            raise DerivationError(f"stored derivation cannot be read ({type(error).__name__}: {error}); "
                                  "derive again from L1 genesis") from error
        if machine._cursor != machine._l1.head.number:
            raise DerivationError(f"stored derivation stops at L1 block {machine._cursor} but its L1 blocks reach "
                                  f"{machine._l1.head.number}; derive again from L1 genesis")
        return machine


def _view_size(rules: DerivationRules) -> int:
    # After the deepest rewind the oldest usable origin must still be there, with a full queue ahead of the cursor.
    return rules.sequencing_window + rules.channel_timeout + rules.finality_depth + QUEUE_MAX + 2


def _safe_block(block: DerivedBlock) -> SafeBlock:
    inputs = block.inputs
    assert inputs.origin is not None
    return SafeBlock(inputs.number, block.expected_hash, inputs.timestamp, inputs.origin, block.l1_number)


def _ref_json(block: L1Origin) -> list[int | str]:
    return [block.number, block.hash, block.timestamp]


def _ref(value: Any) -> L1Origin:
    number, hash, timestamp = value
    return L1Origin(number, Hash(hash), timestamp)
