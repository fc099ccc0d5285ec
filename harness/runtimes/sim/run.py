"""Runs a simulation to its end: a fresh virtual loop, on one core with the Anvils it starts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.affinity import on_one_core
from harness.runtimes.sim.loop import run_virtual

T = TypeVar("T")


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
    with on_one_core(pin):
        return run_virtual(main(), KeyedRandom(seed), heartbeat=heartbeat)
