"""What the virtual loop runs: callbacks due now and callbacks due later, each with the node it belongs to."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

from harness.runtimes.sim.node import CURRENT_NODE


class SimHandle(asyncio.Handle):
    __slots__ = ("node",)

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context) -> None:
        # Not calling the base class saves a third of the cost of a callback; these are its fields.
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False
        self.node = context.get(CURRENT_NODE)

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = _nothing
        self._args = ()

    def __repr__(self) -> str:
        return f"<SimHandle {self._callback!r}>"


class SimTimer(asyncio.TimerHandle):
    __slots__ = ("_when_cancelled", "node", "when_ns")

    def __init__(
        self,
        when_ns: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        when_cancelled: Callable[[], None],
        context: contextvars.Context,
    ) -> None:
        self.when_ns = when_ns
        self._when_cancelled = when_cancelled
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False
        self._scheduled = True
        self.node = context.get(CURRENT_NODE)

    def when(self) -> float:
        return self.when_ns / 1e9

    def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._callback = _nothing
            self._args = ()
            if self._scheduled:
                self._when_cancelled()

    def __repr__(self) -> str:
        return f"<SimTimer at {self.when_ns} ns {self._callback!r}>"


def _nothing(*_: object) -> None:
    """What a cancelled handle calls."""
