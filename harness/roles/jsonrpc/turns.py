"""Whose questions the execution node answers next: a few quick ones together, the clients in turn.

Blocks go to the engine directly. At most one turn is ahead of a block, a millisecond or two of quick questions or one
long one, and a client that asks a thousand waits behind itself, not before the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from harness.ports import RpcSession
from harness.roles.jsonrpc.faults import limited

WAITING_PER_SESSION_MAX = 256
WAITING_MAX = 4_096
WHOLE: Final = 16
"""What a turn has room for: so many of the least, or one question that takes all of it and runs alone."""


class Turns:
    """A semaphore of `WHOLE` that sessions take in turn."""

    def __init__(self) -> None:
        self._waiting: dict[RpcSession, deque[tuple[asyncio.Future[None], int]]] = {}
        self._count = 0
        self._taken = 0

    @asynccontextmanager
    async def turn(self, session: RpcSession, size: int = WHOLE) -> AsyncIterator[None]:
        """Hold so much of the engine for one question. Raises `RpcFault` where too many wait already."""
        if self._waiting or self._taken + size > WHOLE:
            await self._wait(session, size)
        else:
            self._taken += size
        try:
            yield
        finally:
            self._give_back(size)

    async def _wait(self, session: RpcSession, size: int) -> None:
        queue = self._waiting.get(session)
        if self._count >= WAITING_MAX or (queue is not None and len(queue) >= WAITING_PER_SESSION_MAX):
            raise limited(f"{len(queue or ())} questions of this client wait already, {self._count} in all; ask more "
                          "slowly")
        if queue is None:
            queue = self._waiting[session] = deque()
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append((mine, size))
        self._count += 1
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._give_back(size)  # the turn came as its taker left
            raise

    def _give_back(self, size: int) -> None:
        self._taken -= size
        while self._waiting:
            session = next(iter(self._waiting))
            queue = self._waiting[session]
            following, wanted = queue[0]
            if not following.done() and self._taken + wanted > WHOLE:
                return  # it is next, once there is room: what would fit must not overtake it for ever
            queue.popleft()
            self._count -= 1
            del self._waiting[session]
            if queue:
                self._waiting[session] = queue  # at the end: the others come first
            if not following.done():
                self._taken += wanted
                following.set_result(None)
