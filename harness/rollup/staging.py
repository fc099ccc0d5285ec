"""Collects frames into the one channel being assembled, in order, until it is complete, too old or too large."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.rollup.batch import CHANNEL_BYTES_MAX, Frame, channel_id


@dataclass(slots=True)
class StagedChannel:
    """A channel of which the first frames have been seen; it only ever grows."""

    id: bytes
    opened_at: int                                  # the L1 block of its first frame
    frames: list[bytes] = field(default_factory=list)
    size: int = 0

    def append(self, data: bytes) -> None:
        self.frames.append(data)
        self.size += len(data)

    def prefix(self, count: int) -> StagedChannel:
        """The channel as it was with its first `count` frames."""
        frames = self.frames[:count]
        return StagedChannel(self.id, self.opened_at, frames, sum(map(len, frames)))


@dataclass(frozen=True, slots=True)
class Completed:
    """A whole channel, whose id is the hash of its bytes."""

    id: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Discarded:
    """A frame or a channel that will never be part of a batch."""

    reason: str


class Staging:
    """The single staging channel, as in OP's Holocene: no buffering of anything that is not next."""

    def __init__(self, *, timeout: int) -> None:
        """`timeout` is the most L1 blocks between a channel's first frame and its last."""
        self._timeout = timeout
        self.channel: StagedChannel | None = None

    def expire(self, l1_number: int) -> Discarded | None:
        """Drop a channel that an L1 block of this height can no longer complete."""
        staged = self.channel
        if staged is None or l1_number <= staged.opened_at + self._timeout:
            return None
        self.channel = None
        return Discarded(f"channel {staged.id.hex()} opened at L1 block {staged.opened_at} with {len(staged.frames)} "
                         f"frames is not complete after {self._timeout} L1 blocks")

    def add(self, frame: Frame, l1_number: int) -> Completed | Discarded | None:
        """Take the next frame in L1 order; None means it was staged and more are due.

        A frame that is not the next of the staged channel is dropped and changes nothing, unless it opens another
        channel: that drops the staged one.
        """
        staged, displaced = self.channel, None
        if staged is None or frame.channel_id != staged.id:
            if frame.index != 0:
                return Discarded(f"frame {frame.index} of channel {frame.channel_id.hex()}, which is not being staged")
            if staged is not None:
                displaced = Discarded(f"channel {staged.id.hex()} lost its place after {len(staged.frames)} frames to "
                                      f"channel {frame.channel_id.hex()}")
            staged = self.channel = StagedChannel(frame.channel_id, l1_number)
        elif frame.index != len(staged.frames):
            return Discarded(f"frame {frame.index} of channel {staged.id.hex()} where {len(staged.frames)} is due")
        staged.append(frame.data)
        if staged.size > CHANNEL_BYTES_MAX:
            self.channel = None
            return Discarded(f"channel {staged.id.hex()} has more than {CHANNEL_BYTES_MAX} bytes")
        if not frame.is_last:
            return displaced
        self.channel = None
        data = b"".join(staged.frames)
        if channel_id(data) != staged.id:
            return Discarded(f"channel {staged.id.hex()} is not the hash of its bytes, {channel_id(data).hex()}")
        return Completed(staged.id, data)
