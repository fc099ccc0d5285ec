"""One socket of a proxied connection; knows only its connection and who takes what comes in."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from harness.proxy.connection import Connection

WRITE_BUFFER_BYTES = 1 << 20      # per socket, also before it is connected; above it the other side is no longer read
_LINGER_NOT = struct.pack("ii", 1, 0)


class Endpoint(asyncio.Protocol):
    """One socket of a proxied connection; knows only its pipe and whom to tell."""

    def __init__(self, connection: Connection, *, towards_target: bool) -> None:
        self._connection = connection
        self._towards_target = towards_target
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self._early: list[bytes] = []
        self._early_bytes = 0
        self.feed: Callable[[bytes], None] = (connection.backward if towards_target else connection.forward).feed
        """Who takes what comes in."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES, low=0)
        if self._towards_target:
            early, self._early = self._early, []
            self._connection.pipe_into(self).hold(full_socket=False)
            for data in early:
                self.write(data)
        else:
            self._connection.accepted()

    def data_received(self, data: bytes) -> None:
        self.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._connection.settle()

    def pause_writing(self) -> None:
        self._connection.pipe_into(self).hold(full_socket=True)

    def resume_writing(self) -> None:
        self._connection.pipe_into(self).hold(full_socket=False)

    def write(self, data: bytes) -> None:
        if self.transport is None:
            # Pausing a socket before its first read does not hold in uvloop, so the target's first bytes wait here.
            self._early.append(data)
            self._early_bytes += len(data)
            if self._early_bytes > WRITE_BUFFER_BYTES:
                self._connection.pipe_into(self).hold(full_socket=True)
            self._connection.reach_target()
        elif not self.closed:
            self.transport.write(data)

    def descriptor(self) -> int | None:
        """The socket's, while there is one that has nothing left to write."""
        transport = self.transport
        if transport is None or self.closed or transport.is_closing() or transport.get_write_buffer_size():
            return None
        return cast(int, transport.get_extra_info("socket").fileno())

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def reset(self) -> None:
        """Close so that the peer reads a reset, whatever is still unread or unsent."""
        if self.transport is not None and not self.closed:
            connected = self.transport.get_extra_info("socket")
            if connected is not None:
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self.transport.abort()
