"""The local runtime as the conformance checks see it: real ports through a real proxy, real role processes."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.ports import Clock, FaultControl, LinkCounters, LinkRule, Random, Store
from harness.proxy.server import ProxyServer
from harness.runtimes.conformance.echo import echo_factory, echo_plan
from harness.runtimes.conformance.subject import Peers
from harness.runtimes.local.clock import Epoch, LocalClock
from harness.runtimes.local.http_network import HOST, HttpNetwork
from harness.runtimes.local.runtime import LocalRuntime
from harness.runtimes.local.sqlite_store import SqliteStore
from harness.runtimes.random import KeyedRandom

DEADLINE_S = 60.0
GENESIS = 1_700_000_000


class _ProxyLinks:
    """Links of a proxy in this process."""

    def __init__(self, proxy: ProxyServer) -> None:
        self._proxy = proxy

    async def set_link(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
        self._proxy.set_rules(src, dst, rules)

    async def link_counters(self, src: str, dst: str) -> LinkCounters:
        return self._proxy.counters(src, dst)


class LocalUnderTest:
    """A `RuntimeUnderTest` in real time. Everything it makes is gone when `execute` returns."""

    name = "local"

    def __init__(self, run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run) -> None:
        """`run` brings the event loop; the runtime must do on asyncio's and on uvloop's."""
        self._run = run
        self._folder = Path()
        self._stores: list[tuple[SqliteStore, Path]] = []

    def execute(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(DEADLINE_S):
                await main()

        with tempfile.TemporaryDirectory(prefix="harness-conformance-") as folder:
            self._folder = Path(folder)
            try:
                self._run(bounded())
            finally:
                for store, _ in self._stores:
                    store.close()

    def clock(self) -> Clock:
        return LocalClock(Epoch(GENESIS * 10**9, time.monotonic_ns()))

    def random(self, seed: int) -> Random:
        return KeyedRandom(seed)

    def store(self) -> Store:
        return self._open(self._folder / f"{len(self._stores)}.sqlite")

    def crash_and_reopen(self, store: Store) -> Store:
        """Closes nothing: the next process meets the files as the last one left them, its WAL included."""
        return self._open(next(path for known, path in self._stores if known is store))

    def _open(self, path: Path) -> Store:
        store = SqliteStore(path)
        self._stores.append((store, path))
        return store

    @contextlib.asynccontextmanager
    async def peers(self, names: Sequence[str]) -> AsyncIterator[Peers]:
        proxy = ProxyServer(seed=1)
        problems: list[str] = []
        networks: dict[str, HttpNetwork] = {}
        await proxy.open([(src, dst) for src in names for dst in names if src != dst])
        try:
            for name in names:
                peers = {peer: (HOST, port) for peer, port in proxy.ports()[name].items()}
                networks[name] = HttpNetwork(name, peers, report=lambda what, detail: problems.append(detail))
                proxy.set_target(name, (HOST, await networks[name].open()))
            yield Peers(networks, _ProxyLinks(proxy))
        finally:
            for network in networks.values():
                await network.close()
            await proxy.close()
        assert not problems, problems

    @contextlib.asynccontextmanager
    async def world(self, names: Sequence[str]) -> AsyncIterator[FaultControl]:
        logs = self._folder / "nodes"
        async with LocalRuntime(echo_plan(names), echo_factory, logs=logs, genesis_timestamp=GENESIS) as runtime:
            yield runtime
        assert not runtime.problems, runtime.problems
