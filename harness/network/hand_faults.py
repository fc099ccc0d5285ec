"""Faults put on by hand: in a scenario file's words, measured as a scenario's are, healed after a time or on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.network.values import HandFault, NetworkFailure, NetworkMisuse
from harness.plan import Plan, PlannedFault
from harness.ports import Clock, FaultControl, Recorder
from harness.runtimes.injectors.stage import Injector
from harness.runtimes.random import KeyedRandom
from harness.runtimes.supervisor import Supervisor, Unresolved
from harness.scenario.errors import ScenarioError, did_you_mean
from harness.scenario.fault_plan import contradiction, plan_fault
from harness.scenario.fault_words import Fault
from harness.scenario.loading import Document
from harness.scenario.validation import validated

ON_MAX = 50
KEPT_MAX = 100
NOT_BY_HAND = {
    "at": "a fault by hand begins at once; leave out at",
    "when": "a fault by hand begins at once; leave out when",
    "restart": "by hand, say for how long: for",
}


@dataclass(slots=True)
class _Thrown:
    planned: PlannedFault
    shown: HandFault
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class HandFaults:
    """The faults of one network. Lives on the network's loop; `heal_all` before the network ends or restarts."""

    def __init__(
        self,
        plan: Plan,
        control: FaultControl,
        clock: Clock,
        record: Recorder,
        *,
        leader: Callable[[], str | None],
        doors: Sequence[str] = (),
        first: int = 1,
    ) -> None:
        """`doors` are the nodes with a public port. `first` is the number of the next fault, for ids go on when a
        network is restarted.
        """
        self._doors = tuple(doors)
        self._plan = plan
        self._clock = clock
        self._supervisor = Supervisor((), control, clock, record, leader=leader)
        self._random = KeyedRandom(plan.seed)
        self._thrown: dict[str, _Thrown] = {}
        self.next = first

    async def put_on(self, words: Mapping[str, Any]) -> HandFault:
        """Begin a fault and return it measured. Raises `ScenarioError` with the place in `words`, or `NetworkFailure`.

        When this is cancelled, the fault is healed.
        """
        planned = self._planned(words)
        began_s = self._clock.monotonic() / 1e9
        until_s = None if planned.duration_ns is None else began_s + planned.duration_ns / 1e9
        target = ", ".join(planned.targets)
        shown = HandFault(planned.id, planned.kind, planned.text, target, "on", began_s, until_s, None)
        thrown = self._thrown[planned.id] = _Thrown(planned, shown)
        self.next += 1
        is_on = asyncio.get_running_loop().create_future()
        thrown.task = asyncio.get_running_loop().create_task(self._live(thrown, is_on))
        self._forget_old()
        try:
            await is_on
        except asyncio.CancelledError:
            thrown.task.cancel()
            raise
        return thrown.shown

    async def heal(self, fault: str | None) -> tuple[HandFault, ...]:
        """Heal one or all, and return them with what was measured. Raises `NetworkMisuse`."""
        on = {id: thrown for id, thrown in self._thrown.items() if thrown.task is not None and not thrown.task.done()}
        if fault is not None and fault not in on:
            raise NetworkMisuse(self._why_not(fault, list(on)))
        chosen = list(on.values()) if fault is None else [on[fault]]
        for thrown in chosen:
            thrown.shown = replace(thrown.shown, phase="healing")
            thrown.enough.set()
        tasks = [thrown.task for thrown in chosen if thrown.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        return tuple(thrown.shown for thrown in chosen)

    def all(self) -> tuple[HandFault, ...]:
        return tuple(thrown.shown for thrown in self._thrown.values())

    def on(self) -> tuple[HandFault, ...]:
        return tuple(fault for fault in self.all() if fault.phase in ("on", "healing"))

    # -- inside

    def _planned(self, words: Mapping[str, Any]) -> PlannedFault:
        for key, why in NOT_BY_HAND.items():
            if key in words:
                raise ScenarioError.at(key, why)
        if len(self.on()) >= ON_MAX:
            raise NetworkMisuse(f"{ON_MAX} faults are on; heal some of them first")
        document = Document({"at": "0s", **words}, "", Path())
        fault = validated(Fault, document)
        planned = plan_fault(
            document, (), fault, self._plan.roles, key=f"h{self.next}", random=self._random, doors=self._doors
        )
        for other in self.on():
            if why := contradiction(self._thrown[other.id].planned, planned):
                raise ScenarioError.at(fault.word, f"{why} by {other.id}; heal it first")
        begins = planned.text.rfind(", at ")   # it begins now, and what is left is its words
        return replace(planned, text=planned.text[:begins] if begins >= 0 else planned.text)

    async def _live(self, thrown: _Thrown, is_on: asyncio.Future[None]) -> None:
        """One fault from begin to end; `is_on` is told when it has been measured, or why it never was."""
        fault = thrown.planned

        def felt(injector: Injector) -> None:
            evidence = injector.evidence()
            thrown.shown = replace(
                thrown.shown, target=injector.target, felt=felt_of(evidence), evidence=dict(evidence)
            )
            if not is_on.done():
                is_on.set_result(None)

        try:
            await self._supervisor.throw(fault, enough=thrown.enough, on_felt=felt)
        except Unresolved as error:
            self._thrown.pop(fault.id)
            _tell(is_on, NetworkFailure(f"{thrown.shown.text}: {error}"))
            return
        finally:
            outcome = self._supervisor.thrown.get(fault.id)
            self._supervisor.forget(fault.id)
            if outcome is not None:
                thrown.shown = replace(
                    thrown.shown, phase="healed" if outcome.healed else "not-healed", bit=outcome.bit,
                    target=outcome.target, felt=felt_of(outcome.evidence), evidence=dict(outcome.evidence),
                )  # fmt: skip
            elif fault.id in self._thrown:
                self._thrown.pop(fault.id)   # cancelled before it was anything
            if not is_on.done():
                why = "it was cancelled" if outcome is None else outcome.evidence.get("error", "it did not begin")
                is_on.set_exception(NetworkFailure(f"{thrown.shown.text}: {why}; what was done has been undone"))

    def _why_not(self, fault: str, on: list[str]) -> str:
        known = self._thrown.get(fault)
        if known is not None:
            return f"{fault} is {known.shown.phase} already"
        there = f"; on are {', '.join(on)}" if on else "; no fault is on"
        return f'no fault is called "{fault}"{did_you_mean(fault, on) or there}'

    def _forget_old(self) -> None:
        over = [id for id, thrown in self._thrown.items() if thrown.task is not None and thrown.task.done()]
        for id in over[: max(0, len(self._thrown) - KEPT_MAX)]:
            del self._thrown[id]


def _tell(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def felt_of(evidence: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """What each link or role felt, of an injector's evidence: `what`, and `before`, `during` and `after` in ms.

    None is: no answer came. For clock skew the numbers are the role's clock error.
    """
    felt: list[dict[str, Any]] = []
    after = evidence.get("rtt_after_ms", {})
    for link in evidence.get("measured", ()):
        during = link["rtt_during_ms"]
        if not during:
            continue   # not probed: of many links, some are
        felt.append({
            "what": link["link"], "before_ms": link["rtt_before_ms"], "during_ms": during[0],
            **({"after_ms": after[link["link"]]} if link["link"] in after else {}),
        })  # fmt: skip
    for role, found in evidence.get("targets", {}).items():
        felt.append({
            "what": role, "before_ms": found["rtt_before_ms"], "during_ms": found["rtt_during_ms"],
            **({"after_ms": found["rtt_after_ms"]} if found["rtt_after_ms"] is not None else {}),
        })  # fmt: skip
    for role, error in evidence.get("clock_error_ms", {}).items():
        felt.append({"what": f"{role} clock", **{f"{name}_ms": value for name, value in error.items()}})
    return tuple(felt)
