"""The `Engine` port over an `AnvilEngine`: inline for the simulator, through one worker thread for real time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from harness.anvil.archive import Archive
from harness.anvil.engine import AnvilEngine, OutOfReach, Question
from harness.ports import EngineFailure
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash

_T = TypeVar("_T")

ASKED_AT_ONCE_MAX = 16
"""Queries that go to the node together; who asks for how many at a time decides how long a block waits for them."""


class InlineEngine:
    """Calls synchronously and never suspends: in virtual time an execution takes no time and nothing interleaves."""

    def __init__(self, engine: AnvilEngine) -> None:
        self.engine = engine

    @property
    def genesis_hash(self) -> Hash:
        return self.engine.genesis_hash

    async def execute(self, inputs: BlockInputs) -> ExecutedBlock:
        return self.engine.execute(inputs)

    async def call(self, to: str, data: bytes, *, at: Hash, sender: str | None = None) -> bytes:
        return self.engine.call(to, data, at=at, sender=sender)

    async def query(self, method: str, params: Sequence[Any], *, at: Hash) -> Any:
        return self.engine.query(method, params, at=at)

    async def replay(self, chain: Sequence[BlockInputs]) -> Sequence[ExecutedBlock]:
        return self.engine.replay(chain)


class ThreadedEngine:
    """Runs every operation on one worker thread, in the order asked; the event loop stays free meanwhile.

    The engine is made on that thread too: the kernel kills a node when the thread that started it ends, and a restart
    happens there. A cancelled caller leaves the operation to finish; the next one waits for it.
    """

    def __init__(self, make: Callable[[], AnvilEngine]) -> None:
        """Blocks until `make` has returned (it starts the node and does not wait for it); raises what it raises."""
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        try:
            self._engine = self._worker.submit(make).result()
        except BaseException:
            self._worker.shutdown(wait=False)
            raise
        self._genesis_hash: Hash | None = None
        self._is_closed = False
        self._librarian: ThreadPoolExecutor | None = None
        self._archive: Archive | None = None
        self._archived: set[Hash] = set()
        self._questions: deque[tuple[Question, asyncio.Future[Any]]] = deque()
        self._is_asking = False

    @property
    def genesis_hash(self) -> Hash:
        """Blocks until the node has booted, the first time; `ready` waits for that without blocking the loop."""
        if self._genesis_hash is None:
            self._genesis_hash = self._worker.submit(lambda: self._engine.genesis_hash).result()
        return self._genesis_hash

    async def ready(self) -> Hash:
        """Wait for the node to boot; the genesis hash."""
        self._genesis_hash = await self._on_worker(lambda: self._engine.genesis_hash)
        return self._genesis_hash

    async def execute(self, inputs: BlockInputs) -> ExecutedBlock:
        return await self._on_worker(lambda: self._engine.execute(inputs))

    async def call(self, to: str, data: bytes, *, at: Hash, sender: str | None = None) -> bytes:
        return await self._on_worker(lambda: self._engine.call(to, data, at=at, sender=sender))

    async def query(self, method: str, params: Sequence[Any], *, at: Hash) -> Any:
        """As `ports.Engine.query`. Those asked while the worker is busy go to the node together."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._questions.append(((method, params, at), answer))
        if not self._is_asking:
            self._ask(loop)
        try:
            return await answer
        except OutOfReach:
            return await self._query_archive(method, params, at)

    async def _query_archive(self, method: str, params: Sequence[Any], at: Hash) -> Any:
        """Ask the second node, on its own thread; a caller that is cancelled leaves it to get there."""
        new = await self._on_worker(lambda: self._engine.lineage(at, known=self._archived))
        if self._librarian is None:
            self._librarian = ThreadPoolExecutor(max_workers=1, thread_name_prefix="archive")

        def ask() -> Any:
            if self._archive is None:
                self._archive = Archive(self._engine.spec, name=self._engine.name, home=self._engine.process.home)
            self._archive.learn(new)
            self._archived.update(block.hash for block in new)
            return self._archive.query(method, params, at=at)

        return await self._on(self._librarian, ask)

    async def replay(self, chain: Sequence[BlockInputs]) -> Sequence[ExecutedBlock]:
        return await self._on_worker(lambda: self._engine.replay(chain))

    async def use(self, operation: Callable[[AnvilEngine], _T]) -> _T:
        """Anything else the engine can do, on its thread and in turn."""
        return await self._on_worker(lambda: operation(self._engine))

    @property
    def pid(self) -> int | None:
        """The node's process id, for whoever injects faults into it."""
        return self._engine.process.pid

    def close(self) -> None:
        """End the node and the thread; waits for an operation under way, which is bounded. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._librarian is not None:
                self._librarian.shutdown(wait=False, cancel_futures=True)
                if self._archive is not None:
                    self._archive.close()   # whatever it is doing fails, and is nothing to wait for
            self._worker.submit(self._engine.close).result()
        finally:
            self._worker.shutdown(wait=True)

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the worker answer what is asked when its turn comes."""
        try:
            self._worker.submit(self._answer, loop)
        except RuntimeError:  # the worker takes no more: `close` was called
            while self._questions:
                _settle(self._questions.popleft()[1], EngineFailure("the engine was closed; its node is gone"))
        else:
            self._is_asking = True

    def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the worker."""
        asked: list[tuple[Question, asyncio.Future[Any]]] = []
        while self._questions and len(asked) < ASKED_AT_ONCE_MAX:
            asked.append(self._questions.popleft())
        answers: Sequence[Any]
        try:
            answers = self._engine.queries([question for question, _ in asked])
        except BaseException as error:
            answers = [error] * len(asked)
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(self._hand_out, loop, [future for _, future in asked], answers)

    def _hand_out(
        self, loop: asyncio.AbstractEventLoop, futures: Sequence[asyncio.Future[Any]], answers: Sequence[Any]
    ) -> None:
        self._is_asking = False
        for future, answer in zip(futures, answers, strict=True):
            _settle(future, answer)
        if self._questions:
            self._ask(loop)

    async def _on_worker(self, operation: Callable[[], _T]) -> _T:
        return await self._on(self._worker, operation)

    async def _on(self, worker: ThreadPoolExecutor, operation: Callable[[], _T]) -> _T:
        try:
            running = asyncio.get_running_loop().run_in_executor(worker, operation)
        except RuntimeError as error:  # the worker takes no more: `close` was called
            raise EngineFailure("the engine was closed; its node is gone") from error
        return await running


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():  # whoever asked has left
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
