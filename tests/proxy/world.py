"""A fault proxy with one link a→b to an HTTP echo, a raw echo beside it, and Toxiproxy's API over both."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

from harness.proxy.proxies import Proxies
from harness.proxy.server import ProxyServer
from harness.proxy.toxiproxy import toxiproxy_application

DEADLINE_S = 30.0
HTTP = b"POST /request HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b"
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


@dataclass
class World:
    """What a test touches."""

    server: ProxyServer
    api: str                                             # its URL
    http: aiohttp.ClientSession
    raw: str                                             # host:port of a server that sends back what it gets
    link_port: int                                       # where a reaches b, which answers a request with its body
    open_streams: list[asyncio.StreamWriter] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: Any = None, *, status: int | None = None) -> Any:
        """The API's answer to a request; asserts its status where one is given."""
        async with self.http.request(method, self.api + path, json=body) as reply:
            text = await reply.text()
            if status is not None:
                assert reply.status == status, (method, path, reply.status, text)
            return None if not text else await reply.json()

    async def raw_proxy(self, *toxics: dict[str, Any], name: str = "raw") -> int:
        """A proxy of the user's own before the raw echo, with these toxics; its port."""
        made = await self.ask("POST", "/proxies", {"name": name, "upstream": self.raw}, status=201)
        for toxic in toxics:
            await self.ask("POST", f"/proxies/{name}/toxics", toxic, status=200)
        return int(made["listen"].rpartition(":")[2])

    async def connect(self, port: int) -> Talk:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.open_streams.append(writer)
        return Talk(reader, writer)


@dataclass
class Talk:
    """A connection of a test's own."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def echo(self, data: bytes) -> float:
        """Send, and read as much back; how long it took, in seconds."""
        began = time.monotonic()
        self.writer.write(data)
        assert await self.reader.readexactly(len(data)) == data
        return time.monotonic() - began

    async def post(self, body: bytes, *, within_s: float = DEADLINE_S) -> bytes | None:
        """Ask b over HTTP; None when no answer comes in time."""
        self.writer.write(HTTP % (len(body), body))
        try:
            async with asyncio.timeout(within_s):
                head = await self.reader.readuntil(b"\r\n\r\n")
                return await self.reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        except TimeoutError:
            return None

    async def ended(self) -> str:
        """How the connection ends: `closed` or `reset`."""
        try:
            await self.reader.read()
        except ConnectionResetError:
            return "reset"
        return "closed"


@contextlib.asynccontextmanager
async def _running() -> AsyncIterator[World]:
    async def echo_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
                writer.write(REPLY % (len(body), body))
        writer.close()

    async def echo_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
        writer.close()

    server = ProxyServer(seed=1)
    http = await asyncio.start_server(echo_http, "127.0.0.1", 0)
    raw = await asyncio.start_server(echo_raw, "127.0.0.1", 0)
    await server.open([("a", "b")])
    server.set_target("b", http.sockets[0].getsockname()[:2])
    proxies = Proxies(server, seed=1)
    runner = web.AppRunner(toxiproxy_application(proxies), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        world = World(
            server, f"http://127.0.0.1:{runner.addresses[0][1]}", session,
            "{}:{}".format(*raw.sockets[0].getsockname()[:2]), server.ports()["a"]["b"],
        )  # fmt: skip
        try:
            yield world
        finally:
            proxies.close()
            await server.close()
            for listener in (http, raw):
                listener.close()
            for writer in world.open_streams:
                writer.transport.abort()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            await runner.cleanup()


def run(check: Callable[[World], Awaitable[None]]) -> None:
    """Run a check in a world of its own, on the loop the proxy runs on."""

    async def main() -> None:
        async with asyncio.timeout(DEADLINE_S), _running() as world:
            await check(world)

    uvloop.run(main())
