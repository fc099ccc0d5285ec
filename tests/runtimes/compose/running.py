"""A network of containers that stays up while several tests look at it, each from a plain function."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.runtimes.compose.runtime import ComposeRuntime
from harness.runtimes.conformance.echo import echo_factory, echo_plan

T = TypeVar("T")
GENESIS = 1_700_000_000
DEADLINE_S = 120.0


class Running:
    """A booted `ComposeRuntime` of echo roles whose loop is in a thread of its own."""

    def __init__(self, names: Sequence[str], folder: Path, network: str) -> None:
        self.folder = folder
        self.names = tuple(names)
        self._network = network
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="running", daemon=True)

    def __enter__(self) -> Running:
        self._thread.start()
        self.do(self._boot())
        return self

    async def _boot(self) -> None:
        self.runtime = ComposeRuntime(
            echo_plan(self.names), echo_factory, folder=self.folder, genesis_timestamp=GENESIS, network=self._network
        )
        try:
            await self.runtime.boot()
        except BaseException:
            await self.runtime.shutdown()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            if hasattr(self, "runtime"):
                self.do(self.runtime.shutdown())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(DEADLINE_S)
            self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the network's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def inside(self, service: str, code: str, *, user: str = "") -> str:
        """Run Python in a container; what it printed. Fails with its output if it does not end well."""
        container = self.runtime.engine.client.containers.get(self.runtime.container_of(service))
        done = container.exec_run(["python", "-I", "-c", code], user=user)
        assert done.exit_code == 0, done.output.decode()
        return str(done.output.decode().strip())

    def answers(self, src: str, dst: str, *, within_s: float = 20.0) -> bool:
        """Whether dst answers src's probe before the deadline."""

        async def ask() -> bool:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + within_s
            while loop.time() < deadline:
                if await self.runtime.probe(src, dst, timeout=1.0) is not None:
                    return True
                await asyncio.sleep(0.1)
            return False

        return self.do(ask())


@contextlib.contextmanager
def running(*names: str, network: str = "test") -> Iterator[Running]:
    folder = Path(tempfile.mkdtemp(prefix="harness-compose-test-"))
    try:
        with Running(names, folder, network) as network_up:
            yield network_up
    finally:
        shutil.rmtree(folder, ignore_errors=True)
