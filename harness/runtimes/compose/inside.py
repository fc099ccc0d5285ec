"""What runs in a container, once `start` has imported it: a role, or the proxy in the middle.

A role calls the switchboard, which is all it can reach, and is told to begin by whoever drives the network: the
harness, or by hand (`HARNESS_BEGIN=alone`) the proxy's container itself. Where the driver is gone for good, all end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import traceback
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from harness.proxy.config import PROXY
from harness.runtimes.compose.cargo import Cargo, unpack
from harness.runtimes.compose.layout import ALONE, BEGIN, HARNESS, SWITCHBOARD_PORT
from harness.runtimes.compose.switchboard import JOINED, Switchboard, set_user_timeout
from harness.runtimes.local.control_channel import LINE_BYTES_MAX
from harness.runtimes.local.role_process import RoleProcess

RETRY_S = 0.1
CALL_TIMEOUT_S = 5.0
UNDRIVEN_S = 60.0
"""A role that can call and is not answered for so long has lost its driver for good, and ends."""
UNHEARD_S = 900.0
"""A role that can not even call for so long has lost the proxy for good, and ends; faults are shorter."""
NAMES_TIMEOUT_S = 60.0
UNTOLD_MAX = 2000
"""Messages to the driver that wait while it can not be told; the oldest go first."""


class ContainedRole(RoleProcess):
    """A role whose runtime is at the other end of the switchboard."""

    def __init__(self, cargo: Cargo, name: str) -> None:
        super().__init__(cargo.world, name)
        self._place = (cargo.layout.seat(name).proxy_address, SWITCHBOARD_PORT)
        self._untold: deque[dict[str, Any]] = deque(maxlen=UNTOLD_MAX)

    async def run_contained(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        reader = await self._call()
        return 0 if reader is None else await self._live(reader)

    async def _regain(self) -> asyncio.StreamReader | None:
        self._writer = None
        reader = await self._call()
        if reader is not None and self._ready is not None:
            self._tell(self._ready)
            while self._untold:
                self._tell(self._untold.popleft())
        return reader

    def _tell(self, message: dict[str, Any]) -> None:
        if self._writer is None or self._writer.is_closing():
            if "event" in message and message is not self._ready:
                self._untold.append(message)
        else:
            super()._tell(message)

    async def _call(self) -> asyncio.StreamReader | None:
        """Call until joined with a driver; None when there is none any more."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        undriven: float | None = None  # since when we could be heard and nobody wanted us
        while loop.time() - heard < UNHEARD_S and (undriven is None or loop.time() - undriven < UNDRIVEN_S):
            writer: asyncio.StreamWriter | None = None
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    reader, writer = await asyncio.open_connection(*self._place, limit=LINE_BYTES_MAX)
                set_user_timeout(writer)
                heard = loop.time()
                undriven = heard if undriven is None else undriven
                async with asyncio.timeout(UNDRIVEN_S):
                    if await reader.readline() == JOINED:
                        self._writer = writer
                        return reader
            except (OSError, TimeoutError):
                undriven = undriven if writer is not None else None
            if writer is not None:
                writer.transport.abort()
            await asyncio.sleep(RETRY_S)
        return None


async def _serve_proxy(cargo: Cargo) -> None:
    """The fault proxy, the switchboard, and where nobody else drives the network, its driver."""
    # Imported here: the roles have no use for it.
    from harness.proxy.process import serve_proxy
    from harness.runtimes.compose.alone import drive_alone
    from harness.runtimes.compose.layout import CONTROL_PORT

    layout = cargo.layout
    await _wait_for_names([seat.proxy_address for seat in layout.seats])
    board = Switchboard(cargo.secret)
    with socket.create_server((layout.edge_address, CONTROL_PORT), backlog=128) as control:
        await board.open(
            {seat.role: (seat.proxy_address, SWITCHBOARD_PORT) for seat in layout.seats},
            (layout.edge_address, SWITCHBOARD_PORT),
        )
        serving = asyncio.ensure_future(serve_proxy(cargo.world.proxy, control))
        beside = asyncio.ensure_future(
            drive_alone(cargo) if os.environ.get(BEGIN, ALONE) == ALONE else _until_abandoned(board)
        )
        try:
            await asyncio.wait([serving, beside], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (serving, beside):
                task.cancel()
            await board.close()
        for task in (serving, beside):
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _wait_for_names(hosts: Sequence[str]) -> None:
    """Until all of our own names are known, which in a swarm is some time after we start; addresses are at once."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(NAMES_TIMEOUT_S):
        for host in hosts:
            while True:
                try:
                    await loop.getaddrinfo(host, None)
                    break
                except OSError:
                    await asyncio.sleep(RETRY_S)


async def _until_abandoned(board: Switchboard) -> None:
    """Until nobody has driven any role for longer than roles wait for a driver."""
    patience_s = UNDRIVEN_S * 2
    while True:
        await board.abandoned.wait()
        try:
            async with asyncio.timeout(patience_s):
                await board.driven.wait()
        except TimeoutError:
            print("nobody has driven this network for a while; it ends", flush=True)
            return


def _log_to(file: Path) -> None:
    """From here on the output goes to a file that outlives the container; by hand it stays with the engine's logs."""
    if os.environ.get(BEGIN, ALONE) == HARNESS:
        log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)


def run(name: str) -> int:
    """Be that role, or the proxy, to the end; the exit code."""
    cargo = unpack()
    _log_to(cargo.world.log_of(name))
    try:
        if name == PROXY:
            from harness.proxy.process import raise_descriptor_limit
            from harness.runtimes.compose.gateway_address import at_the_edge

            raise_descriptor_limit()
            cargo = at_the_edge(cargo)
            uvloop.run(_serve_proxy(cargo))
            return 0
        return uvloop.run(ContainedRole(cargo, name).run_contained())
    except BaseException:
        traceback.print_exc()
        raise

