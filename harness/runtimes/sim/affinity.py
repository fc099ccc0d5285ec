"""One core for the simulator and the Anvils it starts: their ping-pong across cores costs more than sharing one."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence

RUNS_A_CORE_MAX = 64
CLAIM = "harness-sim-core"


@contextlib.contextmanager
def on_one_core(enabled: bool = True) -> Iterator[int | None]:
    """Keep this thread, and the processes it starts meanwhile, on one core; yields which, None where it is not done.

    Runs side by side, of any process, spread evenly: each claims its core. The affinity from before is restored on
    any exit.
    """
    if not enabled or not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    with _claimed(sorted(before)) as core:
        os.sched_setaffinity(0, {core})
        try:
            yield core
        finally:
            os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _claimed(cores: Sequence[int]) -> Iterator[int]:
    """The core with the fewest claims. One is an abstract socket: on no disk, and gone with whoever dies holding it."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as claim:
        rounds = ((number, core) for number in range(RUNS_A_CORE_MAX) for core in cores)
        free = (core for number, core in rounds if _binds(claim, f"\0{CLAIM}-{core}-{number}"))
        yield next(free, cores[0])


def _binds(claim: socket.socket, name: str) -> bool:
    try:
        claim.bind(name)
    except OSError:
        return False
    return True
