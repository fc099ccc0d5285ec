"""Signalling a process together with everything it has started, whichever process groups they are in."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def signal_tree(pid: int, number: int) -> int:
    """Signal a process and its descendants, the process itself first; returns how many there were.

    The caller must be the parent of `pid` and not have reaped it, so that the id is still its own. It is stopped
    while its descendants are looked up, lest one more is born meanwhile; they are pinned by descriptors, so that none
    of them is mistaken for another process.
    """
    with contextlib.suppress(ProcessLookupError):
        if number != signal.SIGCONT:
            os.kill(pid, signal.SIGSTOP)
    pinned: list[int] = []
    for descendant in descendants(pid):
        with contextlib.suppress(ProcessLookupError):
            pinned.append(os.pidfd_open(descendant))
    for descriptor in pinned:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        os.close(descriptor)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        if number not in (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL):
            os.kill(pid, signal.SIGCONT)
    return 1 + len(pinned)


def descendants(pid: int) -> list[int]:
    """Every process that `pid` and its descendants have started and that is still there."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child)
    return found
