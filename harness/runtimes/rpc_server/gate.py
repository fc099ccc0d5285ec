"""Lets costly input in one piece at a time, and everybody else between two pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """First come, first served. One piece costs the loop a few milliseconds; fifty at once would cost a block."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def piece(self) -> AsyncIterator[None]:
        async with self._lock:
            yield
            await asyncio.sleep(0)
