"""Ctrl-C while a loop runs: the first cancels the run, which then heals and cleans up; more of them change nothing."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from harness.runtimes.shielded import interrupting_signal

PATIENCE_S = 60.0
"""Longer than any cleanup may take; an interrupt after that is no longer put off."""


class Interruption:
    """Wrap it around the runner, and call `cancels_this_task` first thing inside; the end is a KeyboardInterrupt.

    `asyncio.Runner` would raise the second interrupt wherever the cleanup is by then, and leave behind what it cut off.
    Does nothing outside the main thread, where no signal arrives.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._came_at: float | None = None
        self._number: int = signal.SIGINT
        self._before: Any = None

    def __enter__(self) -> Interruption:
        if _is_main_thread():
            self._number = interrupting_signal()
            self._before = signal.getsignal(self._number)
            if self._before is not signal.SIG_IGN:
                signal.signal(self._number, self._interrupt)
        return self

    def cancels_this_task(self) -> None:
        self._task = asyncio.current_task()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _is_main_thread() and self._before is not None:
            signal.signal(self._number, self._before)
        if self._came_at is not None:
            signal.raise_signal(self._number)  # whoever had it before shall know of it too, the command line above all
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._came_at is None and self._task is not None and not self._task.done():
            self._came_at = now
            self._task.cancel()
            self._task.get_loop().call_soon_threadsafe(lambda: None)  # it may be waiting for something else
        elif self._came_at is None or now - self._came_at > PATIENCE_S:
            self._came_at = now
            raise KeyboardInterrupt


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
