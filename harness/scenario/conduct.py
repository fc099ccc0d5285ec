"""The course of a run on any runtime: boot, the storm with its faults, heal, and time to make progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.checks.online import OnlineJudge
from harness.faults.outcome import FaultOutcome
from harness.plan import Plan
from harness.ports import Clock, FaultControl, Json, Recorder
from harness.roles.context import RoleFactory
from harness.roles.registry import make_role
from harness.runtimes.supervisor import Supervisor
from harness.scenario.judging import online_judge
from harness.scenario.narration import Narrator

TICK_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a runtime leaves behind: faults with their evidence, the name of the history, and figures."""

    faults: Sequence[FaultOutcome]
    history_sha256: str
    stats: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Variant:
    """What is under test. Another than ours is how one sees a check fail, and how a user brings their own venue."""

    contracts: Path | None = None          # another folder of the venue's Solidity sources
    make_role: RoleFactory = make_role     # another cast of roles
    mutant: str | None = None              # id of a deliberately broken venue, for the record


OURS = Variant()


class Bootable(FaultControl, Protocol):
    """What the conductor needs of a runtime besides its fault controls."""

    async def boot(self) -> None: ...

    async def shutdown(self) -> None: ...


@dataclass(slots=True)
class Conductor:
    """One run's course. `watch` is fed every record as it is written, for triggers and narration.

    A violation of a check of `stop_on` that is seen while the run goes on ends it: nothing more is to be learnt.
    Without `judges_online` nothing is judged before the end.
    """

    plan: Plan
    runtime: Bootable
    clock: Clock
    record: Recorder
    narrator: Narrator
    has_failed: Callable[[], bool]
    on_booted: Callable[[], object] = lambda: None
    stop_on: frozenset[str] = frozenset()
    judges_online: bool = True
    supervisor: Supervisor = field(init=False)
    online: OnlineJudge = field(init=False)
    _leader: str | None = field(init=False, default=None)
    _block: int = field(init=False, default=0)
    _saw_enough: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.online = online_judge(self.plan, wanted=self.judges_online)
        self.supervisor = Supervisor(
            self.plan.faults, self.runtime, self.clock, self.record, leader=lambda: self._leader
        )

    async def run(self) -> None:
        """Everything between boot and end; every fault is healed and every role ended on any exit."""
        try:
            self._phase("boot")
            await self.runtime.boot()
            self.on_booted()
            self._phase("storm")
            await self._storm()
            self._phase("heal")
            self._phase("liveness")
            # Healing is verified before the storm counts as over, which may take a while past its end.
            await self._wait_until(max(self.clock.monotonic(), self.plan.storm_ns) + self.plan.liveness_ns)
            self._phase("end")
        finally:
            await self.runtime.shutdown()

    async def _storm(self) -> None:
        storm = asyncio.ensure_future(self.supervisor.run(until_ns=self.plan.storm_ns))
        try:
            await self._wait_until(self.plan.storm_ns)
            if not self._saw_enough:
                await storm
        finally:
            if not storm.done():
                storm.cancel()
                await asyncio.wait([storm])

    async def _wait_until(self, at_ns: int) -> None:
        """Wait in steps, telling how far the run is; stops early when something failed beyond repair."""
        total = self.plan.storm_ns + self.plan.liveness_ns
        while (left := at_ns - self.clock.monotonic()) > 0 and not self.has_failed() and not self._saw_enough:
            self.narrator.progress(self.clock.monotonic(), total, f"L2 block {self._block}")
            await self.clock.sleep(min(left, TICK_NS) / 1e9)

    def _phase(self, name: str) -> None:
        self.record.record("phase", name=name)
        self.narrator.milestone(f"{self.clock.monotonic() / 1e9:7.2f} s  {name}")

    def watch(self, node: str, kind: str, fields: dict[str, Json]) -> None:
        """See one record: notices trigger faults and name the leader, the rest is worth a line or nothing."""
        for alarm in self.online.see(node, kind, fields):
            self._say(f"VIOLATED at block {alarm.block}: {alarm.check} {alarm.name}: {alarm.summary}")
            self._saw_enough = self._saw_enough or alarm.check in self.stop_on
        match kind:
            case "notice":
                event = str(fields["event"])
                if fields.get("leader"):
                    self._leader = str(fields["leader"])
                if event.startswith("l2-block:"):
                    self._block = int(event.partition(":")[2])
                else:
                    self._say(event)
                self.supervisor.notify(event)
            case "fault" if fields["phase"] in ("inject", "verify", "not-healed"):
                words = {"inject": "begins", "verify": "healed", "not-healed": "NOT HEALED"}[str(fields["phase"])]
                self._say(f"fault {fields['id']} {words}: {self._words_of(str(fields['id']), fields)}")
            case "problem":
                self._say(f"{node}: {fields['what']}: {fields.get('detail', '')}")
            case "block" if fields["chain"] == "l1":
                self.supervisor.notify(f"l1-block:{fields['number']}")
            case _:
                pass

    def _words_of(self, fault: str, fields: dict[str, Json]) -> str:
        """A fault in the scenario file's words; its resolved links may be a hundred."""
        written = next((planned.text for planned in self.plan.faults if planned.id == fault), "")
        return written or f"{fields['fault']} on {fields['target']}"

    def _say(self, text: str) -> None:
        self.narrator.milestone(f"{self.clock.monotonic() / 1e9:7.2f} s  {text}")


class WatchedHistory:
    """A history writer that lets the conductor see each record too.

    Where the disk refuses a record, the run has failed as a whole: whoever wrote it goes on to the end, which is near.
    """

    def __init__(self, write: Callable[[str, str, dict[str, Any]], None]) -> None:
        self._write = write
        self.watcher: Callable[[str, str, dict[str, Any]], None] | None = None
        self.refusal: OSError | None = None
        """The first error; nothing is written after it."""

    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        if self.refusal is None:
            try:
                self._write(node, kind, fields)
            except OSError as error:
                self.refusal = error
        if self.watcher is not None:
            self.watcher(node, kind, fields)

    def recorder(self, node: str) -> WatchedRecorder:
        return WatchedRecorder(self, node)


@dataclass(frozen=True, slots=True)
class WatchedRecorder:
    """The `Recorder` port of the runner itself."""

    history: WatchedHistory
    node: str

    def record(self, kind: str, **fields: Json) -> None:
        self.history.write(self.node, kind, fields)
