"""Drives a plan's faults through any runtime's control: applies, measures, heals on every exit, verifies, reports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

from harness.faults.outcome import FaultOutcome
from harness.plan import PlannedFault
from harness.ports import Clock, CpuControl, DiskControl, FaultControl, LinkRule, Recorder
from harness.runtimes.injectors.cpu import CpuInjector
from harness.runtimes.injectors.disconnect import DisconnectInjector
from harness.runtimes.injectors.disk_full import DiskFullInjector
from harness.runtimes.injectors.kill import KillInjector
from harness.runtimes.injectors.lie import LieInjector
from harness.runtimes.injectors.link import LinkInjector
from harness.runtimes.injectors.order import OrderInjector
from harness.runtimes.injectors.pause import PauseInjector
from harness.runtimes.injectors.reorg import ReorgInjector
from harness.runtimes.injectors.skew import SkewInjector
from harness.runtimes.injectors.stage import PROBE_SECONDS, Injector, Stage
from harness.runtimes.injectors.stop import StopInjector
from harness.runtimes.shielded import finish_despite_cancellation

LEADER = "leader"
"""The word in a target that means whoever leads when the fault fires."""

HEAL_SECONDS_MAX = 60.0
VERIFY_SECONDS_MAX = 10.0
VERIFY_SECONDS_MAX_CANCELLED = 2.0
VERIFY_PAUSE_SECONDS = 0.25
LEADER_SECONDS_MAX = 2.0
LEADER_PAUSE_SECONDS = 0.05
FOREVER_NS = 2**62
"""Later than anything ends, in nanoseconds of monotonic time."""
SLEEP_SECONDS_MAX = 3600.0
"""Longer sleeps are taken in parts: a loop need not be able to count to forever."""
MEASURED_SHARE = 0.8
"""Of a fault's duration, how much the probes at its beginning may take at most."""


class Unresolved(Exception):
    """A fault's target could not be named, or the runtime can not do such a thing to it."""


class Supervisor:
    """One run's faults. `outcomes` fills up as they end, whichever way `run` is left."""

    def __init__(
        self,
        faults: Sequence[PlannedFault],
        control: FaultControl,
        clock: Clock,
        record: Recorder,
        *,
        leader: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`clock` is the run's own; `leader()` names the role that leads now, None when nobody knows."""
        self._faults = tuple(faults)
        self._stage = Stage(control)
        self._clock = clock
        self._record = record
        self._leader = leader
        self._outcomes: dict[str, FaultOutcome] = {}
        self._events = {
            fault.trigger.event: asyncio.Event() for fault in self._faults if fault.trigger.event is not None
        }

    @property
    def outcomes(self) -> tuple[FaultOutcome, ...]:
        """Of the faults that are over, in the order of the plan."""
        return tuple(self._outcomes[fault.id] for fault in self._faults if fault.id in self._outcomes)

    def notify(self, event: str) -> None:
        """A protocol event has happened; faults that wait for it begin (after their own delay)."""
        waited_for = self._events.get(event)
        if waited_for is not None:
            waited_for.set()

    async def run(self, *, until_ns: int) -> tuple[FaultOutcome, ...]:
        """Run the storm to `until_ns` of monotonic time. When it returns or raises, every fault has been healed."""
        async with asyncio.TaskGroup() as group:
            for fault in self._faults:
                group.create_task(self._storm(fault, until_ns), name=f"fault {fault.id}")
        return self.outcomes

    async def throw(
        self, fault: PlannedFault, *, enough: asyncio.Event, on_felt: Callable[[Injector], None]
    ) -> FaultOutcome:
        """Inject a fault now, whatever its trigger says; heal it after its duration, if it has one, or when `enough`.

        For faults by hand. `on_felt` is called when the fault is on and has been measured. Cancelling heals it in
        haste; the outcome is then among `thrown`.

        Raises:
            Unresolved: nobody leads, and the fault is the leader's; nothing was done.
        """
        injector = await self._resolved_injector(fault)
        with contextlib.suppress(Exception):  # without a baseline the fault is judged by its counters alone
            await injector.measure_before(seconds_max=PROBE_SECONDS)
        await self._inject_and_heal(fault, injector, FOREVER_NS, enough=enough, on_felt=on_felt)
        return self._outcomes[fault.id]

    @property
    def thrown(self) -> Mapping[str, FaultOutcome]:
        """Outcomes by fault id; `forget` them when they have been read."""
        return self._outcomes

    def forget(self, fault: str) -> None:
        self._outcomes.pop(fault, None)

    async def _storm(self, fault: PlannedFault, until_ns: int) -> None:
        early: Injector | None = None
        if fault.trigger.at_ns is not None and not _is_dynamic(fault):
            lead_ns = round(PROBE_SECONDS * 1.5e9)
            await self._sleep_until(min(fault.trigger.at_ns + fault.trigger.delay_ns - lead_ns, until_ns))
            try:
                early = self._injector(fault)
            except Unresolved as error:
                self._end(fault, _words(fault), bit=False, healed=True, evidence={"error": str(error)})
                return
            left_ns = fault.trigger.at_ns + fault.trigger.delay_ns - self._clock.monotonic()
            if left_ns > 0:
                # Without a baseline the fault is judged by its counters alone.
                with contextlib.suppress(Exception):
                    await early.measure_before(seconds_max=left_ns * MEASURED_SHARE / 1e9)
        if not await self._wait_for_trigger(fault, until_ns):
            self._end(fault, _words(fault), bit=False, healed=True, evidence={"triggered": False})
            return
        try:
            injector = early if early is not None else await self._resolved_injector(fault)
        except Unresolved as error:
            self._end(fault, _words(fault), bit=False, healed=True, evidence={"triggered": True, "error": str(error)})
            return
        await self._inject_and_heal(fault, injector, until_ns)

    async def _inject_and_heal(
        self,
        fault: PlannedFault,
        injector: Injector,
        until_ns: int,
        *,
        enough: asyncio.Event | None = None,
        on_felt: Callable[[Injector], None] = lambda _: None,
    ) -> None:
        end_ns = until_ns
        if fault.reorg is not None:
            end_ns = self._clock.monotonic()  # it happens at once
        elif fault.duration_ns is not None:
            end_ns = min(until_ns, self._clock.monotonic() + fault.duration_ns)
        error = ""
        finished = False
        try:
            self._say(fault, injector, "inject", {"until_ns": end_ns, "text": fault.text})
            await injector.apply()
            left_s = (end_ns - self._clock.monotonic()) / 1e9
            await injector.measure_during(seconds_max=left_s * MEASURED_SHARE)
            on_felt(injector)
            await (self._sleep_until(end_ns) if enough is None else self._first_of(enough, end_ns))
            finished = True
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        finally:
            try:
                await finish_despite_cancellation(
                    self._heal(fault, injector, error, hurried=not finished and not error), timeout=HEAL_SECONDS_MAX
                )
            except TimeoutError as overdue:
                evidence = {**injector.evidence(), "error": f"not healed: {overdue}"}
                self._say(fault, injector, "not-healed", evidence)
                self._outcomes[fault.id] = FaultOutcome(fault.id, fault.kind, injector.target, False, False, evidence)

    async def _heal(self, fault: PlannedFault, injector: Injector, error: str, *, hurried: bool) -> None:
        """Measure for the last time, undo, verify, and write it all down."""
        try:
            await injector.measure_end()
        except Exception as failure:
            error = error or f"could not measure: {type(failure).__name__}: {failure}"
        bit = injector.has_bitten() and not error
        trouble: dict[str, object] = {"error": error} if error else {}
        self._say(fault, injector, "evidence", {"bit": bit, **injector.evidence(), **trouble})
        failures = list(await injector.heal())
        self._say(fault, injector, "heal", {"failures": failures} if failures else {})
        healed = False
        verify_s = VERIFY_SECONDS_MAX_CANCELLED if hurried else VERIFY_SECONDS_MAX
        deadline_ns = self._clock.monotonic() + round(verify_s * 1e9)
        while not healed:
            if failures:
                failures = list(await injector.heal())
            try:
                healed = not failures and await injector.is_healed(seconds_max=min(PROBE_SECONDS, verify_s / 2))
            except Exception as failure:
                error = error or f"could not verify: {type(failure).__name__}: {failure}"
            if not healed:
                if self._clock.monotonic() >= deadline_ns:
                    break
                await self._clock.sleep(VERIFY_PAUSE_SECONDS)
        evidence = {**injector.evidence(), **({"error": error} if error else {})}
        if failures:
            evidence["not_undone"] = failures
        self._say(fault, injector, "verify" if healed else "not-healed", evidence)
        self._outcomes[fault.id] = FaultOutcome(fault.id, fault.kind, injector.target, bit, healed, evidence)

    async def _wait_for_trigger(self, fault: PlannedFault, until_ns: int) -> bool:
        """Whether it fired before the storm was over."""
        trigger = fault.trigger
        if trigger.event is not None:
            left_s = (until_ns - self._clock.monotonic()) / 1e9
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    await self._events[trigger.event].wait()
            except TimeoutError:
                return False
            starts_ns = self._clock.monotonic() + trigger.delay_ns
        else:
            starts_ns = (trigger.at_ns or 0) + trigger.delay_ns
        await self._sleep_until(min(starts_ns, until_ns))
        return starts_ns < until_ns

    async def _sleep_until(self, at_ns: int) -> None:
        while (left_ns := at_ns - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left_ns / 1e9, SLEEP_SECONDS_MAX))

    async def _first_of(self, enough: asyncio.Event, at_ns: int) -> None:
        """Wait for the event or the time, whichever is first."""
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(enough.wait()), loop.create_task(self._sleep_until(at_ns))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _resolved_injector(self, fault: PlannedFault) -> Injector:
        """Name the dynamic targets, waiting a moment for a leader when there is none. Raises `Unresolved`."""
        leader = None
        if _is_dynamic(fault):
            deadline_ns = self._clock.monotonic() + round(LEADER_SECONDS_MAX * 1e9)
            while (leader := self._leader()) is None:
                if self._clock.monotonic() >= deadline_ns:
                    raise Unresolved(f"nobody led within {LEADER_SECONDS_MAX:g} s of the trigger")
                await self._clock.sleep(LEADER_PAUSE_SECONDS)
        return self._injector(fault, leader)

    def _injector(self, fault: PlannedFault, leader: str | None = None) -> Injector:
        targets = [leader if name == LEADER and leader else name for name in fault.targets]
        if fault.kind == "kill":
            return KillInjector(self._stage, fault.id, targets)
        if fault.kind == "pause":
            return PauseInjector(self._stage, fault.id, targets)
        control = self._stage.control
        if fault.kind == "stop":
            return StopInjector(self._stage, fault.id, targets, grace_s=fault.grace_ns / 1e9)
        if fault.kind == "disconnect":
            return DisconnectInjector(self._stage, fault.id, targets)
        if fault.kind == "cpu":
            if not isinstance(control, CpuControl):
                raise Unresolved("this runtime can not limit a role's processor; compose can")
            return CpuInjector(self._stage, control, fault.id, targets, cores=fault.cores_milli / 1000)
        if fault.kind == "disk-full":
            if not isinstance(control, DiskControl):
                raise Unresolved("this runtime can not fill a role's disk; sim and compose can")
            return DiskFullInjector(self._stage, control, fault.id, targets)
        if fault.kind == "skew":
            return SkewInjector(
                self._stage, fault.id, targets, offset_ms=fault.offset_ms, drift_ppm=fault.drift_ppm
            )
        if fault.order is not None:
            return OrderInjector(self._stage, fault.id, fault.kind, fault.order, targets)
        if fault.reorg is not None:
            return ReorgInjector(self._stage, fault.reorg, targets)
        if fault.rpc is not None:
            return LieInjector(self._stage, fault.id, fault.rpc, targets)
        rule = fault.rule if fault.rule is not None else LinkRule(cut=fault.kind == "partition")
        return LinkInjector(self._stage, fault.id, rule, _links(fault, leader))

    def _say(self, fault: PlannedFault, injector: Injector, phase: str, detail: dict[str, object]) -> None:
        self._record.record(
            "fault", id=fault.id, fault=fault.kind, phase=phase, target=injector.target, detail=detail
        )

    def _end(self, fault: PlannedFault, target: str, *, bit: bool, healed: bool, evidence: dict[str, object]) -> None:
        """The outcome of a fault that never began."""
        self._record.record("fault", id=fault.id, fault=fault.kind, phase="evidence", target=target, detail=evidence)
        self._outcomes[fault.id] = FaultOutcome(fault.id, fault.kind, target, bit, healed, evidence)


def _is_dynamic(fault: PlannedFault) -> bool:
    names = [*fault.targets, *(name for link in fault.links for name in (*link.src, *link.dst))]
    return LEADER in names


def _words(fault: PlannedFault) -> str:
    """The targets as the plan has them."""
    links = [f"{'+'.join(link.src)}{'↔' if link.both else '→'}{'+'.join(link.dst)}" for link in fault.links]
    return ", ".join([*fault.targets, *links])


def _links(fault: PlannedFault, leader: str | None) -> list[tuple[str, str]]:
    """The directed links of a fault, each once."""
    pairs: dict[tuple[str, str], None] = {}
    for selector in fault.links:
        sources = [leader if name == LEADER and leader else name for name in selector.src]
        destinations = [leader if name == LEADER and leader else name for name in selector.dst]
        for src in sources:
            for dst in destinations:
                if src != dst:
                    pairs[src, dst] = None
                    if selector.both:
                        pairs[dst, src] = None
    return list(pairs)
