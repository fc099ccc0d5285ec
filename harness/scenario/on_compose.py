"""A run in containers: a container per role, a network per container, and the fault proxy between them."""

from __future__ import annotations

import asyncio
import time

import uvloop

from harness.plan import Plan
from harness.runtimes.compose.runtime import ComposeRuntime
from harness.runtimes.interruption import Interruption
from harness.runtimes.local.world import AnvilEngines
from harness.scenario.conduct import OURS, Recorded, Variant
from harness.scenario.folder import RunFolder
from harness.scenario.narration import Narrator
from harness.scenario.real_time import conduct
from harness.scenario.stage import Stage, set_stage


def run_compose(
    plan: Plan, folder: RunFolder, narrator: Narrator, *, variant: Variant = OURS,
    make: type[ComposeRuntime] = ComposeRuntime, name: str = "compose",
) -> Recorded:  # fmt: skip
    """Run a plan to its end in containers and leave its history in the folder. Takes as long as the plan says."""
    with Interruption() as interruption:
        stage = set_stage(plan, genesis_timestamp=int(time.time()), contracts=variant.contracts)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(plan, stage, folder, narrator, variant, interruption, make, name))


async def _run(
    plan: Plan, stage: Stage, folder: RunFolder, narrator: Narrator, variant: Variant, interruption: Interruption,
    make: type[ComposeRuntime], name: str,
) -> Recorded:  # fmt: skip
    runtime = make(
        plan,
        variant.make_role,
        folder=folder.path,
        genesis_timestamp=stage.genesis_timestamp,
        engines=AnvilEngines(stage.l1, stage.l2),
        deployment=stage.deployment,
        accounts=stage.accounts,
        narrate=narrator.milestone,
    )
    return await conduct(plan, stage, runtime, folder, narrator, interruption, name=name)
