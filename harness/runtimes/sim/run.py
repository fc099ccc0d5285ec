"""Runs a simulation to its end: a fresh virtual loop, on one core with the Anvils it starts."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.affinity import on_one_core
from harness.runtimes.sim.loop import run_virtual

T = TypeVar("T")

COLLECT_AFTER_OBJECTS = 100_000


def simulate(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    seed: int,
    pin: bool = True,
    heartbeat: Callable[[int], None] | None = None,
) -> T:
    """Run `main()` in virtual time and return its result; blocks.

    `heartbeat(now_ns)` is called every few thousand rounds of callbacks. A coroutine that spins without awaiting never
    lets it be called, so a watchdog belongs outside: re-arm `faulthandler.dump_traceback_later` from it.
    """
    with on_one_core(pin), collecting_rarely():
        return run_virtual(main(), KeyedRandom(seed), heartbeat=heartbeat)


@contextlib.contextmanager
def collecting_rarely() -> Iterator[None]:
    """A run keeps nearly all it makes and makes few cycles: looking for them at the usual rate costs 3 to 12 %."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
