"""A listening socket that can be shut and opened again without losing its port to somebody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

HOST = "127.0.0.1"
BACKLOG = 1024
"""Connections the kernel keeps for a loop that is busy; a caller who finds no room tries again after 1, 3, 7 … s."""


class Door:
    """Where connections over one link are accepted. Only the proxy's loop may call it."""

    def __init__(self, protocol: Callable[[], asyncio.Protocol], *, host: str = HOST) -> None:
        self._protocol = protocol
        self.host = host
        self._server: asyncio.Server | None = None
        self._reservation: socket.socket | None = None
        self.port = 0

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def open(self, port: int = 0) -> int:
        """Listen, by default where the system chooses; the port. Raises OSError, for instance when it is taken."""
        self.close()
        # A socket made here saves the loop the look-up of an address, which for hundreds of links is half the work.
        listener = _bound(self.host, port)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._protocol, sock=listener, backlog=BACKLOG
            )
        except BaseException:
            listener.close()
            raise
        self.port = int(listener.getsockname()[1])
        return self.port

    async def reopen(self) -> None:
        """Listen where it listened before. Raises OSError when somebody has taken the port meanwhile."""
        if not self.is_open:
            await self.open(self.port)

    def shut(self) -> None:
        """Refuse connections, and keep the port."""
        if self.is_open:
            self.close()
            self._reservation = _bound(self.host, self.port)

    def close(self) -> None:
        """Stop listening, and give the port back."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port whose old connections linger is free; one that somebody listens on is not.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound
