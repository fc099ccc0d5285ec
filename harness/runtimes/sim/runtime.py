"""The simulator: roles on one virtual loop, and the control its fault supervisor has over them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.faults.rpc import RpcPolicy
from harness.faults.rules import RpcCounters, RpcRule
from harness.plan import Plan, RoleSpec
from harness.ports import Engine, Json, LinkCounters, LinkRule, PortError, RpcService, Unreachable
from harness.roles.context import RoleContext, RoleFactory
from harness.runtimes.failure import Problem
from harness.runtimes.lying import lying
from harness.runtimes.lying_rpc import LyingPublic
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.clock import SimClock
from harness.runtimes.sim.loop import VirtualLoop, virtual_loop
from harness.runtimes.sim.network import PING, Fabric, SimNetwork
from harness.runtimes.sim.node import NodeState, SimNode
from harness.runtimes.sim.store import MemDisk

STOP_SECONDS_MAX = 5.0
DISK_BYTES = 2**30
"""Room that a simulated disk has, unless a fault has filled it."""
"""Virtual time a role has to end when it is asked to."""


class History(Protocol):
    """Where records go; `HistoryWriter` is one."""

    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None: ...


class EngineHost(Protocol):
    """Where nodes get their execution engine from."""

    def prepare(self, roles: Sequence[RoleSpec]) -> None:
        """Begin starting what these roles will open, side by side."""
        ...

    def open(self, spec: RoleSpec) -> Engine | None:
        """The engine of a role that starts; None for a role that is not a node."""
        ...

    def drop(self, role: str) -> None:
        """The role lost power, and its execution node with it."""
        ...

    def close(self) -> None:
        """End whatever was started; after this nothing of it is left."""
        ...


class _PublicRpc:
    """The `PublicRpc` port of one incarnation: whoever drives the simulation asks the service itself."""

    def __init__(self) -> None:
        self.service: RpcService | None = None

    def serve(self, service: RpcService) -> None:
        self.service = service


@dataclass(slots=True)
class _Machine:
    """What of a role outlives its process."""

    spec: RoleSpec
    clock: SimClock
    disk: MemDisk = field(default_factory=MemDisk)
    node: SimNode | None = None
    network: SimNetwork | None = None
    public: _PublicRpc | None = None
    rpc_rules: dict[str, RpcRule] = field(default_factory=dict)
    rpc: RpcPolicy | None = None

    @property
    def state(self) -> NodeState:
        return NodeState.DEAD if self.node is None else self.node.state


class SimRuntime:
    """Boots a plan's roles in virtual time, and is the `FaultControl` over them. Lives on one `VirtualLoop`."""

    def __init__(
        self,
        plan: Plan,
        factory: RoleFactory,
        history: History,
        *,
        genesis_timestamp: int,
        engines: EngineHost | None = None,
        deployment: Mapping[str, str] | None = None,
        accounts: Mapping[str, str] | None = None,
        keys: Mapping[str, bytes] | None = None,
        disks: Mapping[str, MemDisk] | None = None,
    ) -> None:
        """`disks` are what roles find when they first start, where that is not an empty one; they become theirs."""
        self.plan = plan
        self.loop: VirtualLoop = virtual_loop()
        self.random = KeyedRandom(plan.seed)
        self.problems: list[Problem] = []
        self.failed = asyncio.Event()
        """Set with the first problem: nothing after it is worth waiting for."""
        self._factory = factory
        self._history = history
        self._genesis_timestamp = genesis_timestamp
        self._engines = engines
        self._deployment = dict(deployment or {})
        self._accounts = dict(accounts or {})
        self._keys = dict(keys or {})
        self.clock = SimClock(self.loop, genesis_ns=genesis_timestamp * 1_000_000_000)
        """The run's own clock, never skewed."""
        self._fabric = Fabric(self.loop, self.random, report=self._report)
        self._machines: dict[str, _Machine] = {}
        for spec in plan.roles:
            self._fabric.declare(spec.name)
            clock = SimClock(self.loop, genesis_ns=genesis_timestamp * 1_000_000_000)
            self._machines[spec.name] = _Machine(spec, clock, (disks or {}).get(spec.name) or MemDisk())
        for latency in plan.latencies:
            self._fabric.set_latency(
                latency.src, latency.dst, delay_ms=latency.delay_ms, jitter_ms=latency.jitter_ms
            )

    # -- the life of a run

    async def boot(self) -> None:
        """Start every role, in the plan's order."""
        if self._engines is not None:
            self._engines.prepare(self.plan.roles)
        for name in self._machines:
            await self.start(name)

    async def shutdown(self) -> None:
        """Ask every role to end, cut the power of those that do not, and end the engines. Bounded; call it once."""
        try:
            tasks: list[asyncio.Task[Any]] = []
            for machine in self._machines.values():
                if machine.node is not None:
                    self.loop.resume(machine.node)
                    tasks += machine.node.pending_tasks()
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=STOP_SECONDS_MAX)
        finally:
            for machine in self._machines.values():
                self._cut_power(machine)
            if self._engines is not None:
                self._engines.close()

    def network_of(self, role: str) -> SimNetwork:
        """The running incarnation's network, for the runner's own questions. Raises KeyError if the role is down."""
        network = self._machine(role).network
        if network is None:
            raise KeyError(f"{role} is not running")
        return network

    def rpc_of(self, role: str) -> RpcService:
        """A running node's JSON-RPC interface; ask it on this loop. Raises KeyError while there is none."""
        public = self._machine(role).public
        if public is None or public.service is None:
            raise KeyError(f"{role} answers no JSON-RPC: it is down, starting, or no node")
        return public.service

    def copy_disks(self) -> dict[str, MemDisk]:
        """What is durable of every role at this moment, as if all of them lost power now."""
        return {name: machine.disk.copy() for name, machine in self._machines.items()}

    def power_off(self) -> None:
        """Cut every role's power and leave the engines as they are. Nothing of this runtime runs after it."""
        for machine in self._machines.values():
            self._cut_power(machine)

    # -- FaultControl

    def roles(self) -> Sequence[str]:
        return tuple(self._machines)

    async def set_link(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
        self._machine(src)
        self._machine(dst)
        self._fabric.set_rules(src, dst, rules)

    async def link_counters(self, src: str, dst: str) -> LinkCounters:
        return self._fabric.counters(src, dst)

    async def probe(self, src: str, dst: str, *, timeout: float) -> float | None:
        source = self._machine(src)
        self._machine(dst)
        if source.network is None or source.state is not NodeState.RUNNING:
            return None
        sent_ns = self.loop.now_ns
        try:
            await source.network.request(dst, PING, None, timeout=timeout)
        except PortError:
            return None
        return (self.loop.now_ns - sent_ns) / 1e6

    async def kill(self, role: str) -> None:
        self._cut_power(self._machine(role))

    async def start(self, role: str) -> None:
        machine = self._machine(role)
        if machine.state is not NodeState.DEAD:
            return
        node = self.loop.node(role)
        policy = machine.rpc = RpcPolicy(role, self.random)
        policy.set_rules(machine.rpc_rules)
        network = self._fabric.attach(role, node, wrap=lambda handler: lying(policy, handler, machine.clock))
        machine.node, machine.network, machine.public = node, network, _PublicRpc()
        context = RoleContext(
            name=role,
            spec=machine.spec,
            plan=self.plan,
            clock=machine.clock,
            network=network,
            engine=None if self._engines is None else self._engines.open(machine.spec),
            store=machine.disk.mount(),
            random=self.random,
            record=_NodeRecorder(self._history, node),
            deployment=self._deployment,
            accounts=self._accounts,
            genesis_timestamp=self._genesis_timestamp,
            public=LyingPublic(machine.public, policy, machine.clock),
            key=self._keys.get(role),
        )
        self.loop.create_task(self._run_role(context), name=role, context=node.context.copy())

    async def pause(self, role: str) -> None:
        node = self._machine(role).node
        if node is not None:
            self.loop.pause(node)

    async def resume(self, role: str) -> None:
        machine = self._machine(role)
        if machine.node is not None and machine.node.state is NodeState.PAUSED:
            assert machine.network is not None
            self.loop.resume(machine.node)
            machine.network.resumed()

    async def skew(self, role: str, *, offset_ms: float, drift_ppm: float = 0.0) -> None:
        self._machine(role).clock.skew(offset_ms=offset_ms, drift_ppm=drift_ppm)

    async def set_rpc(self, role: str, rules: Mapping[str, RpcRule]) -> None:
        machine = self._machine(role)
        machine.rpc_rules = dict(rules)
        if machine.rpc is not None:
            machine.rpc.set_rules(rules)

    async def rpc_counters(self, role: str) -> Mapping[str, RpcCounters]:
        policy = self._machine(role).rpc
        return {} if policy is None else policy.counters()

    async def order(self, role: str, kind: str, payload: Json, *, timeout: float) -> Json:
        machine = self._machine(role)
        if machine.network is None or machine.node is None or machine.state is not NodeState.RUNNING:
            raise Unreachable(f"{role} does not run")
        obeying = self.loop.create_task(machine.network.obey(kind, payload), context=machine.node.context.copy())
        try:
            async with asyncio.timeout(timeout):
                return await obeying
        except TimeoutError:
            raise Unreachable(f"{role} did not carry out {kind!r} within {timeout:g} s") from None

    async def is_alive(self, role: str) -> bool:
        return self._machine(role).state is not NodeState.DEAD

    async def clock_offset(self, role: str) -> float:
        return (self._machine(role).clock.now() - self.clock.now()) / 1e6

    # -- DiskControl

    async def fill_disk(self, role: str) -> None:
        self._machine(role).disk.full = True

    async def free_disk(self, role: str) -> None:
        self._machine(role).disk.full = False

    async def disk_room(self, role: str) -> int:
        return 0 if self._machine(role).disk.full else DISK_BYTES

    # -- inside

    def _machine(self, role: str) -> _Machine:
        try:
            return self._machines[role]
        except KeyError:
            raise KeyError(f"no role is called {role!r}; there are {', '.join(self._machines)}") from None

    def _cut_power(self, machine: _Machine) -> None:
        if machine.node is None:
            return
        self.loop.crash(machine.node)
        machine.disk.lose_power()
        machine.node = machine.network = machine.public = machine.rpc = None
        if self._engines is not None:
            self._engines.drop(machine.spec.name)

    async def _run_role(self, context: RoleContext) -> None:
        try:
            await self._factory(context).run()
        except Exception as error:
            self._report(context.name, "run", error)

    def _report(self, role: str, what: str, error: BaseException) -> None:
        if self.loop.is_closed():
            return  # a crashed role unwinding after the run: it is no longer part of anything
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        machine = self._machine(role)
        if machine.disk.full:  # a fault's doing, and what a role is to do then: it ends
            if machine.node is not None:
                fields = {"what": what, "detail": f"{type(error).__name__}: {error}", "fatal": False}
                self._history.write(role, "problem", fields)
                self.loop.call_soon(self._cut_power, machine)
            return
        problem = Problem(role, what, f"{type(error).__name__}: {error}{_place(error)}")
        self.problems.append(problem)
        self.failed.set()
        self._history.write(role, "problem", {"what": what, "detail": problem.detail, "fatal": True})


class _NodeRecorder:
    """The `Recorder` port of one incarnation; silent once it is dead."""

    __slots__ = ("_history", "_node")

    def __init__(self, history: History, node: SimNode) -> None:
        self._history = history
        self._node = node

    def record(self, kind: str, **fields: Json) -> None:
        if self._node.state is not NodeState.DEAD:
            self._history.write(self._node.name, kind, fields)


def _place(error: BaseException) -> str:
    """` (at file:line in function)`, by file name only so that histories of two checkouts are equal."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    return f" (at {last.filename.rpartition('/')[2]}:{last.lineno} in {last.name})"
