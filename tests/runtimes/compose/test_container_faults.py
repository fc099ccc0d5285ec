"""Faults that only containers have, in real ones, through the supervisor: felt, measured, undone and verified."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from harness.faults.outcome import FaultOutcome
from harness.plan import LinkSelector, PlannedFault, Trigger
from harness.ports import LinkRule
from harness.runtimes.compose.removal import left_over
from harness.runtimes.compose.runtime import ComposeRuntime
from harness.runtimes.conformance.echo import echo_factory, echo_plan
from harness.runtimes.local.subject import GENESIS
from harness.runtimes.supervisor import Supervisor

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]
S = 1_000_000_000


class Records:
    def record(self, kind: str, **fields: Any) -> None:
        """What happened is judged by outcomes."""


def fault(kind: Any, number: int, at_s: float, for_s: float, *targets: str, **more: Any) -> PlannedFault:
    more = {"rule": None, "links": (), **more}
    return PlannedFault(id=f"f{number}", kind=kind, trigger=Trigger(round(at_s * S), None), targets=targets,
                        duration_ns=round(for_s * S), **more)  # fmt: skip


def on_link(src: str, dst: str, **rule: Any) -> dict[str, Any]:
    return {"rule": LinkRule(via="kernel", **rule), "links": (LinkSelector((src,), (dst,), both=False),)}


STORM = (
    fault("loss", 1, 3, 7, **on_link("a", "b", loss=0.4)),
    fault("rate", 2, 3, 7, **on_link("c", "b", rate_bps=8_000)),
    fault("cpu", 3, 3, 7, "b", cores_milli=30),
    fault("latency", 4, 3, 7, **on_link("b", "d", delay_ms=120)),
    fault("disconnect", 5, 13, 4, "b"),
    fault("stop", 6, 13, 4, "a", grace_ns=5 * S),
    fault("loss", 7, 12, 9, **on_link("c", "d", loss=0.4)),
    fault("kill", 8, 15, 3, "c"),
    fault("disk-full", 9, 13, 4, "d"),
)


async def chatter(runtime: ComposeRuntime) -> None:
    """Keeps every link busy with probes, whatever becomes of them."""
    async def talk(src: str, dst: str) -> None:
        while True:
            await runtime.probe(src, dst, timeout=0.5)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        for src in "abcd":
            for dst in "abcd":
                if src != dst:
                    group.create_task(talk(src, dst))


async def storm(folder: Path, faults: Sequence[PlannedFault]) -> tuple[dict[str, FaultOutcome], str]:
    plan = replace(echo_plan(list("abcd")), faults=tuple(faults))
    runtime = ComposeRuntime(plan, echo_factory, folder=folder, genesis_timestamp=GENESIS,
                             network="container-faults")  # fmt: skip
    async with runtime:
        supervisor = Supervisor(faults, runtime, runtime.clock, Records())
        talking: asyncio.Task[None] = asyncio.get_running_loop().create_task(chatter(runtime))
        try:
            outcomes = await supervisor.run(until_ns=24 * S)
        finally:
            talking.cancel()
        assert not runtime.problems
        return {outcome.id: outcome for outcome in outcomes}, runtime.layout.project



def within(work: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(300):
            return await work

    return asyncio.run(bounded())


def test_faults_by_engine_and_kernel_bite_heal_and_leave_nothing(
    engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    """Nine faults in one network; the evidence is the kernel's and the engine's own figures."""
    outcomes, project = within(storm(tmp_path, STORM))
    assert {key: (outcome.bit, outcome.healed) for key, outcome in outcomes.items()} == {
        f"f{number}": (True, True) for number in range(1, len(STORM) + 1)
    }, outcomes
    evidence = {key: outcome.evidence for key, outcome in outcomes.items()}
    assert evidence["f1"]["via"] == "kernel"
    (loss,) = evidence["f1"]["measured"]
    assert 0 < loss["kernel_dropped"] < loss["kernel_packets"]
    (rate,) = evidence["f2"]["measured"]
    assert rate["delayed"] > 0
    assert evidence["f3"]["targets"]["b"]["cores_during"] == 0.03
    assert evidence["f3"]["targets"]["b"]["cores_after"] is None
    assert evidence["f3"]["targets"]["b"]["periods_throttled"] > 0
    assert evidence["f4"]["via"] in ("kernel", "the proxy instead of the kernel: this kernel has no netem")
    assert evidence["f5"]["by"] == "the engine"
    assert evidence["f6"]["targets"]["a"]["alive_during"] is False
    disk = evidence["f9"]["targets"]["d"]
    assert disk["bytes_free_during"] == 0
    assert disk["bytes_free_after"] > 10**6
    assert evidence["f7"]["via"] == "kernel", "its sender was killed and started in the middle of it"
    assert left_over(engine, f"harness.project={project}") == []
