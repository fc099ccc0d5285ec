"""A child that goes on with what its parent has imported, and shares nothing else with it: no descriptor, no session.

Importing what roles need takes a second of CPU, and whoever boots a network has done it already.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn


def can_fork() -> bool:
    """Whether this process may be forked and the child go on in Python: only where no other thread holds a lock."""
    return sys.platform == "linux" and len(list(Path("/proc/self/task").iterdir())) == 1


class Fork:
    """A forked process, with the few methods of `subprocess.Popen` that its owner needs."""

    def __init__(self, work: Callable[[], object], *, keep: Sequence[int], output: int) -> None:
        """Fork and have the child do `work` and end. Of its descriptors it has `keep`, and `output` as 1 and 2."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()  # or the child would have it too
        # A signal in the child's first moments would run the parent's handlers there, or raise in its frames.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _live(work, keep=keep, output=output)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self.pid = pid
        self._pidfd: int | None = os.pidfd_open(pid)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for its end and reap it; idempotent. Raises `subprocess.TimeoutExpired`."""
        if self._pidfd is None:
            return
        if not select.select([self._pidfd], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(["zygote"], timeout or 0.0)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self._pidfd)
        self._pidfd = None

    def descriptors(self) -> tuple[int, ...]:
        """What a fork of the parent must keep to wait for it and to kill it."""
        return () if self._pidfd is None else (self._pidfd,)

    def forget(self) -> None:
        """A fork of this process waits for it, or it has been waited for."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def kill(self) -> None:
        if self._pidfd is not None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)


def _live(work: Callable[[], object], *, keep: Sequence[int], output: int) -> NoReturn:
    """In the child, with all signals blocked: leave the parent's things alone, work, and never return."""
    code = 1
    try:
        gc.freeze()  # the parent's garbage is not ours to finalize
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        _replace_descriptors(keep, output)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, closefd=False) for n, mode in enumerate("rww"))
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _replace_descriptors(keep: Sequence[int], output: int) -> None:
    """Let go of what the parent has open. The numbers stay taken, for its objects still believe to own them."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    inherited = [int(entry) for entry in os.listdir("/proc/self/fd")]
    os.dup2(nowhere, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for descriptor in inherited:
        if descriptor > 2 and descriptor != nowhere and descriptor not in keep:
            os.dup2(nowhere, descriptor, inheritable=False)
