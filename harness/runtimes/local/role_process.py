"""One role as a process: its ports over the real world, the role itself, and the runtime's commands to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import uvloop

from harness.anvil.adapters import ThreadedEngine
from harness.faults.rpc import RpcPolicy, rpc_rules_from_json
from harness.history.recorder import HistoryWriter
from harness.ports import PortError, Refused
from harness.roles.context import RoleContext
from harness.runtimes.local import wire
from harness.runtimes.local.clock import Epoch, LocalClock, here
from harness.runtimes.local.http_network import HttpNetwork
from harness.runtimes.local.sqlite_store import SqliteStore
from harness.runtimes.local.world import World
from harness.runtimes.lying import lying
from harness.runtimes.lying_rpc import LyingPublic
from harness.runtimes.random import KeyedRandom
from harness.runtimes.rpc_server.server import RpcServer

ROLE_FAILED = 70           # exit code (EX_SOFTWARE): the role raised
STOP_TIMEOUT_S = 2.0
WATCHED_KINDS = ("notice", "problem")   # the runner sees these live and whole
WATCHED_OF_BLOCK = ("chain", "number")  # and of blocks, which are large, this


def run_role(world: World, name: str, control: socket.socket) -> int:
    """Be the role until told to stop; the exit code."""
    return uvloop.run(RoleProcess(world, name).run(control))


class RoleProcess:
    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._spec = world.plan.role(name)
        self._network = HttpNetwork(name, {}, report=self._report, host=world.host, port=world.port)
        self._clock: LocalClock | None = None
        self._engine: ThreadedEngine | None = None
        self._public: RpcServer | None = None
        self._rpc = RpcPolicy(name, KeyedRandom(world.plan.seed))
        self._role: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ready: dict[str, Any] | None = None
        self._history: HistoryWriter | None = None
        self._stopping = asyncio.Event()
        self._errands: set[asyncio.Task[None]] = set()
        self._exit_code = 0
        self._is_excused = False
        """A fault is on that this role will end of, as it must: no problem of the run."""

    async def run(self, control: socket.socket) -> int:
        reader, self._writer = await asyncio.open_connection(sock=control)
        return await self._live(reader)

    async def _live(self, reader: asyncio.StreamReader) -> int:
        # The node boots on its own thread's watch while the rest is opened.
        if self._world.engines is not None:
            self._engine = self._world.engines(self._spec, self._world.node_home_of(self._name))
        try:
            port = await self._network.open()
            rpc = await self._open_public()
            genesis = None if self._engine is None else await self._engine.ready()
            self._ready = {"event": "ready", "port": port, "rpc": rpc, "genesis": genesis}
            self._tell(self._ready)
            commands = asyncio.get_running_loop().create_task(self._obey(reader))
            await self._stopping.wait()
            commands.cancel()
        finally:
            await self._end()
        return self._exit_code

    async def _open_public(self) -> int | None:
        """Listen for the node's own clients where the run wants that; the port."""
        wanted = self._world.rpc_ports.get(self._name)
        if wanted is None:
            return None
        self._public = RpcServer()
        try:
            return await self._public.open(self._world.rpc_host, wanted)
        except OSError as error:
            raise OSError(f"JSON-RPC port {wanted} of {self._name} on {self._world.rpc_host} cannot be had: "
                          f"{error.strerror}; end what listens there, or choose another port (0: any)") from error

    async def _obey(self, reader: asyncio.StreamReader) -> None:
        """Take commands until the runtime is gone; each is carried out beside the others."""
        current: asyncio.StreamReader | None = reader
        while current is not None:
            with contextlib.suppress(OSError):  # torn off: the same as the end
                while line := await current.readline():
                    errand = asyncio.get_running_loop().create_task(self._carry_out(orjson.loads(line)))
                    self._errands.add(errand)
                    errand.add_done_callback(self._errands.discard)
            current = await self._regain()
        self._stopping.set()

    async def _regain(self) -> asyncio.StreamReader | None:
        """Another way to a runtime that can no longer be heard; None: it is gone, and so is our purpose."""
        return None

    async def _carry_out(self, command: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": command["id"]}
        try:
            answer["value"] = await self._do(command)
        except Exception as error:
            answer["error"] = f"{command['do']} failed: {type(error).__name__}: {error}"
        self._tell(answer)

    async def _do(self, command: dict[str, Any]) -> Any:
        match command["do"]:
            case "go":
                self._network.reach({peer: (host, port) for peer, (host, port) in command["peers"].items()})
                self._rpc.set_rules(rpc_rules_from_json(command["rpc"]))
                began_ns = here(command["monotonic_ns"], said_at_ns=command["now_ns"])
                self._go(Epoch(self._world.genesis_timestamp * 10**9, began_ns), command["skew"])
            case "skew":
                assert self._clock is not None, "a skew comes after `go`"
                self._clock.skew(**command["skew"])
            case "rpc":
                self._rpc.set_rules(rpc_rules_from_json(command["rules"]))
            case "rpc_counters":
                return {fault: asdict(counters) for fault, counters in self._rpc.counters().items()}
            case "order":
                return await self._order(command["kind"], command["payload"])
            case "clock":
                return 0.0 if self._clock is None else self._clock.error_ms()
            case "probe":
                return await self._probe(command["to"], command["within_s"])
            case "stats":
                return self._network.stats()
            case "excuse":
                self._is_excused = bool(command["value"])
            case "stop":
                self._stopping.set()
            case other:
                raise ValueError(f"no command is called {other!r}")
        return None

    def _go(self, epoch: Epoch, skew: dict[str, Any]) -> None:
        """The run has started: make the role's ports and let it work."""
        world = self._world
        self._clock = LocalClock(epoch)
        self._clock.skew(**skew)
        clock = self._clock
        self._network.wrap = lambda handler: lying(self._rpc, handler, clock)
        # Unbuffered: what a role recorded before SIGKILL is evidence.
        history = world.history_of(self._name) if world.keeps_history else Path(os.devnull)
        stream = history.open("ab", buffering=0)
        self._history = HistoryWriter(stream, now_ns=epoch.elapsed_ns)
        context = RoleContext(
            name=self._name,
            spec=self._spec,
            plan=world.plan,
            clock=self._clock,
            network=self._network,
            engine=self._engine,
            store=SqliteStore(world.store_of(self._name)),
            random=KeyedRandom(world.plan.seed),
            record=_WatchedRecorder(self._history, self._name, self._tell),
            deployment=world.deployment,
            accounts=world.accounts,
            genesis_timestamp=world.genesis_timestamp,
            public=None if self._public is None else LyingPublic(self._public, self._rpc, clock),
            key=world.keys.get(self._name),
        )
        self._role = asyncio.get_running_loop().create_task(self._work(context))

    async def _work(self, context: RoleContext) -> None:
        """Run the role; when it returns its work is done, and the process stays to answer."""
        try:
            await self._world.factory(context).run()
        except Exception:
            self._exit_code = ROLE_FAILED
            self._report("run", traceback.format_exc())
            self._stopping.set()

    async def _order(self, kind: str, payload: Any) -> Any:
        """What the role answers to an order, or how it will not."""
        try:
            return {"answer": await self._network.obey(kind, payload)}
        except Refused as refusal:
            return {"refused": refusal.args[0] if refusal.args else "refused"}
        except PortError as error:
            return {"unreachable": str(error)}

    async def _probe(self, to: str, timeout: float) -> float | None:
        sent = time.monotonic_ns()
        try:
            await self._network.request(to, wire.PING, None, timeout=timeout)
        except PortError:
            return None
        return (time.monotonic_ns() - sent) / 1e6

    def _report(self, what: str, detail: str) -> None:
        """Something no port can express: it goes to the log in full, and to the runtime, which ends the run."""
        if not self._is_excused:
            self._tell({"event": "problem", "what": what, "detail": _last_line(detail)})
        with contextlib.suppress(OSError):  # a full disk is what may have to be reported
            print(f"{what}: {detail}", flush=True)
            if self._history is not None:
                fields = {"what": what, "detail": _last_line(detail), "fatal": not self._is_excused}
                self._history.write(self._name, "problem", fields)

    def _tell(self, message: dict[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(orjson.dumps(message) + b"\n")

    async def _end(self) -> None:
        """Bounded: the runtime kills what takes longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                if self._public is not None:
                    await self._public.close()
                if self._role is not None:
                    self._role.cancel()
                    await asyncio.wait([self._role])
                if self._engine is not None:
                    await asyncio.get_running_loop().run_in_executor(None, self._engine.close)
                await self._network.close()
                if self._writer is not None:
                    self._writer.close()
                    await self._writer.wait_closed()


class _WatchedRecorder:
    """The `Recorder` port: everything goes to the role's own file, and what drives the run to the runner at once."""

    def __init__(self, history: HistoryWriter, name: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self._history = history
        self._name = name
        self._tell = tell
        self._block: dict[str, Any] = {}

    def record(self, kind: str, **fields: Any) -> None:
        self._history.write(self._name, kind, fields)
        if kind == "state" and self._block.get("hash") == fields.get("hash"):
            # The node that reads the venue's state has just written the block: the runner judges the two at once.
            self._tell({"event": "record", "kind": "block", "fields": self._block})
            self._tell({"event": "record", "kind": kind, "fields": fields})
        elif kind == "block":
            self._block = fields
            self._tell({"event": "record", "kind": kind, "fields": {key: fields.get(key) for key in WATCHED_OF_BLOCK}})
        elif kind in WATCHED_KINDS:
            self._tell({"event": "record", "kind": kind, "fields": fields})


def _last_line(text: str) -> str:
    """Of a traceback, the error; of an exception group's, which draws a frame with these characters, an inner one."""
    lines = [line.strip(" |+-") for line in text.splitlines() if line.strip(" |+-")]
    return lines[-1][:500] if lines else ""
