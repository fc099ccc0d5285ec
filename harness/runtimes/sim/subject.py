"""The simulator as the conformance checks see it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from harness.ports import Clock, FaultControl, Random, Store
from harness.roles.context import Role, RoleContext, RoleFactory
from harness.runtimes.conformance.echo import echo_factory, echo_plan
from harness.runtimes.conformance.subject import Peers
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.clock import SimClock
from harness.runtimes.sim.loop import run_virtual, virtual_loop
from harness.runtimes.sim.runtime import SimRuntime
from harness.runtimes.sim.store import MemDisk

GENESIS = 1_700_000_000


class _IdleRole:
    async def run(self) -> None:
        await asyncio.Event().wait()


def _idle(context: RoleContext) -> Role:
    return _IdleRole()


class _NoHistory:
    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        return


class SimUnderTest:
    """A `RuntimeUnderTest` in virtual time."""

    name = "sim"

    def __init__(self) -> None:
        self._disks: dict[int, MemDisk] = {}

    def execute(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        run_virtual(main(), KeyedRandom(1))

    def clock(self) -> Clock:
        return SimClock(virtual_loop(), genesis_ns=GENESIS * 10**9)

    def random(self, seed: int) -> Random:
        return KeyedRandom(seed)

    def store(self) -> Store:
        disk = MemDisk()
        store = disk.mount()
        self._disks[id(store)] = disk
        return store

    def crash_and_reopen(self, store: Store) -> Store:
        disk = self._disks[id(store)]
        reopened = disk.mount()
        self._disks[id(reopened)] = disk
        return reopened

    @contextlib.asynccontextmanager
    async def peers(self, names: Sequence[str]) -> AsyncIterator[Peers]:
        async with self._booted(names, _idle) as runtime:
            yield Peers({name: runtime.network_of(name) for name in names}, runtime)

    @contextlib.asynccontextmanager
    async def world(self, names: Sequence[str]) -> AsyncIterator[FaultControl]:
        async with self._booted(names, echo_factory) as runtime:
            yield runtime

    @contextlib.asynccontextmanager
    async def _booted(self, names: Sequence[str], factory: RoleFactory) -> AsyncIterator[SimRuntime]:
        runtime = SimRuntime(echo_plan(names), factory, _NoHistory(), genesis_timestamp=GENESIS)
        await runtime.boot()
        try:
            yield runtime
        finally:
            await runtime.shutdown()
