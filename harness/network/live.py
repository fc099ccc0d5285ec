"""A network while it runs: one runtime under it, replaced when a snapshot is loaded, and everything asked of it."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from harness.network import snapshots
from harness.network.descriptions import contracts_of, write_descriptions
from harness.network.hand_faults import HandFaults
from harness.network.values import (
    Endpoint,
    HandFault,
    NetworkFailure,
    NetworkMisuse,
    NetworkState,
    NetworkStatus,
    RoleState,
    RoleStatus,
    Snapshot,
)
from harness.plan import CHAIN_OF_KIND, L1_CHAIN_ID, L2_CHAIN_ID, Plan
from harness.ports import Clock, FaultControl, Json
from harness.runtimes.failure import Problem
from harness.runtimes.local.merging import cut_back
from harness.runtimes.local.saved_stores import SavedStores
from harness.scenario.errors import did_you_mean
from harness.scenario.stage import Stage

FIRST_BLOCK_TIMEOUT_S = 60.0
PROBLEMS_KEPT_MAX = 20
HEADS_KEPT_MAX = 1_000


class LiveRuntime(FaultControl, Protocol):
    """What a network needs of the runtime under it."""

    problems: list[Problem]
    failed: asyncio.Event
    left_behind: str
    watcher: Callable[[str, str, dict[str, Any]], None] | None

    @property
    def clock(self) -> Clock: ...

    async def boot(self) -> None: ...

    async def shutdown(self) -> None: ...

    def states(self) -> Mapping[str, RoleState]: ...

    def pids(self) -> Mapping[str, int]: ...

    @property
    def fault_api(self) -> tuple[str, int] | None:
        """Where Toxiproxy's API is served."""
        ...

    def rpc_endpoints(self) -> Mapping[str, tuple[str, int]]:
        """Role → where its JSON-RPC is reached."""
        ...

    async def save_stores(self, into: Path) -> SavedStores:
        """Copy every role's durable rows as they are at one moment."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """What a runtime is made from: a stage, and a saved state or none."""

    plan: Plan
    stage: Stage
    saved: snapshots.Saved | None = None

    @property
    def role_names(self) -> list[str]:
        return [spec.name for spec in self.plan.roles]


class Platform(Protocol):
    """How one runtime brings networks up. `close` gives back what was prepared and not used."""

    def stage(self, plan: Plan, genesis_timestamp: int | None) -> Stage:
        """The stage of a plan, at a genesis time or at now."""
        ...

    def make(self, origin: Origin) -> LiveRuntime:
        """A runtime that has not booted; what would have to be cleaned up after a killed owner has been noted."""
        ...

    def close(self) -> None: ...


class LiveNetwork:
    """Lives on one event loop. Calls that change the network take turns."""

    def __init__(self, name: str, runtime_name: str, folder: Path, platform: Platform) -> None:
        self.name = name
        self.runtime_name = runtime_name
        self.folder = folder
        self.ended = asyncio.Event()
        """Set when somebody asked the network to stop; the owner then calls `close`."""
        self.breakdown = self.left_behind = ""
        """Why the network as a whole can not go on; it has `ended` then."""
        self._platform = platform
        self._origin: Origin | None = None
        self._runtime: LiveRuntime | None = None
        self._faults: HandFaults | None = None
        self._state: NetworkState = "booting"
        self._turn = asyncio.Lock()
        self._first_block = asyncio.Event()
        self._where: dict[str, tuple[str, int]] = {}
        """Role → its front door, which stays where it is while the role is dead."""
        self._leader: str | None = None
        self._l1_block = self._l2_block = 0
        self._heads: deque[tuple[int, int, int]] = deque(maxlen=HEADS_KEPT_MAX)
        """(the network's clock, L1 block, L2 block) when they became known."""

    # -- its life

    async def start(self, origin: Origin) -> None:
        """Boot, and return when the first block is committed. Call `close` whatever comes of it.

        Raises:
            NetworkFailure: it did not get there in time.
            BootFailure, ToolError, EngineFailure …: what the runtime and the stage raise.
        """
        async with self._turn:
            await self._boot(origin)

    async def _boot(self, origin: Origin, *, next_fault: int = 1) -> None:
        self._state = "booting"
        self._origin = origin
        self._first_block.clear()
        self._heads.clear()
        self._l1_block = self._l2_block = 0
        runtime = self._runtime = self._platform.make(origin)
        runtime.watcher = self._watch
        await runtime.boot()
        await self._wait_for_first_block(runtime)
        self._where = dict(runtime.rpc_endpoints())
        self._faults = HandFaults(
            origin.plan, runtime, runtime.clock, _Unrecorded(), leader=lambda: self._leader,
            doors=list(self._where), first=next_fault,
        )
        write_descriptions(
            self.folder, name=self.name, contracts=contracts_of(origin.stage, origin.plan.project),
            endpoints=self.endpoints(), project=origin.plan.project,
        )
        self._state = "ready"

    async def close(self) -> None:
        """End every process. Idempotent, and not stopped by cancellation."""
        self._state = "ending"
        if self._runtime is not None:
            await self._runtime.shutdown()   # faults end with what they are on
            self.left_behind = self._runtime.left_behind
            if self.left_behind and not self.breakdown:
                self.breakdown = f"not everything of it could be removed: {self.left_behind}"

    async def _wait_for_first_block(self, runtime: LiveRuntime) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._first_block, runtime.failed)]
        try:
            await asyncio.wait(waits, timeout=FIRST_BLOCK_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._first_block.is_set():
            late = f"no block was committed within {FIRST_BLOCK_TIMEOUT_S:g} s, and no role reported a problem"
            raise NetworkFailure(f"network {self.name} did not come up: {'; '.join(self._problem_lines()) or late}")

    # -- what is asked of it

    def status(self) -> NetworkStatus:
        runtime, plan = self._booted()
        pids, states = runtime.pids(), runtime.states()
        roles = [RoleStatus(spec.name, spec.kind, states[spec.name], pids.get(spec.name)) for spec in plan.roles]
        return NetworkStatus(
            name=self.name, runtime=self.runtime_name, state=self._state, pid=os.getpid(), folder=str(self.folder),
            clock_s=round(runtime.clock.monotonic() / 1e9, 3), l1_block=self._l1_block, l2_block=self._l2_block,
            leader=self._leader, roles=tuple(roles),
            faults=() if self._faults is None else self._faults.on(), problems=tuple(self._problem_lines()),
        )  # fmt: skip

    def endpoints(self) -> tuple[Endpoint, ...]:
        _, plan = self._booted()
        where = self._where
        found = []
        for spec in plan.roles:
            if spec.name in where:
                chain = CHAIN_OF_KIND[spec.kind]
                host, port = where[spec.name]
                chain_id = L1_CHAIN_ID if chain == "l1" else L2_CHAIN_ID
                found.append(
                    Endpoint(spec.name, spec.kind, chain, chain_id, f"http://{host}:{port}", f"ws://{host}:{port}")
                )
        return tuple(found)

    def fault_api(self) -> str | None:
        """Where the fault proxy's control API is, if the runtime has one."""
        runtime, _ = self._booted()
        return None if runtime.fault_api is None else "http://{}:{}".format(*runtime.fault_api)

    async def fault(self, words: Mapping[str, Any]) -> HandFault:
        async with self._turn:   # not while roles stand still for a snapshot
            return await self._hand().put_on(words)

    def faults(self) -> tuple[HandFault, ...]:
        return self._hand().all()

    async def heal(self, fault: str | None) -> tuple[HandFault, ...]:
        return await self._hand().heal(fault)

    async def kill(self, role: str) -> None:
        runtime = self._with_role(role)
        async with self._turn:
            await runtime.kill(role)

    async def start_role(self, role: str) -> None:
        runtime = self._with_role(role)
        async with self._turn:
            if await runtime.is_alive(role):
                raise NetworkMisuse(f"{role} is running already; restart ends it first")
            await runtime.start(role)

    async def restart(self, role: str) -> None:
        runtime = self._with_role(role)
        self._not_held(role)
        async with self._turn:
            await runtime.kill(role)
            await runtime.start(role)

    async def pause(self, role: str) -> None:
        await self._with_role(role).pause(role)

    async def resume(self, role: str) -> None:
        self._not_held(role)
        await self._with_role(role).resume(role)

    def log(self, role: str) -> Path:
        self._with_role(role)
        return self.folder / "nodes" / f"{role}.log"

    async def save_snapshot(self, name: str) -> Snapshot:
        async with self._turn:
            runtime, plan = self._booted()
            assert self._origin is not None

            def about(clock_ns: int, size: int) -> Snapshot:
                taken = datetime.now(UTC).isoformat(timespec="seconds")
                # Not the newest: while the roles are woken one after the other, the chain goes on already.
                l1, l2 = next(((l1, l2) for at_ns, l1, l2 in reversed(self._heads) if at_ns <= clock_ns), (0, 0))
                return Snapshot(name, self.name, taken, round(clock_ns / 1e9, 3), l1, l2, size)

            return await snapshots.save(
                name, plan=plan, genesis_timestamp=self._origin.stage.genesis_timestamp, take=runtime.save_stores,
                about=about,
            )  # fmt: skip

    async def load_snapshot(self, name: str) -> Snapshot:
        saved = snapshots.load(name)
        async with self._turn:
            runtime, _ = self._booted()
            # The stage first: what can fail without having done anything should.
            origin = Origin(saved.plan, self._platform.stage(saved.plan, saved.genesis_timestamp), saved)
            await self._hand().heal(None)
            next_fault = self._hand().next
            await runtime.shutdown()
            for history in sorted((self.folder / "nodes").rglob("*.history.jsonl")):
                cut_back(history, saved.stores.clock_ns)   # time goes on from there, and so do they
            try:
                await self._boot(origin, next_fault=next_fault)
            except BaseException as error:
                self._break_down(f"it could not go on from snapshot {name}: {error}")
                raise
            return saved.about

    # -- inside

    @property
    def origin(self) -> Origin:
        """Raises `NetworkFailure` before there is one."""
        self._booted()
        assert self._origin is not None
        return self._origin

    def _booted(self) -> tuple[LiveRuntime, Plan]:
        if self._runtime is None or self._origin is None:
            raise NetworkFailure(f"network {self.name} is not up yet; ask again when it is")
        return self._runtime, self._origin.plan

    def _hand(self) -> HandFaults:
        if self._faults is None or self._state != "ready":
            raise NetworkFailure(f"network {self.name} is {self._state}; faults need one that is ready")
        return self._faults

    def _with_role(self, role: str) -> LiveRuntime:
        runtime, _ = self._booted()
        names = self.origin.role_names
        if role not in names:
            hint = did_you_mean(role, names) or f"; there are {', '.join(names)}"
            raise NetworkMisuse(f'no role is called "{role}"{hint}')
        return runtime

    def _not_held(self, role: str) -> None:
        for fault in self._hand().on():
            if fault.word in ("kill", "pause") and role in fault.target.split(", "):
                raise NetworkMisuse(f"{role} is held by fault {fault.id} ({fault.text}); heal that first")

    def _watch(self, node: str, kind: str, fields: dict[str, Json]) -> None:
        """See what the roles report: the heads, who leads, and what went wrong."""
        if kind == "notice":
            if fields.get("leader"):
                self._leader = str(fields["leader"])
            event, _, number = str(fields["event"]).partition(":")
            if event == "l2-block":
                self._l2_block = int(number)
                self._first_block.set()
                self._note_heads()
        elif kind == "problem" and node not in self.origin.role_names:
            self._break_down(f"{node}: {fields['detail']}")   # not a role: what all of them rest on
        elif kind == "block" and fields["chain"] == "l1":
            self._l1_block = max(self._l1_block, int(fields["number"]))
            self._note_heads()

    def _note_heads(self) -> None:
        if self._runtime is not None:
            self._heads.append((self._runtime.clock.monotonic(), self._l1_block, self._l2_block))

    def _break_down(self, why: str) -> None:
        if self._state != "ending":
            self._state = "failed"
            self.breakdown = self.breakdown or why
            self.ended.set()

    def _problem_lines(self) -> Sequence[str]:
        problems = [] if self._runtime is None else self._runtime.problems[-PROBLEMS_KEPT_MAX:]
        return [f"{problem.role}: {problem.what}: {problem.detail}" for problem in problems]


class _Unrecorded:
    """The recorder of a network without a history."""

    def record(self, kind: str, **fields: Json) -> None: ...
