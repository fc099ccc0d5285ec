"""A network in virtual time inside the test's own process: the test says how long it runs, and it stands still between.

It satisfies `harness.network.handle.Network`. A snapshot is what every role has on disk at one moment, as if all lost
power; bringing it back starts the roles from there at that moment, on a new virtual loop over the same Anvils, which
have executed those blocks already. So it costs milliseconds, and a test sees nothing of the one before it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from harness.anvil import AnvilEngine
from harness.history.recorder import HistoryWriter
from harness.network.descriptions import accounts_of, contracts_of
from harness.network.hand_faults import HandFaults
from harness.network.values import (
    Contract,
    Endpoint,
    HandFault,
    NamedAccount,
    NetworkFailure,
    NetworkMisuse,
    NetworkStatus,
    RoleState,
    RoleStatus,
    Snapshot,
)
from harness.plan import CHAIN_OF_KIND, Plan
from harness.roles.jsonrpc.service import NO_SESSION
from harness.roles.registry import make_role
from harness.rollup.blocks import Hash
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.engines import SimEngines
from harness.runtimes.sim.loop import VirtualLoop, new_loop
from harness.runtimes.sim.run import collecting_rarely
from harness.runtimes.sim.runtime import SimRuntime
from harness.runtimes.sim.store import MemDisk
from harness.scenario.conduct import WatchedHistory
from harness.scenario.errors import did_you_mean
from harness.scenario.on_sim import RUNNER
from harness.scenario.plan_file import plan_bytes
from harness.scenario.stage import SIM_GENESIS_TIMESTAMP, Stage, run_record, set_stage
from harness.testing.committed import Committed, SeenEvent

T = TypeVar("T")
FIRST_BLOCK_SECONDS_MAX = 60.0
STEP_S = 0.05
HISTORY = "history.jsonl"
EXECUTED_MAX = 5_000
"""Blocks, of all tests together; the engines and their journals keep each of them."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """What a snapshot holds; nobody changes it."""

    about: Snapshot
    now_ns: int
    disks: Mapping[str, MemDisk]
    history: bytes
    committed: Committed
    heads: Mapping[str, Hash]   # where the engines stood


class _Engines(SimEngines):
    """Engines that outlive the runtimes which open them."""

    def close(self) -> None: ...

    def really_close(self) -> None:
        super().close()


class SimNetwork:
    """Everything blocks, and returns at a moment of virtual time. Not for several threads."""

    runtime = "sim"

    def __init__(self, plan: Plan, *, name: str, folder: Path) -> None:
        """`folder` is made, and holds plan.json and history.jsonl."""
        self.plan = plan
        self.name = name
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plan.json").write_bytes(plan_bytes(plan))
        self._moments: dict[str, _Moment] = {}
        self._stage: Stage = set_stage(plan, genesis_timestamp=SIM_GENESIS_TIMESTAMP)
        self._engines = _Engines(
            lambda chain, node: AnvilEngine(self._stage.l1 if chain == "l1" else self._stage.l2, name=node)
        )
        self._stream: IO[bytes] | None = None
        self._loop: VirtualLoop | None = None
        self._states: dict[str, RoleState] = {}
        self.committed = Committed()

    def __repr__(self) -> str:
        where = "stopped" if self._loop is None else f"at {self.now:.2f} s, L2 block {self.height}"
        return f"<network {self.name} (sim) {where}>"

    # -- its life

    def boot(self) -> None:
        """Boot, and return when the first block is committed.

        Raises:
            NetworkFailure: it did not come up. ToolError, EngineFailure: what is under it failed.
        """
        try:
            self._begin(None)
            self.wait_until(lambda: self.committed.number > 0, within=FIRST_BLOCK_SECONDS_MAX)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._end()
        self._engines.really_close()
        self._moments.clear()

    def remove(self) -> None:
        """Stop, and leave no file behind."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- time

    @property
    def now(self) -> float:
        """Seconds of virtual time since genesis."""
        return self._running().now_ns / 1e9

    def advance(self, seconds: float) -> None:
        """Let so much virtual time pass. Raises NetworkFailure if a role fails meanwhile."""
        if seconds < 0:
            raise NetworkMisuse(f"time cannot go back by {-seconds:g} s; load a snapshot")
        self.run(asyncio.sleep(seconds))

    def jump(self, seconds: float) -> None:
        """Skip so much time at once: everything is off meanwhile, as in an outage, and starts again from its disk.

        For timers of days, which would take `advance` a block every half second. The venue sees the outage it is:
        its grace for liquidations begins. Faults that are on are healed first; what was pending is forgotten.
        """
        if seconds < 0:
            raise NetworkMisuse(f"time cannot go back by {-seconds:g} s; load a snapshot")
        self.heal()
        moment = self._moment("jump")
        self._end()
        self._begin(replace(moment, now_ns=moment.now_ns + round(seconds * 1e9)))
        there = self._stage.genesis_timestamp + int(self.now)

        def has_arrived() -> bool:
            """The first blocks still stand on the L1 of before, which holds their clock back."""
            newest = self.committed.blocks(above=self.height - 1)
            return bool(newest) and newest[-1].timestamp >= there

        if not self.wait_until(has_arrived, within=FIRST_BLOCK_SECONDS_MAX):
            raise NetworkFailure(f"the chain's clock did not arrive within {FIRST_BLOCK_SECONDS_MAX:g} s of the jump")

    def wait_until(self, condition: Callable[[], T], *, within: float, step: float = STEP_S) -> T | None:
        """Let time pass until the condition is true, and return what it returned; None when `within` s are over."""
        deadline_ns = self._running().now_ns + round(within * 1e9)
        while not (found := condition()):
            left_s = (deadline_ns - self._running().now_ns) / 1e9
            if left_s <= 0:
                return None
            self.advance(min(step, left_s))
        return found

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something on the network's loop to its end; virtual time passes as it needs it."""
        try:
            loop = self._running()
            if asyncio._get_running_loop() is not None:
                raise NetworkMisuse("a network in virtual time runs its own loop; use it from a test that is not async")
        except (NetworkFailure, NetworkMisuse):
            coroutine.close()
            raise
        with collecting_rarely():
            answer = loop.run_until_complete(coroutine)
        if self._runtime.failed.is_set():
            raise NetworkFailure(f"network {self.name} cannot go on: {'; '.join(self._problem_lines())}")
        if self._history.refusal is not None:
            raise self._history.refusal
        return answer

    # -- what it has done

    @property
    def height(self) -> int:
        return self.committed.number

    @property
    def is_worn(self) -> bool:
        """So much has been executed that starting anew costs less than keeping it all."""
        return sum(counts.executed for counts in self._engines.counts().values()) > EXECUTED_MAX

    def web3(self, role: str | None = None) -> Any:
        from harness.testing.provider import sim_web3  # web3 takes most of a second to import

        return sim_web3(self, role)

    def events(self, name: str | None = None, *, above: int = 0) -> list[SeenEvent]:
        """Events of committed blocks above a height: all, those called `Name`, or those of `contract.Name`."""
        return list(self.committed.events(name, above=above))

    def history(self) -> Path:
        """The history so far, on disk."""
        assert self._stream is not None, "a running network writes a history"
        self._stream.flush()
        return self.folder / HISTORY

    # -- the handle

    def status(self) -> NetworkStatus:
        roles = [RoleStatus(spec.name, spec.kind, self._states[spec.name], None) for spec in self.plan.roles]
        return NetworkStatus(
            name=self.name, runtime=self.runtime, state="ready", pid=0, folder=str(self.folder), clock_s=self.now,
            l1_block=self.committed.l1_block, l2_block=self.committed.number, leader=self.committed.leader,
            roles=tuple(roles), faults=self._faults.on(), problems=tuple(self._problem_lines()),
        )  # fmt: skip

    def endpoints(self) -> tuple[Endpoint, ...]:
        """None: a simulated network has no ports; ask `rpc`."""
        return ()

    def accounts(self) -> tuple[NamedAccount, ...]:
        return accounts_of(self.plan)

    def contracts(self) -> tuple[Contract, ...]:
        return contracts_of(self._stage, self.plan.project)

    def nodes(self) -> list[str]:
        """Roles that answer JSON-RPC of L2, those alive, replicas first: they follow whoever has the quorum."""
        kinds = ("replica", "sequencer")
        found = [spec for spec in self.plan.roles if CHAIN_OF_KIND.get(spec.kind) == "l2"]
        found.sort(key=lambda spec: kinds.index(spec.kind))
        return [spec.name for spec in found if self._states[spec.name] == "running"]

    def rpc(self, request: bytes, *, role: str | None = None) -> bytes | None:
        """The answer of a node to a JSON-RPC request; of the first that runs, unless a role is named."""
        nodes = [role] if role is not None else self.nodes()
        if not nodes:
            raise NetworkFailure(f"no node of network {self.name} is running")
        try:
            service = self._runtime.rpc_of(nodes[0])
        except KeyError as error:
            raise NetworkMisuse(str(error.args[0])) from None
        return self.run(service.answer(request, NO_SESSION))

    def fault(self, fault: Mapping[str, Any]) -> HandFault:
        put_on = self.run(self._faults.put_on(fault))
        if put_on.word in ("kill", "pause"):
            for role in self.plan.roles:
                if role.name in put_on.target.split(", "):
                    self._states[role.name] = "dead" if put_on.word == "kill" else "paused"
        return put_on

    def faults(self) -> tuple[HandFault, ...]:
        return self._faults.all()

    def heal(self, fault: str | None = None) -> tuple[HandFault, ...]:
        healed = self.run(self._faults.heal(fault))
        for item in healed:
            if item.word in ("kill", "pause"):
                self._states.update({role: "running" for role in item.target.split(", ") if role in self._states})
        return healed

    def kill(self, role: str) -> None:
        self._known(role)
        self.run(self._runtime.kill(role))
        self._states[role] = "dead"

    def start(self, role: str) -> None:
        self._known(role)
        self.run(self._runtime.start(role))
        self._states[role] = "running"

    def log(self, role: str) -> Path:
        """Roles in one process have no logs; what they say is in the history."""
        self._known(role)
        return self.history()

    def restart(self, role: str) -> None:
        self.kill(role)
        self.start(role)

    def pause(self, role: str) -> None:
        self._known(role)
        self.run(self._runtime.pause(role))
        self._states[role] = "paused"

    def resume(self, role: str) -> None:
        self._known(role)
        self.run(self._runtime.resume(role))
        self._states[role] = "running"

    # -- snapshots

    def save_snapshot(self, name: str) -> Snapshot:
        self._moments[name] = self._moment(name)
        return self._moments[name].about

    def _moment(self, name: str) -> _Moment:
        self._running()
        assert self._stream is not None, "a running network writes a history"
        self._stream.flush()
        history = (self.folder / HISTORY).read_bytes()
        taken = datetime.now(UTC).isoformat(timespec="seconds")
        about = Snapshot(
            name, self.name, taken, self.now, self.committed.l1_block, self.committed.number, len(history)
        )
        return _Moment(
            about, self._running().now_ns, self._runtime.copy_disks(), history, self.committed.copy(),
            self._engines.heads(),
        )  # fmt: skip

    def load_snapshot(self, name: str) -> Snapshot:
        """Bring a moment back: its state, its time, its history. Faults, and what was sent and not stored, are gone."""
        moment = self._moments.get(name)
        if moment is None:
            there = did_you_mean(name, self._moments) or f"; there are {', '.join(self._moments) or 'none'}"
            raise NetworkMisuse(f'no snapshot is called "{name}"{there}')
        self._end()
        self._engines.return_to(moment.heads)
        self._begin(moment)
        return moment.about

    def snapshots(self) -> tuple[Snapshot, ...]:
        return tuple(moment.about for moment in self._moments.values())

    # -- inside

    def _begin(self, moment: _Moment | None) -> None:
        loop = self._loop = new_loop(KeyedRandom(self.plan.seed))
        loop.now_ns = 0 if moment is None else moment.now_ns
        self.committed = Committed() if moment is None else moment.committed.copy()
        self._stream = (self.folder / HISTORY).open("wb")
        writer = HistoryWriter(self._stream, now_ns=lambda: loop.now_ns)
        self._history = WatchedHistory(writer.write)
        if moment is not None:
            self._stream.write(moment.history)
        loop.run_until_complete(self._boot_from(moment))

    async def _boot_from(self, moment: _Moment | None) -> None:
        stage = self._stage
        if moment is None:
            self._history.write(RUNNER, "run", run_record(self.plan, stage, runtime=self.runtime))
        self._runtime = SimRuntime(
            self.plan,
            make_role,
            self._history,
            genesis_timestamp=stage.genesis_timestamp,
            engines=self._engines,
            deployment=stage.deployment,
            accounts=stage.accounts,
            disks=None if moment is None else {role: disk.copy() for role, disk in moment.disks.items()},
        )
        self._states = {spec.name: "running" for spec in self.plan.roles}
        self._history.watcher = self.committed.watch
        self._faults = HandFaults(
            self.plan, self._runtime, self._runtime.clock, self._history.recorder(RUNNER),
            leader=lambda: self.committed.leader,
        )  # fmt: skip
        await self._runtime.boot()

    def _end(self) -> None:
        """Cut the power and forget the loop; the Anvils stay."""
        loop, self._loop = self._loop, None
        if loop is not None:
            if hasattr(self, "_runtime"):
                self._runtime.power_off()
            loop.crash_all()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(_a_moment())
            loop.close()
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _running(self) -> VirtualLoop:
        if self._loop is None:
            raise NetworkFailure(f"network {self.name} has been stopped")
        return self._loop

    def _known(self, role: str) -> None:
        if role not in self._states:
            hint = did_you_mean(role, self._states) or f"; there are {', '.join(self._states)}"
            raise NetworkMisuse(f'no role is called "{role}"{hint}')

    def _problem_lines(self) -> list[str]:
        return [f"{problem.role}: {problem.what}: {problem.detail}" for problem in self._runtime.problems[-5:]]


async def _a_moment() -> None:
    """For tasks that were cancelled to see it."""
    await asyncio.sleep(0)
