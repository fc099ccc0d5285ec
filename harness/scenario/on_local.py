"""A run on this machine for real: a process per role, a fault proxy per link, wall time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import uvloop

from harness.plan import Plan
from harness.runtimes.interruption import Interruption
from harness.runtimes.local.runtime import LocalRuntime
from harness.runtimes.local.world import AnvilEngines
from harness.runtimes.local.zygote_client import ZygoteProcess
from harness.runtimes.processes import RUNNER
from harness.scenario.conduct import OURS, Conductor, Recorded, Variant, WatchedHistory
from harness.scenario.folder import RunFolder
from harness.scenario.narration import Narrator
from harness.scenario.stage import Stage, run_record, set_stage


def run_local(plan: Plan, folder: RunFolder, narrator: Narrator, *, variant: Variant = OURS) -> Recorded:
    """Run a plan to its end in real time and leave its history in the folder. Takes as long as the plan says."""
    with Interruption() as interruption:
        # It imports while the stage is set: half of a cold boot is Python reading modules.
        zygote = ZygoteProcess(preload=("harness.roles.registry",))
        try:
            stage = set_stage(plan, genesis_timestamp=int(time.time()), contracts=variant.contracts)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_run(plan, stage, folder, narrator, variant, zygote, interruption))
        finally:
            zygote.close()


async def _run(
    plan: Plan,
    stage: Stage,
    folder: RunFolder,
    narrator: Narrator,
    variant: Variant,
    zygote: ZygoteProcess,
    interruption: Interruption,
) -> Recorded:
    interruption.cancels_this_task()
    runtime = LocalRuntime(
        plan,
        variant.make_role,
        logs=folder.nodes,
        genesis_timestamp=stage.genesis_timestamp,
        engines=AnvilEngines(stage.l1, stage.l2),
        deployment=stage.deployment,
        accounts=stage.accounts,
        zygote=zygote,
    )
    history = WatchedHistory(runtime.write)
    history.write(RUNNER, "run", run_record(plan, stage, runtime="local"))
    booted: dict[str, float] = {}
    conductor = Conductor(
        plan,
        runtime,
        runtime.clock,
        history.recorder(RUNNER),
        narrator,
        has_failed=lambda: runtime.failed.is_set() or history.refusal is not None,
        on_booted=_stopwatch(booted),
    )
    history.watcher = runtime.watcher = conductor.watch
    try:
        await conductor.run()
    finally:
        with folder.writing(folder.history.name):
            sha256 = runtime.write_history(folder.history)
    if history.refusal is not None:
        with folder.writing("nodes"):
            raise history.refusal
    return Recorded(conductor.supervisor.outcomes, sha256, dict(booted))


def _stopwatch(into: dict[str, float]) -> Callable[[], Any]:
    """What notes how long a boot took, from now until it is called."""
    began = time.monotonic()
    return lambda: into.update(boot_s=round(time.monotonic() - began, 3))
