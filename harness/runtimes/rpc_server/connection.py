"""One client's TCP connection: HTTP requests in their order, or a WebSocket, within the bounds of `limits`.

A connection answers one request at a time, so a client gains nothing by asking many at once; what it sends meanwhile
is read ahead a little and then left in the kernel.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import httptools

from harness.roles.jsonrpc.service import Asker
from harness.runtimes.rpc_server import limits
from harness.runtimes.rpc_server.origins import PREFLIGHT, cross_origin_headers, is_welcome
from harness.runtimes.rpc_server.websocket import WebSocket

if TYPE_CHECKING:
    from harness.runtimes.rpc_server.server import RpcServer

_PHRASES = {
    200: b"OK", 204: b"No Content", 400: b"Bad Request", 403: b"Forbidden", 405: b"Method Not Allowed",
    413: b"Content Too Large", 431: b"Request Header Fields Too Large", 503: b"Service Unavailable",
}  # fmt: skip
_JSON = b"application/json"
_TEXT = b"text/plain; charset=utf-8"


@dataclass(slots=True)
class _Request:
    body: bytes
    method: bytes = b"POST"
    origin: bytes | None = None
    keep_alive: bool = True


class Connection(asyncio.Protocol):
    """Made by the server for each client; gone with its transport."""

    def __init__(self, server: RpcServer) -> None:
        self.server = server
        self.deadline: float | None = None
        """Loop time by which something has to have happened; None for a WebSocket, which may be silent for ever."""
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._websocket: WebSocket | None = None
        self._asker = Asker()
        self._queue: deque[_Request] = deque()
        self._working: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._holders: dict[object, None] = {}
        self.is_closing = False
        self._may_be_prompt = True
        self._start_request()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is one, and does not inherit it
        transport.set_write_buffer_limits(high=limits.WRITE_BUFFER_HIGH)
        self._expect(limits.HEAD_TIMEOUT_S)
        if not self.server.admit(self):
            self._refuse(503, b"this node has too many connections; close some")

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closing = True
        if self._working is not None:
            self._working.cancel()
        if self._websocket is not None:
            self._websocket.close()
        self.server.forget(self, self._websocket)

    def pause_writing(self) -> None:
        self._writable.clear()
        self._expect(limits.UNREAD_TIMEOUT_S)

    def resume_writing(self) -> None:
        self._writable.set()
        self._expect(None if self._websocket is not None else limits.IDLE_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        if self.is_closing:
            return
        self._may_be_prompt = True
        if self._websocket is not None:
            self._websocket.receive(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, b"this is not HTTP; send JSON-RPC as POST, or open a WebSocket")

    # -- httptools

    def _start_request(self) -> None:
        self._body: list[bytes] = []
        self._body_bytes = self._head_bytes = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._origin: bytes | None = None

    def on_message_begin(self) -> None:
        self._start_request()
        self._expect(limits.HEAD_TIMEOUT_S)

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4)
        name = name.lower()
        self._headers.append((name, value))
        if name == b"origin":
            self._origin = value
        elif name == b"expect" and value.lower() == b"100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif name == b"content-length" and int(value) > limits.BODY_BYTES_MAX:  # digits: the parser has checked that
            self._refuse_body()

    def on_headers_complete(self) -> None:
        self._expect(limits.BODY_TIMEOUT_S)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > limits.BODY_BYTES_MAX:
            self._refuse_body()
        elif not self.is_closing:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self.is_closing or self._parser.should_upgrade():
            return
        self._expect(limits.IDLE_TIMEOUT_S)
        request = _Request(
            b"".join(self._body), self._parser.get_method(), self._origin, self._parser.should_keep_alive()
        )
        if request.method == b"POST" and is_welcome(request.origin):
            answer = self._prompt_answer(request.body)
            if answer is not None:
                self._respond(200, answer, request)
                return
        self._put(request)

    def _prompt_answer(self, body: bytes) -> bytes | None:
        """A reply that is at hand, without a task; for the first request of what came: many still take turns."""
        if not self._may_be_prompt or self._working is not None or self._queue or not self._writable.is_set():
            return None
        self._may_be_prompt = False
        return self.server.answer_now(body)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > limits.HEAD_BYTES_MAX:
            self._refuse(431, b"headers of more than %d bytes" % limits.HEAD_BYTES_MAX)

    def _refuse_body(self) -> None:
        self._refuse(413, b"a body of more than %d bytes; send smaller batches" % limits.BODY_BYTES_MAX)

    # -- WebSocket

    def _upgrade(self, rest: bytes) -> None:
        if self.is_closing:
            return
        if not is_welcome(self._origin):
            self._refuse(403, b"pages of this origin may not speak to the node; it serves those of this machine")
            return
        head = b"%b / HTTP/1.1\r\n" % self._parser.get_method()
        head += b"".join(b"%b: %b\r\n" % header for header in self._headers) + b"\r\n"
        self._expect(None)
        self._websocket = WebSocket(self)
        self._websocket.open(head, rest)

    def queue(self, message: bytes) -> None:
        """A whole message came over the WebSocket."""
        answer = self._prompt_answer(message)
        if answer is not None and self._websocket is not None:
            self._websocket.reply(answer)
            return
        self._put(_Request(message))

    # -- answering

    def _put(self, request: _Request) -> None:
        self._queue.append(request)
        if len(self._queue) >= limits.QUEUED_MAX:
            self.hold_reading(self._queue, is_held=True)
        if self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Answer what is queued, in order; ends when nothing is."""
        while self._queue and not self.is_closing:
            await self._writable.wait()
            request = self._queue.popleft()
            if len(self._queue) < limits.QUEUED_MAX // 2:
                self.hold_reading(self._queue, is_held=False)
            if self._websocket is not None:
                await self._answer_message(self._websocket, request.body)
            else:
                await self._answer_request(request)
        self._working = None

    async def _answer_message(self, websocket: WebSocket, body: bytes) -> None:
        answer = await self.server.answer(body, websocket)
        if answer is None:
            return
        websocket.reply(answer)
        if answer.startswith(b'{"jsonrpc":"2.0","id":null,"error"'):
            websocket.note_fault()

    async def _answer_request(self, request: _Request) -> None:
        if not is_welcome(request.origin):
            self._respond(403, b"pages of this origin may not speak to the node; it serves those of this machine",
                          request, kind=_TEXT)
        elif request.method == b"POST":
            answer = await self.server.answer(request.body, self._asker)
            self._respond(204 if answer is None else 200, answer or b"", request)
        elif request.method == b"OPTIONS":
            self._respond(204, b"", request, extra=PREFLIGHT)
        elif request.method in (b"GET", b"HEAD"):
            told = b"" if request.method == b"HEAD" else b"JSON-RPC: POST a request here, or open a WebSocket.\n"
            self._respond(200, told, request, kind=_TEXT)
        else:
            self._respond(405, b"POST a JSON-RPC request\n", request, kind=_TEXT)

    def _respond(
        self, status: int, body: bytes, request: _Request, *, kind: bytes = _JSON, extra: bytes = b""
    ) -> None:
        ending = b"" if request.keep_alive else b"Connection: close\r\n"
        more = extra + cross_origin_headers(request.origin) + ending
        self.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b"
            % (status, _PHRASES[status], kind, len(body), more, body)
        )
        if not request.keep_alive:
            self.close()

    def _refuse(self, status: int, why: bytes) -> None:
        """Say why: what follows on this connection cannot be understood or is not wanted."""
        if not self.is_closing:
            self._respond(status, why + b"\n", _Request(b""), kind=_TEXT, extra=b"Connection: close\r\n")
            self.punish(f"answered {status}")

    # -- bytes and deadlines

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def unread_bytes(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def hold_reading(self, holder: object, *, is_held: bool) -> None:
        """Leave input in the kernel while anybody wants that."""
        was_held = bool(self._holders)
        key = id(holder)
        if is_held:
            self._holders[key] = None
        else:
            self._holders.pop(key, None)
        if self._transport is None or self._transport.is_closing() or was_held == bool(self._holders):
            return
        if self._holders:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """Close once what was written is sent; a client that does not read it is cut off by its deadline."""
        self.is_closing = True
        self._expect(limits.UNREAD_TIMEOUT_S)
        if self._transport is not None:
            self._transport.close()

    def abort(self, why: str) -> None:
        self.is_closing = True
        self.server.note_dropped(why)
        if self._transport is not None:
            self._transport.abort()

    def punish(self, why: str) -> None:
        """Hear and say nothing more, and leave the connection lying a while before it is cut off."""
        self.is_closing = True
        self.server.note_dropped(why)
        self._queue.clear()
        self.hold_reading(self, is_held=True)
        self._expect(limits.PENALTY_S)

    def say_goodbye(self) -> None:
        """The node is stopping."""
        if self._websocket is not None:
            self._websocket.say_goodbye()
        self.close()

    def _expect(self, seconds: float | None) -> None:
        self.deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
