"""Faults are felt, measured, undone on every exit, and believed only with evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from harness.faults.outcome import FaultOutcome
from harness.plan import BaseLatency, LinkSelector, PlannedFault, Trigger
from harness.ports import LinkRule
from harness.roles.context import Role, RoleContext
from harness.runtimes.conformance.echo import echo_plan
from harness.runtimes.random import KeyedRandom
from harness.runtimes.shielded import finish_despite_cancellation
from harness.runtimes.sim.loop import run_virtual
from harness.runtimes.sim.runtime import SimRuntime
from harness.runtimes.supervisor import Supervisor

NAMES = ("a", "b", "c", "d")
S = 1_000_000_000
GENESIS = 1_700_000_000


class Chatter:
    """Sends every peer twenty messages a second."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context

    async def run(self) -> None:
        async def listen(sender: str, kind: str, payload: Any) -> None:
            return

        network = self._context.network
        network.serve(listen)
        peers = [spec.name for spec in self._context.plan.roles if spec.name != network.name]
        number = 0
        while True:
            number += 1
            for peer in peers:
                network.send(peer, "chat", number)
            await self._context.clock.sleep(0.05)


def chatter(context: RoleContext) -> Role:
    return Chatter(context)


@dataclass
class Records:
    """A `Recorder` and a history, kept in memory."""

    lines: list[dict[str, Any]] = field(default_factory=list)

    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        self.lines.append({"node": node, "kind": kind, **fields})

    def record(self, kind: str, **fields: Any) -> None:
        self.write("run", kind, fields)

    def phases(self, fault: str) -> list[str]:
        return [line["phase"] for line in self.lines if line["kind"] == "fault" and line["id"] == fault]


@dataclass
class Lab:
    runtime: SimRuntime
    records: Records
    supervisor: Supervisor


def at(seconds: float) -> Trigger:
    return Trigger(at_ns=round(seconds * S), event=None)


def on_links(
    kind: Any, rule: LinkRule, src: Sequence[str], dst: Sequence[str], *,
    fault_id: str = "f1", trigger: Trigger | None = None, lasts: float | None = 5, both: bool = True,
) -> PlannedFault:  # fmt: skip
    return PlannedFault(
        id=fault_id, kind=kind, trigger=trigger or at(3), duration_ns=None if lasts is None else round(lasts * S),
        rule=rule, links=(LinkSelector(tuple(src), tuple(dst), both),), targets=(),
    )  # fmt: skip


def on_roles(
    kind: Any, *targets: str, fault_id: str = "f1", trigger: Trigger | None = None, lasts: float | None = 5,
    offset_ms: float = 0.0, drift_ppm: float = 0.0,
) -> PlannedFault:  # fmt: skip
    return PlannedFault(
        id=fault_id, kind=kind, trigger=trigger or at(3), duration_ns=None if lasts is None else round(lasts * S),
        rule=None, links=(), targets=targets, offset_ms=offset_ms, drift_ppm=drift_ppm,
    )  # fmt: skip


def storm(
    *faults: PlannedFault,
    until: float = 20,
    tamper: Callable[[Lab], None] = lambda lab: None,
    during: Callable[[Lab], Coroutine[Any, Any, None]] | None = None,
    leader: Callable[[], str | None] = lambda: None,
) -> tuple[tuple[FaultOutcome, ...], Lab]:
    """Run a storm over four chatting roles with 10 ms links; returns the outcomes and what is left."""

    async def main() -> tuple[tuple[FaultOutcome, ...], Lab]:
        latencies = [BaseLatency(src, dst, 10.0, 0.0) for src in NAMES for dst in NAMES if src != dst]
        records = Records()
        runtime = SimRuntime(echo_plan(NAMES, latencies=latencies), chatter, records, genesis_timestamp=GENESIS)
        supervisor = Supervisor(faults, runtime, runtime.clock, records, leader=leader)
        lab = Lab(runtime, records, supervisor)
        await runtime.boot()
        tamper(lab)
        try:
            async with asyncio.TaskGroup() as group:
                storming = group.create_task(supervisor.run(until_ns=round(until * S)))
                if during is not None:
                    group.create_task(during(lab))
            return storming.result(), lab
        finally:
            await runtime.shutdown()

    return run_virtual(main(), KeyedRandom(1))


def links_are_clear(lab: Lab) -> bool:
    return all(not policy.rules for policy in lab.runtime._fabric._links.values())


LINK_FAULTS = [
    on_links("latency", LinkRule(delay_ms=200, jitter_ms=50, distribution="normal"), ["a"], ["b", "c"]),
    on_links("loss", LinkRule(loss=0.2, correlation=0.3), ["a"], ["b"]),
    on_links("duplicate", LinkRule(duplicate=0.2), ["a"], ["b"]),
    on_links("reorder", LinkRule(delay_ms=200, reorder=0.2), ["a"], ["b"]),
    on_links("rate", LinkRule(rate_bps=40_000), ["a"], ["b"]),
    on_links("partition", LinkRule(cut=True), ["a"], ["b", "c", "d"]),
    on_links("partition", LinkRule(cut=True), ["a"], ["b"], both=False),
    on_links("view-lag", LinkRule(delay_ms=800), ["d"], ["a"], both=False),
]
ROLE_FAULTS = [
    on_roles("kill", "b"),
    on_roles("kill", "b", "c"),
    on_roles("pause", "b"),
    on_roles("skew", "b", offset_ms=-4000),
    on_roles("skew", "b", drift_ppm=20_000),
    on_roles("stop", "b", "d"),
    on_roles("disconnect", "b"),
    on_roles("disk-full", "b"),
]
ALL_FAULTS = [*LINK_FAULTS, *ROLE_FAULTS]


@pytest.mark.parametrize("fault", ALL_FAULTS, ids=[f"{fault.kind}-{n}" for n, fault in enumerate(ALL_FAULTS)])
def test_every_kind_bites_and_is_healed(fault: PlannedFault) -> None:
    (outcome,), lab = storm(fault)
    assert outcome.bit, outcome.evidence
    assert outcome.healed, outcome.evidence
    assert lab.records.phases("f1") == ["inject", "evidence", "heal", "verify"]
    assert links_are_clear(lab)
    assert not lab.runtime.problems


def test_where_there_is_no_kernel_the_proxy_does_what_was_asked_of_it_and_says_so() -> None:
    """The same file in every runtime, with the same verdict; and nobody is told that a kernel did it."""
    (outcome,), _ = storm(on_links("loss", LinkRule(loss=0.2, via="kernel"), ["a"], ["b"]))
    assert (outcome.bit, outcome.healed) == (True, True)
    assert outcome.evidence["via"] == (
        "the proxy instead of the kernel: roles have no kernel namespaces in this runtime"
    )
    (outcome,), _ = storm(on_links("loss", LinkRule(loss=0.2), ["a"], ["b"]))
    assert "via" not in outcome.evidence


@pytest.mark.parametrize("fault", ALL_FAULTS, ids=[f"{fault.kind}-{n}" for n, fault in enumerate(ALL_FAULTS)])
def test_a_fault_that_the_runtime_does_not_carry_out_is_reported_as_not_bitten(fault: PlannedFault) -> None:
    """The check on the checker: control calls that do nothing must show."""

    def break_control(lab: Lab) -> None:
        async def nothing(*args: Any, **kwargs: Any) -> None:
            return

        for name in ("set_link", "kill", "pause", "skew", "fill_disk"):
            setattr(lab.runtime, name, nothing)

    (outcome,), _ = storm(fault, tamper=break_control)
    assert not outcome.bit, outcome.evidence


def test_a_fault_without_duration_is_healed_when_the_storm_ends() -> None:
    (outcome,), lab = storm(on_roles("kill", "b", lasts=None), until=10)
    assert outcome.bit
    assert outcome.healed
    assert lab.records.phases("f1")[-1] == "verify"


def test_a_heal_that_does_nothing_is_reported_as_not_healed() -> None:
    def break_resume(lab: Lab) -> None:
        async def nothing(role: str) -> None:
            return

        lab.runtime.resume = nothing  # type: ignore[method-assign]

    (outcome,), lab = storm(on_roles("pause", "b"), tamper=break_resume)
    assert outcome.bit
    assert not outcome.healed
    assert lab.records.phases("f1")[-1] == "not-healed"


def test_faults_interrupted_in_mid_storm_are_healed() -> None:
    """Ctrl-C, or a failing run: whatever was applied is undone before the supervisor lets go."""

    async def fail(lab: Lab) -> None:
        await lab.runtime.clock.sleep(5)
        seen.append(lab)
        raise ValueError("the run failed")

    seen: list[Lab] = []
    faults = [
        on_links("partition", LinkRule(cut=True), ["a"], ["b", "c"], lasts=None),
        on_roles("pause", "c", fault_id="f2", lasts=None),
        on_roles("skew", "d", fault_id="f3", lasts=None, offset_ms=900),
        on_roles("kill", "b", fault_id="f4", trigger=at(15), lasts=None),
    ]
    with pytest.raises(ExceptionGroup):
        storm(*faults, during=fail)
    outcomes = {outcome.id: outcome for outcome in seen[0].supervisor.outcomes}
    assert sorted(outcomes) == ["f1", "f2", "f3"]
    assert all(outcome.healed for outcome in outcomes.values()), outcomes
    assert links_are_clear(seen[0])


def test_a_fault_that_fails_halfway_is_undone_where_it_was_applied() -> None:
    """An exception between two `set_link` calls leaves no link with a rule."""
    calls: list[tuple[str, str]] = []

    def break_third_call(lab: Lab) -> None:
        original = lab.runtime.set_link

        async def set_link(src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
            calls.append((src, dst))
            if len(calls) == 3:
                raise OSError("proxy is gone")
            await original(src, dst, rules)

        lab.runtime.set_link = set_link  # type: ignore[method-assign]

    (outcome,), lab = storm(on_links("partition", LinkRule(cut=True), ["a"], ["b", "c"]), tamper=break_third_call)
    assert len(calls) > 4
    assert not outcome.bit
    assert outcome.healed
    assert outcome.evidence["error"] == "OSError: proxy is gone"
    assert links_are_clear(lab)


def test_overlapping_faults_on_a_link_compose_and_heal_apart() -> None:
    """The heal of one leaves the other; the last one leaves nothing."""
    rules_at: dict[int, dict[str, LinkRule]] = {}

    async def look(lab: Lab) -> None:
        for second in (4, 6, 10, 14):
            await lab.runtime.clock.sleep(second - lab.runtime.clock.monotonic() / S)
            rules_at[second] = dict(lab.runtime._fabric.link("a", "b").rules)

    slow = on_links("latency", LinkRule(delay_ms=100), ["a"], ["b"], trigger=at(3), lasts=9, both=False)
    lossy = on_links("loss", LinkRule(loss=0.5), ["a"], ["b"], fault_id="f2", trigger=at(5), lasts=3, both=False)
    outcomes, _ = storm(slow, lossy, during=look)
    assert [sorted(rules) for rules in rules_at.values()] == [["f1"], ["f1", "f2"], ["f1"], []]
    assert all(outcome.bit and outcome.healed for outcome in outcomes)
    assert outcomes[0].evidence["shares_links_with"] == ["f2"]


def test_a_role_that_two_faults_killed_returns_with_the_later() -> None:
    alive_at: dict[int, bool] = {}

    async def look(lab: Lab) -> None:
        for second in (4, 8, 12):
            await lab.runtime.clock.sleep(second - lab.runtime.clock.monotonic() / S)
            alive_at[second] = await lab.runtime.is_alive("b")

    first = on_roles("kill", "b", trigger=at(3), lasts=3)
    second = on_roles("kill", "b", fault_id="f2", trigger=at(5), lasts=5)
    outcomes, _ = storm(first, second, during=look)
    assert alive_at == {4: False, 8: False, 12: True}
    assert [outcome.healed for outcome in outcomes] == [True, True]
    assert not outcomes[1].bit, "the second kill found nobody to kill"


def test_a_fault_waits_for_its_event_and_its_delay() -> None:
    async def liquidate(lab: Lab) -> None:
        await lab.runtime.clock.sleep(6)
        lab.supervisor.notify("first-liquidation")
        lab.supervisor.notify("nobody-waits-for-this")
        await lab.runtime.clock.sleep(0.9)
        assert await lab.runtime.probe("a", "b", timeout=1) is not None
        await lab.runtime.clock.sleep(0.4)
        assert await lab.runtime.probe("a", "b", timeout=1) is None

    trigger = Trigger(at_ns=None, event="first-liquidation", delay_ns=S)
    (outcome,), _ = storm(on_roles("pause", "b", trigger=trigger), during=liquidate)
    assert outcome.bit
    assert outcome.healed


def test_a_fault_whose_event_never_comes_did_not_bite() -> None:
    (outcome,), _ = storm(on_roles("kill", "b", trigger=Trigger(at_ns=None, event="expiry:ETH-F1")))
    assert (outcome.bit, outcome.healed, outcome.evidence) == (False, True, {"triggered": False})


def test_the_leader_is_whoever_leads_when_the_fault_fires() -> None:
    fault = on_links("partition", LinkRule(cut=True), ["leader"], NAMES)
    (outcome,), _ = storm(fault, leader=lambda: "c")
    assert outcome.bit
    assert "c→a" in outcome.target
    assert "c→c" not in outcome.target
    (outcome,), _ = storm(on_roles("kill", "leader"))
    assert not outcome.bit
    assert "nobody led" in outcome.evidence["error"]


def test_cleanup_survives_repeated_cancellation_and_is_bounded() -> None:
    """The shield lets the work finish, then lets the cancellation through; work that hangs is given up."""

    async def main() -> list[str]:
        seen: list[str] = []

        async def work() -> None:
            await asyncio.sleep(2)
            seen.append("done")

        async def owner() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                await finish_despite_cancellation(work(), timeout=10)

        task = asyncio.create_task(owner())
        for _ in range(3):
            await asyncio.sleep(0.5)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError, match="not done within 3 s"):
            await finish_despite_cancellation(asyncio.sleep(1000), timeout=3)
        return seen

    assert run_virtual(main(), KeyedRandom(1)) == ["done"]


def test_sixty_faults_on_top_of_each_other_all_heal() -> None:
    """However faults overlap on links and roles, nothing of them is left after the storm."""
    random = KeyedRandom(4)
    faults = []
    for number in range(60):
        fault = ALL_FAULTS[random.below(len(ALL_FAULTS), "kind", number)]
        trigger, lasts = at(100 * random.unit("at", number)), round((0.2 + 20 * random.unit("lasts", number)) * S)
        faults.append(replace(fault, id=f"f{number}", trigger=trigger, duration_ns=lasts))

    async def look_afterwards(lab: Lab) -> None:
        await lab.runtime.clock.sleep(135)
        for role in NAMES:
            answers = [await lab.runtime.probe(peer, role, timeout=1) for peer in NAMES if peer != role]
            assert answers == [20.0] * 3
            assert await lab.runtime.clock_offset(role) == 0.0

    outcomes, lab = storm(*faults, until=120, during=look_afterwards)
    assert [outcome.id for outcome in outcomes if not outcome.healed] == []
    assert sum(outcome.bit for outcome in outcomes) > 30
    assert links_are_clear(lab)
    assert not lab.runtime.problems
