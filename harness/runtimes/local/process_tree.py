"""Signalling processes together with everything they have started, whichever process groups they are in."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path


def signal_trees(pids: Sequence[int], number: int) -> int:
    """Signal processes and their descendants, the processes themselves first; returns how many there were.

    The caller must be the parent of each and not have reaped it, so that the ids are still their own. They are stopped
    while their descendants are looked up, lest one more is born meanwhile; these are pinned by descriptors, so that
    none of them is mistaken for another process.
    """
    if number != signal.SIGCONT:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
    pinned: list[int] = []
    for descendant in descendants(*pids):
        with contextlib.suppress(ProcessLookupError):
            pinned.append(os.pidfd_open(descendant))
    for descriptor in pinned:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        os.close(descriptor)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            if number not in (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL):
                os.kill(pid, signal.SIGCONT)
    return len(pids) + len(pinned)


def descendants(*pids: int) -> list[int]:
    """Every process that these and their descendants have started and that is still there."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = list(pids)
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child)
    return found
