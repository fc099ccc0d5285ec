"""What each toxic does to one direction of one connection; one class per way of treating bytes.

A stage takes bytes, and passes them on to the next stage now, later, in pieces or never. Everything runs on the
proxy's one loop, with timers instead of tasks, so a stage that waits holds up nobody else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.ports import Random
from harness.proxy.framing import Framer
from harness.proxy.toxics import Toxic

SLICE_S = 0.1                # a slow link's data trickles in steps of this, as Toxiproxy's does
SLICES_PER_CHUNK_MAX = 4096  # a chunk is cut into no more pieces than this
NEVER_S = 10**9


class Next(Protocol):
    """Where a stage's bytes go."""

    def feed(self, data: bytes, /) -> None: ...

    def finish(self) -> None:
        """No more bytes will come, and what was held has been passed on."""
        ...


@dataclass(slots=True)
class Setting:
    """What a stage knows of its connection."""

    loop: asyncio.AbstractEventLoop
    random: Random
    key: tuple[str, ...]            # whose draws these are: proxy, toxic, connection
    replies: bool                   # whether the bytes are replies
    left: int                       # bytes still to come of the message now passing
    reset: Callable[[], None]       # resets both ends of the connection
    changed: Callable[[], None]     # told when what is held changed


class Stage:
    """A toxic that changes nothing: the base of the others, and what a connection gets that a toxicity spared."""

    def __init__(self, toxic: Toxic, setting: Setting, following: Next) -> None:
        self.toxic = toxic
        self.setting = setting
        self.next = following
        self.held = 0
        """Bytes taken and not passed on yet."""
        self._has_ended = False
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        self.next.feed(data)

    def finish(self) -> None:
        """The source has ended."""
        self._end()

    def remove(self) -> None:
        """The toxic is being taken away or replaced: pass on at once what is held."""
        self.clear()

    def clear(self) -> None:
        """Forget what is held, and every timer."""
        self.held = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        """Close the stream behind this stage, once."""
        if not self._has_ended:
            self._has_ended = True
            self.next.finish()

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.setting.loop.call_later(min(seconds, NEVER_S), call)


class Delaying(Stage):
    """Passes every piece when it is due, in order."""

    def __init__(self, toxic: Toxic, setting: Setting, following: Next) -> None:
        super().__init__(toxic, setting, following)
        self._queue: deque[tuple[float, bytes]] = deque()
        self._last_due = 0.0
        self._is_finishing = False
        self._draws = 0

    def pieces(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """(due, piece) of a chunk that has come now, in order of both."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        now = self.setting.loop.time()
        for due, piece in self.pieces(data, now):
            self._last_due = due = max(due, self._last_due)
            self._queue.append((due, piece))
            self.held += len(piece)
        self._release()

    def finish(self) -> None:
        self._is_finishing = True
        self._release()

    def remove(self) -> None:
        queue = [piece for _, piece in self._queue]
        self.clear()
        for piece in queue:
            self.next.feed(piece)
        if self._is_finishing:
            self._end()

    def clear(self) -> None:
        super().clear()
        self._queue.clear()

    def _release(self) -> None:
        now = self.setting.loop.time()
        while self._queue and self._queue[0][0] <= now:
            _, piece = self._queue.popleft()
            self.held -= len(piece)
            self.next.feed(piece)
        if self._queue:
            self._after(self._queue[0][0] - now, self._release)
        elif self._is_finishing:
            self._end()
        self.setting.changed()

    def _draw(self, bound: int) -> int:
        self._draws += 1
        return self.setting.random.below(bound, "toxic", *self.setting.key, self._draws)


class Latency(Delaying):
    def pieces(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        delay_ms, jitter_ms = int(self.toxic["latency"]), int(self.toxic["jitter"])
        if jitter_ms > 0:
            delay_ms += self._draw(2 * jitter_ms) - jitter_ms
        return [(now + max(0, delay_ms) / 1000, data)]


class Bandwidth(Delaying):
    def pieces(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        rate = int(self.toxic["rate"]) * 1000  # bytes per second
        if rate <= 0:
            return [(now + NEVER_S, data)]
        step = max(1, int(rate * SLICE_S), -(-len(data) // SLICES_PER_CHUNK_MAX))
        due = max(now, self._last_due)
        found = []
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            due += len(piece) / rate
            found.append((due, piece))
        return found


class Slicer(Delaying):
    def pieces(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        average, variation = int(self.toxic["average_size"]), int(self.toxic["size_variation"])
        if average <= 0:
            return [(now, data)]
        least = -(-len(data) // SLICES_PER_CHUNK_MAX)
        found, at, due = [], 0, max(now, self._last_due)
        while at < len(data):
            size = average + (self._draw(2 * variation + 1) - variation if variation > 0 else 0)
            piece = data[at : at + max(1, size, least)]
            found.append((due, piece))
            at += len(piece)
            due += int(self.toxic["delay"]) / 1e6
        return found


class SlowClose(Stage):
    def finish(self) -> None:
        if self._timer is None:
            self._after(int(self.toxic["delay"]) / 1000, self._end)

    def remove(self) -> None:
        is_waiting = self._timer is not None
        super().remove()
        if is_waiting:
            self._end()


class Timeout(Stage):
    """Nothing passes. Whoever lifts it closes the connection, for its stream has a hole."""

    def __init__(self, toxic: Toxic, setting: Setting, following: Next) -> None:
        super().__init__(toxic, setting, following)
        self._rearm()

    def feed(self, data: bytes) -> None:
        self._rearm()

    def remove(self) -> None:
        super().remove()
        self._end()

    def _rearm(self) -> None:
        if self.toxic["timeout"] > 0:
            self._after(int(self.toxic["timeout"]) / 1000, self._end)


class ResetPeer(Stage):
    def feed(self, data: bytes) -> None:
        if self._timer is None:
            self._after(int(self.toxic["timeout"]) / 1000, self.setting.reset)

    def finish(self) -> None:
        self.feed(b"")


class LimitData(Stage):
    passed = 0

    def feed(self, data: bytes) -> None:
        room = max(0, int(self.toxic["bytes"]) - self.passed)
        part = data[:room]
        if part and not self._has_ended:
            self.passed += len(part)
            self.next.feed(part)
        if self.passed >= self.toxic["bytes"]:
            self._end()


class Dropping(Stage):
    """Loses messages as wholes: some, all, or all for a while."""

    def __init__(self, toxic: Toxic, setting: Setting, following: Next) -> None:
        super().__init__(toxic, setting, following)
        self._framer = Framer(replies=setting.replies)
        self._left = setting.left
        self._is_dropping = False
        self._number = 0
        self._is_torn = False
        self._began = setting.loop.time()

    def feed(self, data: bytes) -> None:
        rest = data[: self._left]  # of a message that began before the toxic did
        if rest:
            self._left -= len(rest)
            self.next.feed(rest)
            data = data[len(rest) :]
        for piece in self._framer.feed(data) if data else ():
            if self._framer.opaque and piece.head is None and not self._framer.left:
                self._take_opaque(piece.data)
                continue
            if piece.head is not None:
                self._number += 1
                self._is_dropping = self._drops()
            if not self._is_dropping:
                self.next.feed(piece.data)

    def remove(self) -> None:
        super().remove()
        kept = self._framer.take_unfinished()
        if kept:
            self.next.feed(kept)
        if self._is_torn:
            self.setting.reset()

    def _take_opaque(self, data: bytes) -> None:
        if self._has_probability or not self._drops():
            if self._is_torn:
                self.setting.reset()
            else:
                self.next.feed(data)
        else:
            self._is_torn = True

    @property
    def _has_probability(self) -> bool:
        return self.toxic.type == "loss"

    def _drops(self) -> bool:
        match self.toxic.type:
            case "loss":
                chance = float(self.toxic["probability"])
                return self.setting.random.unit("toxic", *self.setting.key, "message", self._number) < chance
            case "flapping":
                up, down = int(self.toxic["up"]), int(self.toxic["down"])
                age_ms = (self.setting.loop.time() - self._began) * 1000
                return down > 0 and age_ms % (up + down) >= up
            case _:
                return True


STAGES: dict[str, type[Stage]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slow_close": SlowClose,
    "timeout": Timeout,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "limit_data": LimitData,
    "loss": Dropping,
    "cut": Dropping,
    "flapping": Dropping,
}
