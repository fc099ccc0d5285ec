"""Cleanup that neither a cancellation nor Ctrl-C can interrupt, and that cannot hang."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


async def finish_despite_cancellation(work: Coroutine[Any, Any, T], *, timeout: float) -> T:
    """Run `work` to its end even if this task is cancelled meanwhile; the cancellation is raised afterwards.

    Raises:
        TimeoutError: `work` took longer than `timeout` seconds; it has been cancelled.
        asyncio.CancelledError: `work` is done, and this task was cancelled while it ran.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    deadline = loop.time() + timeout
    cancelled: asyncio.CancelledError | None = None
    while not task.done() and loop.time() < deadline:
        try:
            await asyncio.wait([task], timeout=deadline - loop.time())
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.done():
        task.cancel()
        if cancelled is None:
            raise TimeoutError(f"cleanup was not done within {timeout:g} s")
    if cancelled is not None:
        if task.done() and not task.cancelled():
            task.exception()  # retrieved, or the loop would complain; the cancellation outranks it
        raise cancelled
    return task.result()


def interrupting_signal() -> int:
    """What asks this process to end: SIGINT, or where that is ignored, as in a script's background jobs, SIGTERM."""
    return signal.SIGTERM if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else signal.SIGINT


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off what interrupts until the block has ended: a second Ctrl-C must not cut off what the first one needs.

    For short, bounded blocks; they nest. Outside the main thread, where signals never arrive, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    number = interrupting_signal()
    before = signal.signal(number, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL if before is None else before)  # None: not set from Python
        if held:
            signal.raise_signal(number)
