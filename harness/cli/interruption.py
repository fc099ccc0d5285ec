"""SIGINT and SIGTERM: at once and quietly before there is anything to clean up, an exception afterwards.

Imports next to nothing, for it has to be in place before the imports that take time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_EXIT = {signal.SIGINT: (b"interrupted\n", 130), signal.SIGTERM: (b"terminated\n", 143)}
_interrupted = _terminated = False


@contextlib.contextmanager
def handled(*, is_whole_process: bool) -> Iterator[None]:
    """While the command line runs. At the end of a whole process, further signals only spoil what it says."""
    global _interrupted, _terminated
    _interrupted = _terminated = False
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the caller's business
        return
    before = {number: signal.getsignal(number) for number in _EXIT}
    for number, handler in before.items():
        if handler in (signal.default_int_handler, signal.SIG_DFL):  # one that is ignored stays so, as nohup wants it
            signal.signal(number, _end_at_once)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if is_whole_process else handler)


def raise_from_now_on() -> None:
    """From now on the first signal is a KeyboardInterrupt, and further ones are nothing: the ending has begun."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in ((signal.SIGINT, _interrupt), (signal.SIGTERM, _terminate)):
            if signal.getsignal(number) is _end_at_once:
                signal.signal(number, handler)


def ignore_from_now_on() -> None:
    """What there is to clean up is cleaned up, and the rest is words: nothing to interrupt until `handled` ends."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in ((signal.SIGINT, _interrupt), (signal.SIGTERM, _terminate)):
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_IGN)


def is_terminated() -> bool:
    """Whether the interrupt was a SIGTERM."""
    return _terminated


def _end_at_once(number: int, frame: FrameType | None) -> None:
    message, code = _EXIT[signal.Signals(number)]
    with contextlib.suppress(OSError):
        os.write(2, message)
    os._exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted
    if not _interrupted:
        _interrupted = True
        raise KeyboardInterrupt


def _terminate(number: int, frame: FrameType | None) -> None:
    """SIGTERM takes the way of Ctrl-C, so that whatever puts that off or waits for it knows this one too.

    Where Ctrl-C is ignored, as in a script's background jobs, who waits takes this one over; else it is raised here.
    """
    global _terminated
    _terminated = True
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        _interrupt(number, frame)
    else:
        signal.raise_signal(signal.SIGINT)
