"""A run in real time, on whatever runs the processes: the conductor over them, their history merged, the boot timed."""

from __future__ import annotations

import time
from typing import Any

from harness.plan import Plan
from harness.runtimes.interruption import Interruption
from harness.runtimes.processes import RUNNER, ProcessRuntime
from harness.scenario.conduct import Conductor, Recorded, WatchedHistory
from harness.scenario.folder import RunFolder
from harness.scenario.narration import Narrator
from harness.scenario.stage import Stage, run_record


async def conduct(
    plan: Plan,
    stage: Stage,
    runtime: ProcessRuntime,
    folder: RunFolder,
    narrator: Narrator,
    interruption: Interruption,
    *,
    name: str,
) -> Recorded:
    """Run a plan to its end and leave its history in the folder. Takes as long as the plan says.

    `name` is the runtime's, for the history.
    """
    interruption.cancels_this_task()
    history = WatchedHistory(runtime.write)
    opening = run_record(plan, stage, runtime=name)
    history.write(RUNNER, "run", opening)
    began = time.monotonic()
    stats: dict[str, Any] = {}
    conductor = Conductor(
        plan,
        runtime,
        runtime.clock,
        history.recorder(RUNNER),
        narrator,
        has_failed=lambda: runtime.failed.is_set() or history.refusal is not None,
        on_booted=lambda: stats.update(boot_s=round(time.monotonic() - began, 3)),
    )
    history.watcher = runtime.watcher = conductor.watch
    conductor.watch(RUNNER, "run", opening)  # was written before there was a watcher; the judge begins with it
    try:
        await conductor.run()
    finally:
        with folder.writing(folder.history.name):
            sha256 = runtime.write_history(folder.history)
    if history.refusal is not None:
        with folder.writing("nodes"):
            raise history.refusal
    stats.update(runtime.figures(), online=conductor.online.figures())
    return Recorded(conductor.supervisor.outcomes, sha256, stats)
