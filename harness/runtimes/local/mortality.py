"""Dying with one's parent: the Linux parent-death signal, set by the child itself."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """SIGKILL this process when `parent` ends; at once, if it has ended already.

    The kernel ties the signal to the *thread* that forked this process: whoever starts processes must do so from a
    thread that lives as long as they should. Does nothing but check the parent on systems without the call.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
