"""The process all others of a run are forked from: it has imported everything once, has one thread and no event loop.

Starting 25 interpreters would take ten seconds and a gigabyte; forking shares what is imported and takes milliseconds.
The zygote is also the only one to signal and reap what it forked, so a signal never meets a recycled process id. When
the runtime's end of its socket closes, whatever the reason, it kills everything, removes the run's temporary folder
and ends.

Commands come as length-prefixed JSON with at most one descriptor; answers and exits go back as JSON lines.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import orjson

from harness.proxy.config import PROXY
from harness.runtimes.local.mortality import die_with_parent
from harness.runtimes.local.process_tree import descendants, signal_trees
from harness.runtimes.local.world import World

END_TIMEOUT_S = 3.0
PROCESSES = ("harness.runtimes.local.role_process", "harness.proxy.process", "encodings.idna")
"""What it forks, and what each of them would import at its first connection; not imported by who only talks to it."""
_PR_SET_CHILD_SUBREAPER = 36
_LENGTH = struct.Struct("!I")


def send_command(to: socket.socket, command: dict[str, Any], descriptor: int | None = None) -> None:
    """The runtime's side of the command format."""
    body = orjson.dumps(command)
    socket.send_fds(to, [_LENGTH.pack(len(body)) + body], [] if descriptor is None else [descriptor])


def receive_command(runtime: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next command and its descriptors; None when the runtime is gone."""
    prefix, descriptors, _, _ = socket.recv_fds(runtime, _LENGTH.size, 1)
    if len(prefix) < _LENGTH.size:
        return None
    (left,) = _LENGTH.unpack(prefix)
    body = b""
    while len(body) < left:
        part = runtime.recv(left - len(body))
        if not part:
            return None
        body += part
    return orjson.loads(body), descriptors


class Zygote:
    def __init__(self, runtime: socket.socket, world: World) -> None:
        self._runtime = runtime
        self._world = world
        self._children: dict[str, int] = {}
        self._wake_read, self._wake_write = os.pipe()

    def serve(self) -> None:
        """Carry out commands until the runtime is gone; then leave nothing behind."""
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            self._tell({"ready": os.getpid()})
            while True:
                readable, _, _ = select.select([self._runtime.fileno(), self._wake_read], [], [])
                if self._wake_read in readable:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                    self._reap()
                if self._runtime.fileno() in readable and not self._obey():
                    return
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            self._end()

    def _obey(self) -> bool:
        """Carry out one command; False if there will be no more."""
        received = receive_command(self._runtime)
        if received is None:
            return False
        command, descriptors = received
        answer: dict[str, Any] = {"id": command["id"]}
        match command["do"]:
            case "spawn":
                answer["pid"] = self._spawn(command["name"], descriptors[0])
            case "signal":
                pids = [self._children[name] for name in command["names"] if name in self._children]
                answer["signalled"] = signal_trees(pids, command["number"])
        self._tell(answer)
        return True

    def _spawn(self, name: str, descriptor: int) -> int:
        zygote = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(name, descriptor, zygote)
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # in both, so that whoever comes first has done it
        self._children[name] = pid
        return pid

    def _become(self, name: str, descriptor: int, zygote: int) -> NoReturn:
        """In the child: be the role, and never return."""
        code = 1
        try:
            os.setpgid(0, 0)
            die_with_parent(zygote)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._runtime.close()
            log = os.open(self._world.log_of(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
            given = socket.socket(fileno=descriptor)
            if name == PROXY:
                from harness.proxy.process import run_proxy

                run_proxy(self._world.proxy, given)
                code = 0
            else:
                from harness.runtimes.local.role_process import run_role

                code = run_role(self._world, name, given)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Collect every child that has ended, orphaned grandchildren among them, and tell of our own."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name, child in list(self._children.items()):
                if child == pid:
                    del self._children[name]
                    self._tell({"exited": name, "pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, event: dict[str, Any]) -> None:
        self._runtime.sendall(orjson.dumps(event) + b"\n")

    def _end(self) -> None:
        # What lost its parent has become our child, so our descendants are all that is left of the run.
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + END_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                select.select([self._wake_read], [], [], 0.05)
        shutil.rmtree(self._world.temporary, ignore_errors=True)


def import_all(preload: Sequence[str]) -> None:
    """What the processes of a run need, and these modules; one that has a `prepare` is prepared."""
    for name in (*PROCESSES, *preload):
        module = importlib.import_module(name)
        getattr(module, "prepare", lambda: None)()


def serve_runtime(runtime: socket.socket, preload: Sequence[str]) -> None:
    """Be the zygote of whoever holds the other end, after importing what its children will need."""
    import_all(preload)
    received = receive_command(runtime)
    if received is None:
        return  # it was warmed up for a run that never came
    with Path(received[0]["world"]).open("rb") as stream:
        sys.path[:] = pickle.load(stream)
        world = pickle.load(stream)
    if sys.platform == "linux":
        # An Anvil whose role was killed comes to us to be reaped, instead of staying a zombie.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    gc.freeze()  # what is shared now is never written to by a collection in a child
    Zygote(runtime, world).serve()


def main() -> None:
    """`python -m harness.runtimes.local.zygote <fd of the runtime's socket> [module to import …]`."""
    serve_runtime(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])


if __name__ == "__main__":
    main()
