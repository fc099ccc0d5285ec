"""A run in the simulator: one process, virtual time, real Anvils; a pure function of the plan."""

from __future__ import annotations

from typing import IO

from harness.anvil import AnvilEngine
from harness.history.recorder import HistoryWriter
from harness.plan import Plan
from harness.roles.context import RoleFactory
from harness.runtimes.interruption import Interruption
from harness.runtimes.sim.engines import SimEngines
from harness.runtimes.sim.loop import virtual_loop
from harness.runtimes.sim.run import simulate
from harness.runtimes.sim.runtime import SimRuntime
from harness.scenario.conduct import OURS, Conductor, Recorded, Variant, WatchedHistory
from harness.scenario.folder import RunFolder
from harness.scenario.narration import Narrator
from harness.scenario.stage import SIM_GENESIS_TIMESTAMP, Stage, run_record, set_stage

RUNNER = "run"


def run_sim(
    plan: Plan,
    folder: RunFolder,
    narrator: Narrator,
    *,
    variant: Variant = OURS,
    shared: bool = True,
    stop_on: frozenset[str] = frozenset(),
    judges_online: bool = True,
) -> Recorded:
    """Run a plan to its end in virtual time and leave its history in the folder.

    Args:
        shared: execute each distinct block once for all nodes; False gives each node its own Anvil.
        stop_on: end the run as soon as one of these checks is seen violated.
        judges_online: judge each block as it comes, to tell of a violation then; False leaves all to the end.
    """
    with Interruption() as interruption:
        stage = set_stage(plan, genesis_timestamp=SIM_GENESIS_TIMESTAMP, contracts=variant.contracts)
        with folder.writing(folder.history.name), folder.history.open("wb") as stream:
            return simulate(
                lambda: _run(
                    plan, stage, stream, narrator, variant.make_role, interruption, shared=shared, stop_on=stop_on,
                    judges_online=judges_online,
                ),
                seed=plan.seed,
            )


async def _run(
    plan: Plan,
    stage: Stage,
    stream: IO[bytes],
    narrator: Narrator,
    make_role: RoleFactory,
    interruption: Interruption,
    *,
    shared: bool,
    stop_on: frozenset[str],
    judges_online: bool,
) -> Recorded:
    interruption.cancels_this_task()
    loop = virtual_loop()
    writer = HistoryWriter(stream, now_ns=lambda: loop.now_ns)
    history = WatchedHistory(writer.write)
    opening = run_record(plan, stage, runtime="sim")
    history.write(RUNNER, "run", opening)
    engines = SimEngines(
        lambda chain, name: AnvilEngine(stage.l1 if chain == "l1" else stage.l2, name=name), shared=shared
    )
    runtime = SimRuntime(
        plan,
        make_role,
        history,
        genesis_timestamp=stage.genesis_timestamp,
        engines=engines,
        deployment=stage.deployment,
        accounts=stage.accounts,
    )
    conductor = Conductor(
        plan,
        runtime,
        runtime.clock,
        history.recorder(RUNNER),
        narrator,
        has_failed=lambda: runtime.failed.is_set() or history.refusal is not None,
        stop_on=stop_on,
        judges_online=judges_online,
    )
    history.watcher = conductor.watch
    conductor.watch(RUNNER, "run", opening)  # was written before there was a watcher; the judge begins with it
    await conductor.run()
    if history.refusal is not None:
        raise history.refusal
    stats = {"records": writer.records, "online": conductor.online.figures()}
    return Recorded(conductor.supervisor.outcomes, writer.sha256, stats)
