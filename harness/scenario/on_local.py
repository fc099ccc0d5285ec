"""A run on this machine for real: a process per role, a fault proxy per link, wall time."""

from __future__ import annotations

import asyncio
import time

import uvloop

from harness.plan import Plan
from harness.runtimes.interruption import Interruption
from harness.runtimes.local.runtime import LocalRuntime
from harness.runtimes.local.world import AnvilEngines
from harness.runtimes.local.zygote_client import ZygoteProcess
from harness.scenario.conduct import OURS, Recorded, Variant
from harness.scenario.folder import RunFolder
from harness.scenario.narration import Narrator
from harness.scenario.real_time import conduct
from harness.scenario.stage import Stage, set_stage
from harness.toolchain import anvil_binary


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
    runtime = LocalRuntime(
        plan,
        variant.make_role,
        logs=folder.nodes,
        genesis_timestamp=stage.genesis_timestamp,
        engines=AnvilEngines(stage.l1, stage.l2, anvil_binary()),
        deployment=stage.deployment,
        accounts=stage.accounts,
        zygote=zygote,
    )
    return await conduct(plan, stage, runtime, folder, narrator, interruption, name="local")
