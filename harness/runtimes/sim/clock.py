"""A role's clock in virtual time: exact, and wrong only as far as a skew fault makes it."""

from __future__ import annotations

import asyncio

from harness.runtimes.sim.loop import VirtualLoop


class SimClock:
    """The `Clock` port. The skew belongs to the machine: it outlives a restart of the role."""

    def __init__(self, loop: VirtualLoop, *, genesis_ns: int) -> None:
        self._loop = loop
        self._genesis_ns = genesis_ns
        self._offset_ns = 0
        self._drift_ppb = 0
        self._skewed_at_ns = 0

    def now(self) -> int:
        return self._genesis_ns + self._loop.now_ns + self.error_ns()

    def monotonic(self) -> int:
        return self._loop.now_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def skew(self, *, offset_ms: float, drift_ppm: float = 0.0) -> None:
        """Be wrong by `offset_ms` from now on, and by `drift_ppm` of the time that passes."""
        self._offset_ns = round(offset_ms * 1e6)
        self._drift_ppb = round(drift_ppm * 1e3)
        self._skewed_at_ns = self._loop.now_ns

    def error_ns(self) -> int:
        """How far `now` is from the true time."""
        return self._offset_ns + (self._loop.now_ns - self._skewed_at_ns) * self._drift_ppb // 1_000_000_000
