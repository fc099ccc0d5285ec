"""What a forked zygote takes from its parent and, above all, what it does not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable

import pytest

from harness.runtimes.local.forking import Fork, can_fork

DEADLINE_S = 10.0
pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the zygote is spawned"),
]


def _output_of(work: Callable[[], object]) -> str:
    with tempfile.TemporaryFile() as output:
        Fork(work, keep=[], output=output.fileno()).wait(DEADLINE_S)
        output.seek(0)
        return output.read().decode()


def test_a_child_does_not_keep_its_parents_connections_open() -> None:
    ours, theirs = socket.socketpair()
    kept, told = socket.socketpair()
    with ours, kept, told, tempfile.TemporaryFile() as output:
        child = Fork(lambda: os.read(told.fileno(), 1), keep=[told.fileno()], output=output.fileno())
        theirs.close()
        ours.settimeout(DEADLINE_S)
        assert ours.recv(1) == b""
        kept.sendall(b"x")
        child.wait(DEADLINE_S)


def test_a_child_prints_only_what_is_its_own() -> None:
    print("unflushed text of the parent", end="")
    assert _output_of(lambda: print("mine")) == "mine\n"


def test_a_child_has_a_session_and_signal_handlers_of_its_own() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        said = _output_of(lambda: print(os.getsid(0) == os.getpid(), signal.getsignal(signal.SIGUSR1).name))  # type: ignore[union-attr]  # a `Handlers`
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert said == "True SIG_DFL\n"


def test_a_failing_child_says_why_and_its_parent_goes_on_alone() -> None:
    assert _output_of(lambda: print(1 // 0)).strip().endswith("ZeroDivisionError: integer division or modulo by zero")


def test_a_wait_is_bounded_and_a_kill_ends_it() -> None:
    with tempfile.TemporaryFile() as output:
        child = Fork(threading.Event().wait, keep=[], output=output.fileno())
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.01)
        child.kill()
        child.wait(DEADLINE_S)


def test_a_process_with_another_thread_is_not_forked() -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        assert not can_fork()
    finally:
        over.set()
        other.join()
