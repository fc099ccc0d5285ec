"""A zygote that is forked before this process has imported anything, so that the two import at the same time.

On two cores that takes a third off the time a network needs to be there. Whoever begins one sees it taken or dropped.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from harness.runtimes.local.forking import Fork, can_fork


@dataclass(frozen=True, slots=True)
class HeadStart:
    """A zygote that waits for its world at the other end of `socket`; it ends when nobody has that open any more."""

    process: Fork
    socket: socket.socket
    errors: int   # a file of what it says about itself

    def descriptors(self) -> tuple[int, ...]:
        """What a fork of this process must keep to be its owner."""
        return (self.socket.fileno(), self.errors, *self.process.descriptors())

    def let_go(self) -> None:
        """A fork of this process owns it now."""
        self.process.forget()
        self.socket.close()
        os.close(self.errors)


_begun: HeadStart | None = None


def begin(preload: Sequence[str], *, with_user_code: bool) -> None:
    """Fork the zygote, which imports `preload`; nothing where a fork is not safe.

    `with_user_code`: one of the roles may be a user's own class.
    """
    global _begun
    if not can_fork():
        return
    ours, theirs = socket.socketpair()
    errors = os.memfd_create("zygote", os.MFD_CLOEXEC)
    with theirs:
        descriptor = theirs.fileno()
        process = Fork(lambda: _serve(descriptor, preload, with_user_code), keep=[descriptor], output=errors)
    _begun = HeadStart(process, ours, errors)


def _serve(descriptor: int, preload: Sequence[str], with_user_code: bool) -> None:
    # By their names: in this process, and nowhere before it, that takes the time which is to be saved.
    with import_module("harness.runtimes.lean_imports").lean_imports(with_user_code=with_user_code):
        zygote = import_module("harness.runtimes.local.zygote")
        zygote.import_all(preload)
    zygote.serve_runtime(socket.socket(fileno=os.dup(descriptor)), ())


def begun() -> HeadStart | None:
    """The zygote that nobody has taken yet."""
    return _begun


def take() -> HeadStart | None:
    """It is the caller's from now on."""
    global _begun
    taken, _begun = _begun, None
    return taken


def drop() -> None:
    """End it if nobody has taken it: it has done nothing but import, so there is nothing to be gentle about."""
    taken = take()
    if taken is not None:
        taken.process.kill()
        taken.process.wait()
        taken.let_go()
