"""The listening side: accepts clients at a bounded rate, cuts off those who are too slow, and hands requests on."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections import Counter

import orjson

from harness.ports import RpcService, RpcSession
from harness.runtimes.rpc_server import limits
from harness.runtimes.rpc_server.connection import Connection
from harness.runtimes.rpc_server.gate import Gate
from harness.runtimes.rpc_server.websocket import WebSocket

_BACKLOG = 4_096
"""The kernel's own maximum is usual. Where it is reached, a client tries again after 1, 3, 7 … s: a minute is soon
gone, so the queue has to be emptied faster than a flood fills it."""
_ACCEPT_INTERVAL_S = 0.004
_NO_DESCRIPTORS_PAUSE_S = 0.1
_STARTING = orjson.dumps(
    {"jsonrpc": "2.0", "id": None, "error": {"code": -32002, "message": "the node is starting; ask again"}}
)


class RpcServer:
    """A node's public port, and its `PublicRpc`. `open` before use, `close` at the end; both from the role's loop."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.dropped: Counter[str] = Counter()
        """Why clients were cut off, and how many; for whoever looks into a node."""
        self._service: RpcService | None = None
        self._served = asyncio.Event()
        self._connections: dict[Connection, None] = {}
        self._listener: socket.socket | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # -- PublicRpc

    def serve(self, service: RpcService) -> None:
        if self._service is not None:
            raise RuntimeError("the node's interface is served already; `serve` is called once")
        self._service = service
        self._served.set()

    # -- life

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port, chosen where 0 was given. Raises OSError where it is taken."""
        _raise_descriptor_limit()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
        self._listener = listener
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._accept(listener)), loop.create_task(self._sweep())]
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        """Stop listening and let every client go. Bounded."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            connection.say_goodbye()
        await asyncio.sleep(0)
        for connection in list(self._connections):
            connection.abort("the node stopped")

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        allowed, since = float(limits.ACCEPTED_AT_ONCE), loop.time()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
                allowed -= await self._welcome(client)
                while allowed >= 1:
                    client, _ = listener.accept()
                    allowed -= await self._welcome(client)
            except BlockingIOError:
                pass  # nobody else waits
            except OSError:  # no descriptors left, or the client went away again
                await asyncio.sleep(_NO_DESCRIPTORS_PAUSE_S)
            await asyncio.sleep(_ACCEPT_INTERVAL_S)
            now = loop.time()
            allowed = min(allowed + (now - since) * limits.ACCEPTED_PER_S, limits.ACCEPTED_AT_ONCE)
            since = now

    async def _welcome(self, client: socket.socket) -> float:
        """Begin with a client, unless it has hung up while it waited; what that cost, in handshakes."""
        client.setblocking(False)
        if _is_gone(client):
            client.close()
            return limits.GONE_COST
        with contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: Connection(self), client)
        return 1.0

    async def _sweep(self) -> None:
        """Cut off whoever has let a deadline pass."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(limits.SWEEP_INTERVAL_S)
            now = loop.time()
            for connection in list(self._connections):
                if connection.deadline is not None and connection.deadline < now:
                    connection.abort("too slow, or silent for too long")

    # -- for connections

    def admit(self, connection: Connection) -> bool:
        if len(self._connections) >= limits.CONNECTIONS_MAX:
            return False
        self._connections[connection] = None
        return True

    def forget(self, connection: Connection, websocket: WebSocket | None) -> None:
        self._connections.pop(connection, None)
        if websocket is not None and self._service is not None:
            self._service.closed(websocket)

    def note_dropped(self, why: str) -> None:
        self.dropped[why] += 1

    def answer_now(self, body: bytes) -> bytes | None:
        """The reply where it is at hand."""
        return None if self._service is None else self._service.answer_now(body)

    async def answer(self, body: bytes, session: RpcSession) -> bytes | None:
        if self._service is None and not await self._has_begun():
            return _STARTING
        assert self._service is not None
        if len(body) < limits.HEAVY_BYTES:
            return await self._service.answer(body, session)
        async with self.gate.piece():
            pass  # the loop is others' between this large body and the one before
        return await self._service.answer(body, session)

    async def _has_begun(self) -> bool:
        """Wait a while for a node that recovers: a client that came early would only ask again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.START_TIMEOUT_S):
                await self._served.wait()
        return self._service is not None


def _is_gone(client: socket.socket) -> bool:
    """Whether a client has hung up already, or its connection is broken."""
    try:
        return not client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False  # it is there, and silent
    except OSError:
        return True


def _raise_descriptor_limit() -> None:
    """A thousand clients are more than the usual soft limit of descriptors."""
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = limits.CONNECTIONS_MAX + 1_024
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
