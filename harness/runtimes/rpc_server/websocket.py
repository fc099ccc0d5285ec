"""One WebSocket client: messages in, replies and notifications out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from harness.runtimes.rpc_server import limits

if TYPE_CHECKING:
    from harness.runtimes.rpc_server.connection import Connection


_CLIENTS_FAULTS = (CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_DATA, CloseCode.MESSAGE_TOO_BIG)


class WebSocket:
    """The `RpcSession` of a connection that was upgraded; its `Connection` keeps order and bounds."""

    can_notify = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._protocol = ServerProtocol(max_size=limits.BODY_BYTES_MAX)
        self._parts: list[bytes] = []
        self._backlog = bytearray()
        self._draining: asyncio.Task[None] | None = None
        self._faults = 0
        self._control_since, self._control_frames = 0.0, 0

    # -- RpcSession

    def notify(self, message: bytes) -> None:
        self._send(message)
        if self._connection.unread_bytes() > limits.NOTIFY_BUFFER_MAX:
            self._connection.abort("does not read its notifications")

    def drop(self, reason: str) -> None:
        self._fail(CloseCode.TRY_AGAIN_LATER, reason)

    # -- the connection's side

    def open(self, head: bytes, rest: bytes) -> None:
        """Answer the handshake, and read on."""
        self._protocol.receive_data(head)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
        self._flush()
        if rest:
            self.receive(rest)

    def receive(self, data: bytes) -> None:
        """Take input; much of it at once is parsed slice by slice, in turn with other clients'."""
        if self._draining is None and len(data) <= limits.SLICE_BYTES:
            self._parse(data)
            return
        self._backlog += data
        self._connection.hold_reading(self, is_held=True)
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    def reply(self, message: bytes) -> None:
        self._send(message)

    def note_fault(self) -> None:
        """The client sent what is no request; nobody does that for long by mistake."""
        self._faults += 1
        if self._faults > limits.FAULTS_MAX:
            why = f"more than {limits.FAULTS_MAX} messages were no JSON-RPC requests"
            if self._protocol.state is State.OPEN:
                self._protocol.fail(CloseCode.POLICY_VIOLATION, why)
                self._flush(may_close=False)
            self._connection.punish(why)

    def close(self) -> None:
        if self._draining is not None:
            self._draining.cancel()

    def say_goodbye(self) -> None:
        self._fail(CloseCode.GOING_AWAY, "the node is stopping")

    # -- inside

    async def _drain(self) -> None:
        while self._backlog and not self._connection.is_closing:
            async with self._connection.server.gate.piece():
                piece = bytes(self._backlog[:limits.SLICE_BYTES])
                del self._backlog[:limits.SLICE_BYTES]
                self._parse(piece)
        self._draining = None
        self._connection.hold_reading(self, is_held=False)

    def _parse(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take(event)
        self._flush()

    def _take(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._count_control_frame()
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            message, self._parts = b"".join(self._parts), []
            self._connection.queue(message)

    def _count_control_frame(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._control_since >= 1:
            self._control_since, self._control_frames = now, 0
        self._control_frames += 1
        if self._control_frames > limits.CONTROL_FRAMES_PER_S:
            self._connection.punish(f"more than {limits.CONTROL_FRAMES_PER_S} pings a second")

    def _send(self, message: bytes) -> None:
        try:
            self._protocol.send_text(message)
        except InvalidState:
            return  # it is closing, and hears nothing any more
        self._flush()

    def _fail(self, code: CloseCode, reason: str) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.fail(code, reason[:120])
        self._flush()
        self._connection.close()

    def _flush(self, *, may_close: bool = True) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._connection.write(data)
            elif may_close:
                self._end()

    def _end(self) -> None:
        """Nothing more will be sent. Closing at once on what the client still sends would lose it the reason."""
        sent = self._protocol.close_sent
        if sent is not None and sent.code in _CLIENTS_FAULTS:
            self._connection.punish(f"closed with {sent.code}")
        else:
            self._connection.close()
