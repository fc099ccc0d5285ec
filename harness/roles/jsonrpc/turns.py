"""Whose question the execution node answers next: one at a time, the clients in turn, so that blocks never queue long.

Blocks go to the engine directly. At most one client's question is ahead of a block, and a client that asks a thousand
waits behind itself, not before the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.ports import RpcSession
from harness.roles.jsonrpc.faults import limited

WAITING_PER_SESSION_MAX = 256
WAITING_MAX = 4_096


class Turns:
    """A lock that sessions take in turn."""

    def __init__(self) -> None:
        self._waiting: dict[RpcSession, deque[asyncio.Future[None]]] = {}
        self._count = 0
        self._is_taken = False

    @asynccontextmanager
    async def turn(self, session: RpcSession) -> AsyncIterator[None]:
        """Hold the engine for one question. Raises `RpcFault` where too many wait already."""
        if self._is_taken:
            await self._wait(session)
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, session: RpcSession) -> None:
        queue = self._waiting.setdefault(session, deque())
        if len(queue) >= WAITING_PER_SESSION_MAX or self._count >= WAITING_MAX:
            raise limited(f"{len(queue)} questions of this client wait already, {self._count} in all; ask more slowly")
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(mine)
        self._count += 1
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._pass_on()  # the turn came as its taker left
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            session = next(iter(self._waiting))
            queue = self._waiting.pop(session)
            following = queue.popleft()
            self._count -= 1
            if queue:
                self._waiting[session] = queue  # at the end: the others come first
            if not following.done():
                following.set_result(None)  # still taken, by this one now
                return
        self._is_taken = False
