"""What a network in virtual time consists of: a loop, a runtime on it, Anvils under it, a history; and its moments."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from harness.anvil import AnvilEngine
from harness.history.recorder import HistoryWriter
from harness.network.hand_faults import HandFaults
from harness.network.values import NetworkFailure, NetworkMisuse, RoleState, Snapshot
from harness.plan import Plan
from harness.roles.registry import make_role
from harness.rollup.blocks import Hash
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.engines import SimEngines
from harness.runtimes.sim.loop import VirtualLoop, new_loop
from harness.runtimes.sim.run import collecting_rarely
from harness.runtimes.sim.runtime import SimRuntime
from harness.runtimes.sim.store import MemDisk
from harness.scenario.conduct import WatchedHistory
from harness.scenario.on_sim import RUNNER
from harness.scenario.plan_file import plan_bytes
from harness.scenario.stage import SIM_GENESIS_TIMESTAMP, Stage, run_record, set_stage
from harness.testing.committed import Committed

T = TypeVar("T")
HISTORY = "history.jsonl"


@dataclass(frozen=True, slots=True)
class Moment:
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


class SimWorld:
    """One world at a time: it begins at genesis or at a moment, and ends when another begins."""

    runtime = "sim"

    def __init__(self, plan: Plan, *, name: str, folder: Path) -> None:
        """`folder` is made, and holds plan.json and history.jsonl."""
        self.plan = plan
        self.name = name
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plan.json").write_bytes(plan_bytes(plan))
        self._moments: dict[str, Moment] = {}
        self._stage: Stage = set_stage(plan, genesis_timestamp=SIM_GENESIS_TIMESTAMP)
        self._engines = _Engines(
            lambda chain, node: AnvilEngine(self._stage.l1 if chain == "l1" else self._stage.l2, name=node)
        )
        self._stream: IO[bytes] | None = None
        self._loop: VirtualLoop | None = None
        self._states: dict[str, RoleState] = {}
        self.committed = Committed()

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

    @property
    def now(self) -> float:
        """Seconds of virtual time since genesis."""
        return self._running().now_ns / 1e9

    def history(self) -> Path:
        """The history so far, on disk."""
        assert self._stream is not None, "a running network writes a history"
        self._stream.flush()
        return self.folder / HISTORY

    def moment(self, name: str) -> Moment:
        self._running()
        assert self._stream is not None, "a running network writes a history"
        self._stream.flush()
        history = (self.folder / HISTORY).read_bytes()
        taken = datetime.now(UTC).isoformat(timespec="seconds")
        about = Snapshot(
            name, self.name, taken, self.now, self.committed.l1_block, self.committed.number, len(history)
        )
        return Moment(
            about, self._running().now_ns, self._runtime.copy_disks(), history, self.committed.copy(),
            self._engines.heads(),
        )  # fmt: skip

    def begin(self, moment: Moment | None) -> None:
        loop = self._loop = new_loop(KeyedRandom(self.plan.seed))
        loop.now_ns = 0 if moment is None else moment.now_ns
        self.committed = Committed() if moment is None else moment.committed.copy()
        self._stream = (self.folder / HISTORY).open("wb")
        writer = HistoryWriter(self._stream, now_ns=lambda: loop.now_ns)
        self._history = WatchedHistory(writer.write)
        if moment is not None:
            self._stream.write(moment.history)
        loop.run_until_complete(self._boot_from(moment))

    async def _boot_from(self, moment: Moment | None) -> None:
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

    def end(self) -> None:
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

    def _problem_lines(self) -> list[str]:
        return [f"{problem.role}: {problem.what}: {problem.detail}" for problem in self._runtime.problems[-5:]]


async def _a_moment() -> None:
    """For tasks that were cancelled to see it."""
    await asyncio.sleep(0)
