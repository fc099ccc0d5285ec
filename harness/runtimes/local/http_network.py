"""The `Network` port over HTTP: an aiohttp server for what comes in, a pooled client and outboxes for what goes out.

Every peer is reached at its own address, which is the fault proxy's port for that directed link. Nothing here knows of
faults: what the proxy does to bytes is all a role can notice.
"""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from harness.ports import OPERATOR, Handler, Json, PortError, Refused, Unreachable
from harness.runtimes.local import wire
from harness.runtimes.local.outbox import Outbox
from harness.runtimes.lying import ReplyDropped

HOST = "127.0.0.1"
CONNECTIONS_PER_PEER_MAX = 64
INBOX_MAX = 4096           # one-way messages being handled at once; more are lost
KEEPALIVE_S = 3600.0       # connections live as long as the run, so that a fault meets existing ones
CLOSE_TIMEOUT_S = 0.1      # aiohttp waits so long for idle connections too, and a role that ends owes no answer
REPLY_DROPPED_S = 10.0     # how long a caller may wait for an answer that a fault has dropped

ProblemReport = Callable[[str, str], None]
"""`report(what, detail)`: something went wrong that no port can express."""


class HttpNetwork:
    """A role's place in the network. `open` before use, `close` at the end; both from the role's own loop."""

    def __init__(
        self, name: str, peers: Mapping[str, tuple[str, int]], *, report: ProblemReport, host: str = HOST,
        port: int = 0,
    ) -> None:  # fmt: skip
        """`host` and `port` are where to listen; port 0 lets the system choose."""
        self._name = name
        self._place = (host, port)
        self._peers = dict(peers)
        self._report = report
        self._handler: Handler | None = None
        self._outboxes: dict[str, Outbox] = {}
        self._inbox: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self.wrap: Callable[[Handler], Handler] = lambda handler: handler
        """Put round the role's handler when it serves: what a fault makes of its answers."""
        self.lost_incoming = 0
        """Messages that came before `serve` or while the inbox was full."""

    @property
    def name(self) -> str:
        return self._name

    def reach(self, peers: Mapping[str, tuple[str, int]]) -> None:
        """Where the peers are, for a network that was opened before that was known."""
        self._peers.update(peers)

    async def open(self) -> int:
        """Start listening; returns the port."""
        loop = asyncio.get_running_loop()
        connector = aiohttp.TCPConnector(
            limit=0, limit_per_host=CONNECTIONS_PER_PEER_MAX, keepalive_timeout=KEEPALIVE_S, use_dns_cache=False
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            headers={wire.SENDER: self._name},
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._server = web.Server(
            self._answer, request_factory=_bounded_request, keepalive_timeout=KEEPALIVE_S, access_log=None
        )
        # A socket made here saves the look-up of the host, for which the loop would start threads in every process.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(self._place)
            port = int(listening.getsockname()[1])
            self._listener = await loop.create_server(self._server, sock=listening)
        except BaseException:
            listening.close()
            raise
        return port

    async def close(self) -> None:
        """Stop listening, drop what is queued, cancel what is being handled; bounded."""
        if self._listener is not None:
            self._listener.close()
        for outbox in self._outboxes.values():
            outbox.close()
        for task in list(self._inbox):
            task.cancel()
        if self._server is not None:
            await self._server.shutdown(CLOSE_TIMEOUT_S)
        if self._session is not None:
            await self._session.close()

    def serve(self, handler: Handler) -> None:
        if self._handler is not None:
            raise RuntimeError(f"{self._name} already serves; `serve` is called once")
        self._handler = self.wrap(handler)

    async def obey(self, kind: str, payload: Json) -> Json:
        """Hand the role an order, which comes over no link. Raises `Unreachable` while it does not serve."""
        if self._handler is None:
            raise Unreachable(f"{self._name} serves nobody yet")
        return await self._handler(OPERATOR, kind, payload)

    def stats(self) -> dict[str, int]:
        """Messages this role lost by itself, without any fault of a link."""
        return {
            "lost_incoming": self.lost_incoming,
            "dropped_outgoing": sum(outbox.dropped for outbox in self._outboxes.values()),
        }

    # ------------------------------------------------------------------ out

    def send(self, to: str, kind: str, payload: Json) -> None:
        body = wire.encode(kind, payload)
        outbox = self._outboxes.get(to)
        if outbox is None:
            outbox = self._outboxes[to] = Outbox(self._address(to))
        outbox.put(wire.one_way_request(self._name, kind, body))

    async def request(self, to: str, kind: str, payload: Json, *, timeout: float) -> Json:
        if self._session is None:
            raise Unreachable(f"{self._name}: the network is not open")
        body = wire.encode(kind, payload)
        host, port = self._address(to)
        headers = {wire.KIND: kind}
        try:
            async with (
                asyncio.timeout(timeout),
                self._session.post(f"http://{host}:{port}{wire.REQUEST}", data=body, headers=headers) as reply,
            ):
                answer = await reply.read()
                status = reply.status
        except TimeoutError as error:
            raise Unreachable(f"{to} did not answer {kind!r} within {timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{to} could not be asked {kind!r}: {type(error).__name__}: {error}") from error
        if status == wire.REFUSED:
            raise Refused(orjson.loads(answer))
        return orjson.loads(answer)

    def _address(self, to: str) -> tuple[str, int]:
        try:
            return self._peers[to]
        except KeyError:
            raise Unreachable(f"{self._name} has no link to {to!r}; its peers are {sorted(self._peers)}") from None

    # ------------------------------------------------------------------ in

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        sender, kind = request.headers.get(wire.SENDER, ""), request.headers.get(wire.KIND, "")
        if request.path == wire.SEND:
            self._accept(sender, kind, body)
            return web.Response(status=wire.ACCEPTED)
        if kind == wire.PING:
            return _reply(wire.ANSWERED, {"pong": self._name})
        if self._handler is None or sender == OPERATOR:
            return self._lose(request)
        try:
            return _reply(wire.ANSWERED, await self._handler(sender, kind, orjson.loads(body)))
        except Refused as refusal:
            return _reply(wire.REFUSED, refusal.args[0] if refusal.args else "refused")
        except ReplyDropped:
            await asyncio.sleep(REPLY_DROPPED_S)
            return self._lose(request)
        except PortError:
            return self._lose(request)  # the world failed the handler; its caller sees a broken-off connection
        except Exception:
            self._report(f"handling {kind!r} from {sender}", traceback.format_exc())
            return self._lose(request)

    def _lose(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer nothing: the caller's connection is reset and it learns only that no reply came."""
        self.lost_incoming += 1
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=wire.ACCEPTED)

    def _accept(self, sender: str, kind: str, body: bytes) -> None:
        if kind == wire.PING:
            return
        if self._handler is None or sender == OPERATOR or len(self._inbox) >= INBOX_MAX:
            self.lost_incoming += 1
            return
        # Tasks start in the order they are made, so messages of one sender are begun in the order they came.
        task = asyncio.get_running_loop().create_task(
            self._handle(self._handler(sender, kind, orjson.loads(body)), sender, kind)
        )
        self._inbox.add(task)
        task.add_done_callback(self._inbox.discard)

    async def _handle(self, handling: Coroutine[Any, Any, Json] | Any, sender: str, kind: str) -> None:
        try:
            await handling
        except PortError:
            pass  # nobody waits for the refusal of a one-way message
        except Exception:
            self._report(f"handling {kind!r} from {sender}", traceback.format_exc())


def _reply(status: int, value: Json) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status)


def _bounded_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=wire.BODY_BYTES_MAX)
