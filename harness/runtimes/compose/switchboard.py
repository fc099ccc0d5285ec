"""Joins each role to whoever drives it: the only way into a network whose roles can reach nothing but the proxy.

It runs in the proxy's container. Every role calls it on the role's own network, and so is known by where it calls
from; the harness calls it on the edge, with the network's secret, and asks for a role by name. Then bytes go both ways
as they come, until either end is gone. A role that calls again, because it was restarted or lost its connection, takes
the place of its former call.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import Mapping
from typing import Any

import orjson

JOINED = b'{"joined":true}\n'
HELLO_TIMEOUT_S = 5.0
HELLO_BYTES_MAX = 4096
CHUNK_BYTES = 1 << 16
CALLS_MAX = 4096
USER_TIMEOUT_MS = 20_000
"""Data that the other kernel has not confirmed for so long ends a connection: its network is gone."""


class _Call:
    """One end of a conversation, from its call until it hangs up."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.over = asyncio.Event()
        self.partner: _Call | None = None
        """The other end, once there is one."""
        self.first: asyncio.Task[bytes] | None = None
        """What it says first, read ahead: so one learns that it has left while it waits."""

    def read_ahead(self) -> asyncio.Task[bytes]:
        if self.first is None:
            self.first = asyncio.ensure_future(self.reader.read(CHUNK_BYTES))
            self.first.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self.first

    def hang_up(self) -> None:
        """End it for both ends. Idempotent."""
        if self.over.is_set():
            return
        self.over.set()
        if self.first is not None:
            self.first.cancel()
        self.writer.transport.abort()
        if self.partner is not None:
            self.partner.hang_up()


class Switchboard:
    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._roles: dict[str, _Call] = {}
        self._drivers: dict[str, _Call] = {}
        self._servers: list[asyncio.Server] = []
        self._calls = 0
        self.driven = asyncio.Event()
        self.abandoned = asyncio.Event()
        """One of the two is set: somebody drives a role, or nobody does."""
        self.abandoned.set()

    async def open(self, roles: Mapping[str, tuple[str, int]], edge: tuple[str, int]) -> None:
        """Listen at each role's address, and at the edge for whoever drives."""
        for role, (host, port) in roles.items():
            self._servers.append(await self._listen(host, port, role))
        self._servers.append(await self._listen(*edge, None))

    async def _listen(self, host: str, port: int, role: str | None) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._calls += 1
            call = _Call(reader, writer)
            try:
                if self._calls > CALLS_MAX:
                    return
                set_user_timeout(writer)
                if role is None:
                    await self._answer_driver(call)
                else:
                    await self._put_through(role, call, self._roles, self._drivers)
            except (OSError, ValueError, TimeoutError):
                pass  # an end is gone, or was never one of ours
            finally:
                self._calls -= 1
                call.hang_up()

        return await asyncio.start_server(answer, host, port, limit=CHUNK_BYTES)

    async def _answer_driver(self, call: _Call) -> None:
        """The first line says whom it wants and that it may. Raises ValueError when it may not."""
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            hello = orjson.loads(await call.reader.readline())
        if not hmac.compare_digest(str(hello["secret"]).encode(), self._secret):
            raise ValueError("another network's secret")
        await self._put_through(str(hello["role"]), call, self._drivers, self._roles)

    async def _put_through(
        self, role: str, call: _Call, own: dict[str, _Call], others: dict[str, _Call]
    ) -> None:
        """Wait for the other end, and stay until the conversation is over."""
        former = own.get(role)
        if former is not None:
            former.hang_up()
        own[role] = call
        self._note()
        try:
            other = others.get(role)
            if other is not None and not other.over.is_set():
                await self._converse(*((call, other) if own is self._roles else (other, call)))
            else:
                await self._wait(call)
        finally:
            if own.get(role) is call:
                del own[role]
            self._note()

    async def _wait(self, call: _Call) -> None:
        """Until the one that comes later has conversed with this call, or the caller leaves."""
        over = asyncio.ensure_future(call.over.wait())
        try:
            await asyncio.wait([call.read_ahead(), over], return_when=asyncio.FIRST_COMPLETED)
            if not over.done() and call.read_ahead().result():
                await over
        finally:
            over.cancel()

    async def _converse(self, role: _Call, driver: _Call) -> None:
        role.partner, driver.partner = driver, role
        role.writer.write(JOINED)
        ways = [asyncio.ensure_future(_carry(role, driver)), asyncio.ensure_future(_carry(driver, role))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            role.hang_up()
            driver.hang_up()

    def _note(self) -> None:
        now, before = (self.driven, self.abandoned) if self._drivers else (self.abandoned, self.driven)
        now.set()
        before.clear()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for call in [*self._roles.values(), *self._drivers.values()]:
            call.hang_up()
        self._servers.clear()


async def _carry(source: _Call, sink: _Call) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        data = await asyncio.shield(source.read_ahead())
        while data:
            sink.writer.write(data)
            await sink.writer.drain()
            data = await source.reader.read(CHUNK_BYTES)


def hello(secret: str, role: str) -> bytes:
    """What a driver says first."""
    words: dict[str, Any] = {"secret": secret, "role": role}
    return orjson.dumps(words) + b"\n"


def set_user_timeout(writer: asyncio.StreamWriter) -> None:
    """Notice within a bounded time that the way is gone, though nobody says so."""
    handle = writer.transport.get_extra_info("socket")
    if handle is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, USER_TIMEOUT_MS // 2000)
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, USER_TIMEOUT_MS // 4000)
