"""One core for the simulator and the Anvils it starts: their ping-pong across cores costs more than sharing one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def on_one_core(enabled: bool = True) -> Iterator[int | None]:
    """Keep this thread, and the processes it starts meanwhile, on one core; yields which, None where it is not done.

    Runs side by side spread by process id. The affinity from before is restored on any exit.
    """
    if not enabled or not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = sorted(before)[os.getpid() % len(before)]
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)
