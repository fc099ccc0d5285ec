"""Starting a network that somebody else owns: a process of its own, which reports when it is ready or why it is not."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import orjson

from harness.network.client import NetworkClient
from harness.network.live import LiveNetwork
from harness.network.owner import Wanted, own
from harness.network.places import folder_of
from harness.network.values import NetworkFailure, NetworkMisuse
from harness.runtimes.local import head_start
from harness.runtimes.local.forking import can_fork
from harness.scenario.errors import ScenarioError

UP_TIMEOUT_S = 180.0   # contracts may have to be compiled
LOG = "owner.log"

_ENDINGS: dict[str, type[Exception]] = {"misuse": NetworkMisuse, "failure": NetworkFailure}


def up(
    wanted: Wanted, *, tied: bool = False, timeout: float = UP_TIMEOUT_S, meanwhile: Callable[[], object] = lambda: None
) -> NetworkClient:
    """Start a network and return when its first block is committed. It goes on when this process ends.

    Args:
        tied: end the network when this process ends, however it does, or when the returned client's `stop` is called.
        meanwhile: done while it boots; must not fail.

    Raises:
        NetworkMisuse: the name or a port is taken, or something wanted makes no sense.
        NetworkFailure: it did not come up; nothing of it is left.
    """
    reports, told = os.pipe()
    parent, tie = os.pipe() if tied else (-1, -1)
    try:
        _start(wanted, told, parent)
        os.close(told)
        told = -1
        meanwhile()
        _wait_until_ready(wanted.name, reports, timeout)
    except BaseException:
        if tie >= 0:
            os.close(tie)   # it ends, if it still begins
        raise
    finally:
        for descriptor in (reports, told, parent):
            if descriptor >= 0:
                os.close(descriptor)
    return NetworkClient(wanted.name, folder_of(wanted.name), wanted.runtime, tie=tie)


def _wait_until_ready(name: str, reports: int, timeout: float) -> None:
    """Raises what the owner reports, or `NetworkFailure` when it says nothing."""
    said = b""
    deadline = time.monotonic() + timeout
    while not said.endswith(b"\n"):
        if not select.select([reports], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise NetworkFailure(
                f"network {name} was not ready within {timeout:g} s; harness down {name} ends it"
            )
        part = os.read(reports, 1 << 16)
        if not part:
            raise NetworkFailure(f"the process that was to own network {name} ended without a word")
        said += part
    report: dict[str, Any] = orjson.loads(said)
    if not report.get("ready"):
        raise _ENDINGS[report["kind"]](report["words"])


def _start(wanted: Wanted, told: int, parent: int) -> None:
    """Start the owner: a fork, which has everything imported already, or a new interpreter where that is not safe."""
    keep = [descriptor for descriptor in (told, parent) if descriptor >= 0]
    if can_fork():
        begun = head_start.begun()
        keep += () if begun is None else begun.descriptors()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        between = os.fork()
        if between == 0:
            _be_between(wanted, told, parent, keep)
        os.waitpid(between, 0)
        if begun is not None:
            head_start.take()
            begun.let_go()   # the owner has it now, and must be the only one
        return
    head_start.drop()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.network.starting", str(told), str(parent)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        pass_fds=keep, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    with process.stdin:
        pickle.dump(wanted, process.stdin)
    # It is nobody's child once it has forked; what is waited for here is its first half.
    process.wait()


def _be_between(wanted: Wanted, told: int, parent: int, keep: list[int]) -> NoReturn:
    """In the first fork: leave the terminal, and fork the owner, which is then nobody's child."""
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            _own_and_report(wanted, told, parent, keep)
        code = 0
    finally:
        os._exit(code)


def _own_and_report(wanted: Wanted, told: int, parent: int, keep: list[int]) -> NoReturn:
    """In the owner: own the network until it ends, say once how it began, and never return."""
    _let_go(keep)
    said = False

    def say(report: dict[str, Any]) -> None:
        nonlocal said
        if not said:
            said = True
            with contextlib.suppress(OSError):   # who started it may be gone
                os.write(told, orjson.dumps(report) + b"\n")
            os.close(told)

    code = 0
    try:
        own(wanted, _announcing(say), parent=parent if parent >= 0 else None)
    except (NetworkMisuse, ScenarioError) as error:
        code = 2
        say({"kind": "misuse", "words": _words(error)})
    except KeyboardInterrupt:
        code = 130
        say({"kind": "failure", "words": f"network {wanted.name} was interrupted before it was up"})
    except BaseException as error:
        code = 4
        traceback.print_exc()
        say({"kind": "failure", "words": _words(error)})
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


def _announcing(say: Callable[[dict[str, Any]], None]) -> Callable[[LiveNetwork], None]:
    def on_ready(network: LiveNetwork) -> None:
        _redirect(network.folder / LOG)
        say({"ready": True})

    return on_ready


def _words(error: BaseException) -> str:
    return "; ".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])


def _let_go(keep: list[int]) -> None:
    """Let go of what the starter has open. The numbers stay taken, for its objects still believe to own them."""
    signal.set_wakeup_fd(-1)
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for entry in os.listdir("/proc/self/fd"):
        descriptor = int(entry)
        if descriptor != nowhere and descriptor not in keep:
            os.dup2(nowhere, descriptor, inheritable=descriptor <= 2)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, closefd=False) for n, mode in enumerate("rww"))


def _redirect(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def main() -> None:
    """`python -m harness.network.starting <fd to report on> <fd of the parent's pipe or -1>`, wanted on stdin."""
    told, parent = int(sys.argv[1]), int(sys.argv[2])
    wanted = pickle.load(sys.stdin.buffer)
    if os.fork() == 0:
        _own_and_report(wanted, told, parent, [descriptor for descriptor in (told, parent) if descriptor >= 0])
    os._exit(0)


if __name__ == "__main__":
    main()
