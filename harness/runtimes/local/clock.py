"""The `Clock` port on the machine's monotonic clock, with a skew that only wall time feels."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

ANOTHER_KERNEL_NS = 5_000_000_000
"""No command takes so long to arrive; clocks that differ by more are two."""


@dataclass(slots=True)
class Epoch:
    """The run's common start, shared by all its processes: CLOCK_MONOTONIC is one clock for the whole machine."""

    wall_ns: int                      # what every unskewed role's wall clock says at the start
    monotonic_ns: int | None = None   # CLOCK_MONOTONIC at the start; None until `begin`, and set once

    def begin(self, elapsed_ns: int = 0) -> int:
        """The run starts now, or goes on now after so much of it; returns what CLOCK_MONOTONIC was at its start."""
        assert self.monotonic_ns is None, "a run begins once"
        self.monotonic_ns = time.monotonic_ns() - elapsed_ns
        return self.monotonic_ns

    def elapsed_ns(self) -> int:
        """Nanoseconds since the start; 0 before it."""
        return 0 if self.monotonic_ns is None else max(0, time.monotonic_ns() - self.monotonic_ns)


def here(monotonic_ns: int, *, said_at_ns: int) -> int:
    """A moment of the runtime's monotonic clock, which told it at `said_at_ns` of that clock, in this machine's.

    They are one clock unless the containers run on another kernel; then the message's own time is the error.
    """
    now_ns = time.monotonic_ns()
    return monotonic_ns if abs(now_ns - said_at_ns) < ANOTHER_KERNEL_NS else now_ns - (said_at_ns - monotonic_ns)


class LocalClock:
    """Wall time runs from the epoch with the monotonic clock, so that a step of the host's clock is not a fault."""

    def __init__(self, epoch: Epoch) -> None:
        self._epoch = epoch
        self._offset_ns = 0
        self._drift_ppm = 0.0
        self._skewed_at_ns = 0

    def now(self) -> int:
        elapsed = self._epoch.elapsed_ns()
        drifted = int((elapsed - self._skewed_at_ns) * self._drift_ppm) // 1_000_000
        return self._epoch.wall_ns + elapsed + self._offset_ns + drifted

    def monotonic(self) -> int:
        return self._epoch.elapsed_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def skew(self, *, offset_ms: float, drift_ppm: float = 0.0, since_ns: int | None = None) -> None:
        """Replace the skew from this moment on, or as of a moment of monotonic time; 0 and 0 heal it."""
        self._skewed_at_ns = self._epoch.elapsed_ns() if since_ns is None else since_ns
        self._offset_ns = round(offset_ms * 1_000_000)
        self._drift_ppm = drift_ppm

    def error_ms(self) -> float:
        """How far `now` is from true wall time, in ms."""
        return (self.now() - self._epoch.wall_ns - self._epoch.elapsed_ns()) / 1_000_000
