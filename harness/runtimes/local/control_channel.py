"""JSON lines over a socket pair between the runtime and one of its role processes."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable
from typing import Any

import orjson

LINE_BYTES_MAX = 1 << 20


class ChannelClosed(Exception):
    """The process at the other end is gone."""


class ControlChannel:
    """Asks a role process, and hears what it reports of itself. Lives on the runtime's loop."""

    def __init__(self, role: str, *, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._role = role
        self._on_event = on_event
        self.on_lost: Callable[[], None] = lambda: None
        """Called when the other end is gone, unless we have closed ours; `open` again for another try."""
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, end: socket.socket) -> None:
        """`end` is a connected stream socket, of whatever family."""
        if self._writer is not None:
            self._writer.transport.abort()
        reader, self._writer = await asyncio.open_connection(sock=end, limit=LINE_BYTES_MAX)
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))

    async def ask(self, do: str, *, timeout: float, **fields: Any) -> Any:
        """The process's answer.

        Raises:
            TimeoutError: none came in time; a paused process still carries the command out when it is resumed.
            ChannelClosed: the process is gone.
            RuntimeError: it answered with an error.
        """
        if self._writer is None or self._reading is None or self._reading.done():
            raise ChannelClosed(f"{self._role} is gone")
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(orjson.dumps({"id": number, "do": do, **fields}) + b"\n")
            async with asyncio.timeout(timeout):
                return await future
        finally:
            self._waiting.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                message = orjson.loads(line)
                future = self._waiting.get(message.get("id", 0))
                if future is None:
                    if "event" in message:
                        self._on_event(message)
                elif not future.done():
                    if "error" in message:
                        future.set_exception(RuntimeError(f"{self._role}: {message['error']}"))
                    else:
                        future.set_result(message["value"])
        except (OSError, ValueError):
            pass  # a process killed in the middle of a line: the same as its end
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ChannelClosed(f"{self._role} is gone"))
        self.on_lost()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._writer is not None:
            self._writer.transport.abort()
