"""Carries the rest of a large body from one socket to another inside the kernel, so that no byte of it is copied.

Once a body streams, a cut is all that can still happen to it, so Python need only be asked when a socket is ready.
Where the system has no `splice`, bodies go through the transports like everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable

RELAY_BYTES_MIN = 256 << 10   # of body still to come; less is not worth the switch
IS_POSSIBLE = hasattr(os, "splice")
_PIPE_BYTES = 1 << 20         # asked of the kernel, which may give less
_TURNS_MAX = 4                # at the sockets before other connections have theirs


class Relay:
    """One body on its way between two sockets, until it is through or stopped.

    It works on duplicates of the descriptors, beside the transports that own the sockets: meanwhile the source's must
    not read, and the sink's must have nothing left to write.
    """

    __slots__ = ("_first", "_is_waiting_for_sink", "_left", "_loop", "_may_pass", "_on_end", "_pipe", "_sink",
                 "_source", "_unsent", "carried")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: int,
        sink: int,
        *,
        first: bytes,
        left: int,
        may_pass: Callable[[], bool],
        on_end: Callable[[], None],
    ) -> None:
        """Send `first`, then carry up to `left` bytes more. Raises OSError where descriptors have run out.

        `on_end` is called once, and the relay is stopped then: all is through, the source has ended, the sink takes
        no more, or `may_pass` says no.
        """
        self._loop = loop
        self._first = memoryview(first)
        self._left = left
        self._may_pass = may_pass
        self._on_end = on_end
        self.carried = 0
        """Bytes taken from the source."""
        self._unsent = 0
        """Bytes in the pipe."""
        with contextlib.ExitStack() as opened:
            self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            for descriptor in self._pipe:
                opened.callback(os.close, descriptor)
            self._source = os.dup(source)
            opened.callback(os.close, self._source)
            self._sink = os.dup(sink)
            opened.pop_all()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._pipe[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._is_waiting_for_sink = True
        loop.add_writer(self._sink, self._turn)

    @property
    def is_clear(self) -> bool:
        """Whether every byte taken from the source has been handed on."""
        return not (self._first or self._unsent)

    @property
    def is_stopped(self) -> bool:
        return self._sink < 0

    def stop(self) -> None:
        """Let go of the sockets; what is not handed on is lost. Idempotent."""
        if self.is_stopped:
            return
        self._loop.remove_writer(self._sink)
        self._loop.remove_reader(self._source)
        for descriptor in (*self._pipe, self._source, self._sink):
            os.close(descriptor)
        self._sink = -1

    def _turn(self) -> None:
        """A socket is ready: pass on what there is."""
        try:
            is_over = not self._may_pass() or self._pass_some()
        except OSError:
            is_over = True  # an end is gone; its transport will say so
        if is_over:
            self.stop()
            self._on_end()

    def _pass_some(self) -> bool:
        """Take and hand on until a socket is not ready or others should have their turn; True at the end."""
        for _ in range(_TURNS_MAX):
            try:
                self._hand_on()
            except BlockingIOError:
                self._wait_for(sink=True)
                return False
            if not self._left:
                return True
            try:
                taken = os.splice(self._source, self._pipe[1], self._left)
            except BlockingIOError:
                break
            if not taken:
                return True
            self._left -= taken
            self._unsent += taken
            self.carried += taken
        self._wait_for(sink=bool(self._unsent))
        return False

    def _hand_on(self) -> None:
        """Give the sink all that was taken; BlockingIOError when it is full."""
        while self._first:
            self._first = self._first[os.write(self._sink, self._first) :]
        while self._unsent:
            self._unsent -= os.splice(self._pipe[0], self._sink, self._unsent)

    def _wait_for(self, *, sink: bool) -> None:
        if sink == self._is_waiting_for_sink:
            return
        self._is_waiting_for_sink = sink
        if sink:
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._sink, self._turn)
        else:
            self._loop.remove_writer(self._sink)
            self._loop.add_reader(self._source, self._turn)
