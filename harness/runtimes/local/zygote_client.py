"""The runtime's side of the zygote: starts it, has it fork and signal, and hears who has ended."""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import orjson

from harness.runtimes.failure import RuntimeFailure
from harness.runtimes.local import head_start
from harness.runtimes.local.forking import Fork, can_fork
from harness.runtimes.local.world import World
from harness.runtimes.local.zygote import send_command, serve_runtime

READY_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 10.0
END_TIMEOUT_S = 5.0


class ZygoteFailure(RuntimeFailure):
    """The process that forks all others could not be started, or is gone."""


class ZygoteProcess:
    """The process itself; it needs no event loop and no plan yet, so it can be started before both.

    Whoever makes it ends it: hand it to one `LocalRuntime`, or `close` it.
    """

    def __init__(self, preload: Sequence[str] = ()) -> None:
        """Start it and return at once. `preload` are more modules for it to import, those of the roles above all.

        One that has a head start is taken, and has imported what whoever began it thought of.
        """
        if (begun := head_start.take()) is not None:
            self._process: subprocess.Popen[bytes] | Fork = begun.process
            self._errors: IO[bytes] = os.fdopen(begun.errors, "r+b")
            begun.socket.setblocking(False)
            self.socket = begun.socket
            return
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process, until `close`
        with theirs:
            if can_fork():
                self._process = Fork(
                    lambda: serve_runtime(socket.socket(fileno=os.dup(theirs.fileno())), preload),
                    keep=[theirs.fileno()], output=self._errors.fileno(),
                )
            else:
                self._process = self._spawn(theirs, preload)
        ours.setblocking(False)
        self.socket = ours

    def _spawn(self, theirs: socket.socket, preload: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        return subprocess.Popen(
            [sys.executable, "-m", "harness.runtimes.local.zygote", str(theirs.fileno()), *preload],
            stdin=subprocess.DEVNULL, stdout=self._errors, stderr=self._errors, env=environment,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C at the terminal is for the runtime, which then ends the others
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def last_words(self) -> str:
        """The last line it wrote about itself, as the end of a message; empty if none."""
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"; its last line: {lines[-1][:300]}" if lines else ""

    def close(self) -> None:
        """Close the socket, upon which the zygote ends all that is left and itself; bounded, idempotent."""
        self.socket.close()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its children follow by their parent-death signal
            self._process.wait()
        self._errors.close()


class ZygoteClient:
    """Lives on the runtime's loop. Whatever the runtime's end, the zygote's follows from the closed socket."""

    def __init__(
        self, process: ZygoteProcess, *, on_exit: Callable[[str, int, int], None], on_lost: Callable[[], None]
    ) -> None:
        """`on_exit(name, pid, code)` is called when a forked process has ended, `on_lost()` when the zygote has."""
        self._process = process
        self._socket: socket.socket | None = process.socket
        self._on_exit = on_exit
        self._on_lost = on_lost
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unread = b""
        asyncio.get_running_loop().add_reader(process.socket, self._read)

    def enter(self, world: World) -> None:
        """Give it the world its children are born into."""
        file = world.temporary / "world"
        with file.open("wb") as stream:
            pickle.dump(sys.path, stream)
            pickle.dump(world, stream)
        assert self._socket is not None
        send_command(self._socket, {"world": str(file)})

    async def ready(self) -> None:
        """Raises `ZygoteFailure` if it did not get there."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._ready
        except TimeoutError as error:
            raise ZygoteFailure(f"the zygote was not ready within {READY_TIMEOUT_S:g} s") from error

    async def spawn(self, name: str, given: socket.socket) -> int:
        """Fork a process that is given a socket; returns its process id. Our copy of the socket stays open."""
        answer = await self._command({"do": "spawn", "name": name}, given.fileno())
        return int(answer["pid"])

    async def signal(self, name: str, number: int) -> None:
        """Signal a forked process and all it has started; nothing if it has ended."""
        await self.signal_all([name], number)

    async def signal_all(self, names: Sequence[str], number: int) -> None:
        """Signal several at once, each with all it has started."""
        await self._command({"do": "signal", "name": ", ".join(names), "names": list(names), "number": number})

    async def _command(self, command: dict[str, Any], descriptor: int | None = None) -> dict[str, Any]:
        if self._socket is None or (self._ready.done() and self._ready.exception() is not None):
            raise ZygoteFailure("the zygote is gone")
        number = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            send_command(self._socket, {"id": number, **command}, descriptor)
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                return await future
        except (TimeoutError, OSError) as error:
            raise ZygoteFailure(f"the zygote did not {command['do']} {command['name']}: {error}") from error
        finally:
            self._waiting.pop(number, None)

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._hear(orjson.loads(line))

    def _hear(self, event: dict[str, Any]) -> None:
        if "exited" in event:
            self._on_exit(event["exited"], event["pid"], event["code"])
        elif "ready" in event:
            if not self._ready.done():
                self._ready.set_result(None)
        elif (future := self._waiting.get(event["id"])) is not None and not future.done():
            future.set_result(event)

    def _lost(self) -> None:
        self._disconnect()
        failure = ZygoteFailure(f"the zygote ended by itself{self._process.last_words()}")
        waiting: list[asyncio.Future[Any]] = [self._ready, *self._waiting.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(failure)
        self._on_lost()

    def _disconnect(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def end(self) -> None:
        """See the zygote and all it has forked gone. Bounded."""
        self._disconnect()
        if not self._ready.done():
            self._ready.cancel()
        elif not self._ready.cancelled():
            self._ready.exception()  # told by `_lost`, perhaps to nobody
        # A thread that ends with its work: with one that stays, this process could never be forked again.
        with ThreadPoolExecutor(1) as thread:
            await asyncio.get_running_loop().run_in_executor(thread, self._process.close)
