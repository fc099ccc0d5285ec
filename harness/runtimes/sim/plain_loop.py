"""The parts of an event loop that have nothing virtual about them: errors, executors, settings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from harness.runtimes.sim.fences import FencedLoop, outside_world

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ExceptionHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class PlainLoop(FencedLoop):
    """A fenced loop with asyncio's error reporting, and executors that run inline."""

    def __init__(self) -> None:
        self._exception_handler: ExceptionHandler | None = None

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        return

    def run_in_executor(
        self, executor: Any, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run it now, in this thread: a pool would let the machine decide when it ends."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            future.set_exception(error)
        return future

    def set_default_executor(self, executor: Any) -> None:
        outside_world("loop.set_default_executor()")

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        self._exception_handler = handler

    def get_exception_handler(self) -> ExceptionHandler | None:
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        logging.getLogger(__name__).error("%s", context.get("message"), exc_info=context.get("exception"))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._exception_handler is None:
            self.default_exception_handler(context)
        else:
            self._exception_handler(self, context)

    def set_task_factory(self, factory: Callable[..., asyncio.Future[Any]] | None) -> None:
        if factory is not None:
            outside_world("loop.set_task_factory()")

    def get_task_factory(self) -> None:
        return None

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        return
