"""When a question that takes the node long may be put to it: never so that the next block would have to wait for it.

While such questions are quick (a contract's view) they go like all others. Once one was slow, each goes alone, rests
as long as it took, and starts only where the next block is further away than the longest of late took. A chain whose
block is overdue is waiting for something else, and takes them as they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from harness.ports import Clock, RpcSession
from harness.roles.jsonrpc.turns import Turns

LONG_QUERY_NS: Final = 10_000_000
"""What took longer was slow."""
SLOW_FOR_NS: Final = 250_000_000
SLOW_FOR_NS_MAX: Final = 8_000_000_000
"""After a slow one, each has the node alone for so long. Twice as long each time it was one that shared a turn, so that
nobody can have several be slow together at will."""
CALM_NS: Final = 10_000_000_000
"""Without a slow one for so long, the next is taken for an exception again."""
OPEN_SHARE: Final = 4
"""A block's interval is open for its first quarter at least, however long they take: they wait, and are not starved."""


class SlowLane:
    """One node's."""

    def __init__(self, clock: Clock, block_interval_ns: int) -> None:
        self._clock = clock
        self._interval = block_interval_ns
        self._turns = Turns()
        self._block_at = clock.monotonic()
        self._block = asyncio.Event()
        self._slow_until = -CALM_NS
        """Monotonic time before which a long query has the node alone."""
        self._slow_for = SLOW_FOR_NS
        self._longest = 0
        self._rest = 0

    @property
    def is_in_use(self) -> bool:
        """Whether a long question has to go through `turn`."""
        return self._clock.monotonic() < self._slow_until

    @asynccontextmanager
    async def turn(self, session: RpcSession) -> AsyncIterator[None]:
        """Hold the lane, at a time at which a block is not near. Raises `RpcFault` where too many wait."""
        async with self._turns.turn(session):
            await self._wait_for_room()
            self._rest = 0
            try:
                yield
            finally:
                if self._rest:  # half the node's time stays everybody else's
                    await self._clock.sleep(self._rest / 1e9)

    def block_seen(self) -> None:
        """The chain has a new block: the next one is an interval away."""
        self._block_at = self._clock.monotonic()
        self._block.set()

    def note(self, began: int, took: int, *, was_shared: bool) -> None:
        """One took so long, in ns."""
        if took <= LONG_QUERY_NS:
            return
        if not was_shared:
            self._rest = took
        elif began < self._slow_until:
            return  # those it shared its turn with have said so
        now = began + took
        if now - self._slow_until >= CALM_NS:
            self._slow_for = SLOW_FOR_NS
            self._longest = 0
        elif was_shared:
            self._slow_for = min(2 * self._slow_for, SLOW_FOR_NS_MAX)
        self._longest = max(took, self._longest * 31 // 32)
        self._slow_until = now + self._slow_for

    async def _wait_for_room(self) -> None:
        while True:
            since = self._clock.monotonic() - self._block_at
            overdue = self._interval * 3 // 2
            room = max(self._interval - self._longest, self._interval // OPEN_SHARE)
            if since <= room or since >= overdue:
                return
            self._block.clear()
            waiting = asyncio.ensure_future(self._block.wait())
            try:
                await asyncio.wait([waiting], timeout=(overdue - since) / 1e9)
            finally:
                waiting.cancel()
