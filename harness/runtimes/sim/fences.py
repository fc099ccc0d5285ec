"""What code inside the simulation must not reach: real threads, sockets, signals, processes and name look-ups."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any, NoReturn

FENCED = (
    "add_reader", "remove_reader", "add_writer", "remove_writer", "add_signal_handler", "remove_signal_handler",
    "create_connection", "create_server", "create_unix_connection", "create_unix_server", "create_datagram_endpoint",
    "connect_accepted_socket", "connect_read_pipe", "connect_write_pipe", "start_tls", "sendfile",
    "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_sendto",
    "sock_connect", "sock_accept", "sock_sendfile", "subprocess_exec", "subprocess_shell", "getaddrinfo", "getnameinfo",
)  # fmt: skip
"""Methods of an event loop that would let the outside world decide what happens when."""


class FenceError(RuntimeError):
    """Code inside the simulation reached for the outside world, which would make the run depend on it."""


def outside_world(what: str) -> NoReturn:
    """Raise `FenceError` naming the call that was made and where."""
    raise FenceError(
        f"{what} was called inside the simulation, at {call_site()}; "
        "roles reach the world only through their ports (Clock, Network, Engine, Store)"
    )


def call_site() -> str:
    """`file:line in function` of the innermost frame that is neither asyncio's nor the simulator's."""
    own = __file__.rpartition("/")[0]
    library = asyncio.__file__.rpartition("/")[0]
    for frame in reversed(traceback.extract_stack()):
        folder = frame.filename.rpartition("/")[0]
        if folder not in (own, library) and not frame.filename.endswith("/contextvars.py"):
            return f"{frame.filename}:{frame.lineno} in {frame.name}"
    return "an unknown place"


class FencedLoop(asyncio.AbstractEventLoop):
    """An event loop without a world outside: every method of `FENCED` raises `FenceError`."""


def _fence(name: str) -> Any:
    def fenced(self: FencedLoop, *args: object, **kwargs: object) -> NoReturn:
        outside_world(f"loop.{name}()")

    fenced.__name__ = name
    return fenced


for _name in FENCED:
    setattr(FencedLoop, _name, _fence(_name))
