"""Tasks and futures that hash by creation number, so that no set of them is ordered by memory address."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Coroutine, Generator
from types import CodeType, FrameType
from typing import Any, TypeVar

T = TypeVar("T")

AWAIT_DEPTH_MAX = 64


class SimFuture(asyncio.Future[T]):
    """A future whose hash is its creation number within the loop."""

    def __init__(self, number: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimTask(asyncio.Task[T]):
    """A task whose hash is its creation number within the loop."""

    def __init__(
        self,
        number: int,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        loop: asyncio.AbstractEventLoop,
        name: str | None,
        context: contextvars.Context | None,
    ) -> None:
        # The base class hashes the task at once, to register it.
        self.number = number
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other

    def silence(self) -> None:
        """Let it be dropped while pending, without a complaint: its node lost power."""
        self._log_destroy_pending = False  # how asyncio itself marks tasks it gives up on; stable from 3.4 to 3.14


def await_stack(task: asyncio.Task[Any]) -> str:
    """Where a suspended task waits, outermost frame first: `name at file:line`, one a line, then what it awaits."""
    lines: list[str] = []
    awaitable: object = task.get_coro()
    for _ in range(AWAIT_DEPTH_MAX):
        frame = _frame_of(awaitable)
        if frame is None:
            break
        code: CodeType = frame.f_code
        lines.append(f"    {code.co_qualname} at {code.co_filename}:{frame.f_lineno}")
        awaitable = _awaited_by(awaitable)
    if awaitable is not None:
        lines.append(f"    awaiting {type(awaitable).__name__}")
    return "\n".join(itertools.chain([f"  task {task.get_name()}:"], lines))


def _frame_of(awaitable: object) -> FrameType | None:
    for name in ("cr_frame", "gi_frame", "ag_frame"):
        frame = getattr(awaitable, name, None)
        if isinstance(frame, FrameType):
            return frame
    return None


def _awaited_by(awaitable: object) -> object | None:
    for name in ("cr_await", "gi_yieldfrom", "ag_await"):
        if hasattr(awaitable, name):
            found: object | None = getattr(awaitable, name)
            return found
    return None
