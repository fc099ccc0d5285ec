"""One-way messages to one peer: pipelined on one connection in the order they were sent, bounded, never waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

MESSAGES_MAX = 4096
BYTES_MAX = 16 << 20
CONNECT_TIMEOUT_S = 2.0


class Outbox(asyncio.Protocol):
    """Writes messages as fast as the connection takes them; what can not be written is lost, as the port allows.

    Replies are receipts of the transport and are thrown away. A broken connection is reopened by the next message.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._writable = True
        self._closed = False
        self.dropped = 0
        """Messages that found the queue full or the peer unreachable."""

    def put(self, message: bytes) -> None:
        """Queue a message and return at once."""
        if self._closed or len(self._queue) >= MESSAGES_MAX or self._bytes + len(message) > BYTES_MAX:
            self.dropped += 1
            return
        if self._transport is not None and self._writable and not self._queue:
            self._transport.write(message)
            return
        self._queue.append(message)
        self._bytes += len(message)
        if self._transport is None and self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: self, *self._address)
        except OSError:  # TimeoutError is one
            self._drop_queue()
        finally:
            self._connecting = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's
        self._writable = True
        if self._closed:
            self._transport.abort()
        else:
            self._write_queue()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._drop_queue()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._write_queue()

    def _write_queue(self) -> None:
        while self._queue and self._writable and self._transport is not None:
            message = self._queue.popleft()
            self._bytes -= len(message)
            self._transport.write(message)

    def _drop_queue(self) -> None:
        self.dropped += len(self._queue)
        self._queue.clear()
        self._bytes = 0

    def close(self) -> None:
        """Lose what is queued and reset the connection."""
        self._closed = True
        self._drop_queue()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()
