"""A plan to a verdict: boot, storm, heal, liveness; then read the history back, judge it and write the run folder."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from harness.anvil.scratch import sweep
from harness.checks.amounts import compared_amounts
from harness.checks.registry import run_on, select
from harness.checks.results import Verdict
from harness.checks.subject import Subject
from harness.faults.outcome import FaultOutcome
from harness.history.reader import read
from harness.plan import Plan
from harness.project.judging import available_checks
from harness.report.html import report_html
from harness.report.junit import junit_xml
from harness.report.market_quality import fills_of, market_quality
from harness.report.result import build_result, result_bytes
from harness.report.story import tell
from harness.scenario.abilities import refuse_undoable
from harness.scenario.conduct import OURS, Recorded, Variant
from harness.scenario.folder import RunFolder
from harness.scenario.judging import bounds_of
from harness.scenario.narration import Narrator, Silence
from harness.scenario.on_sim import run_sim
from harness.scenario.plan_file import plan_bytes
from harness.scenario.stage import versions

RuntimeName = Literal["sim", "local", "compose", "swarm"]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to, and where its evidence is."""

    verdict: Verdict
    exit_code: int
    folder: Path
    result: Mapping[str, Any]   # the content of result.json


def run_plan(
    plan: Plan,
    *,
    runtime: RuntimeName = "sim",
    out_dir: Path,
    narrate: Narrator | None = None,
    report: bool = True,
    judges_online: bool = True,
    variant: Variant = OURS,
) -> RunResult:
    """Run a plan and judge it. Blocks until everything the run started has ended.

    Args:
        out_dir: where run folders live; a new one is made in it and `latest` points there.
        variant: other contracts or roles than ours.
        report: also write `report.html`, which takes longer than judging.
        judges_online: in the simulator, judge each block as it comes too, for whoever is told; the verdict is given
            over the whole history at the end, and is the same without.

    Raises:
        ScenarioError: `out_dir` cannot have run folders, or the runtime can not do one of the plan's faults.
        ToolError, EngineFailure, OSError: a tool, a node or the disk failed; what was recorded stays in the folder,
            and a note of the exception says where.
    """
    refuse_undoable(plan, runtime)
    narrator = narrate or Silence()
    sweep()  # what killed runs could not remove themselves
    folder = RunFolder.create(out_dir, plan)
    try:
        return _run_in(folder, plan, runtime, narrator, report=report, judges_online=judges_online, variant=variant)
    except BaseException as error:  # whatever the ending, and Ctrl-C is one, a person wants to know where to look
        error.add_note(f"what was recorded is in {folder.path}")
        raise


def _run_in(
    folder: RunFolder,
    plan: Plan,
    runtime: RuntimeName,
    narrator: Narrator,
    *,
    report: bool,
    judges_online: bool,
    variant: Variant,
) -> RunResult:
    folder.write("plan.json", plan_bytes(plan))
    began = time.monotonic()
    narrator.milestone(
        f"{plan.scenario}: seed {plan.seed}, {runtime}, {len(plan.roles)} roles, {len(plan.faults)} faults, "
        f"{(plan.storm_ns + plan.liveness_ns) / 1e9:.0f} s; "
        + ", ".join(f"{name} {value}" for name, value in versions().items())
    )
    runners: Mapping[RuntimeName, Callable[..., Recorded]] = {
        "sim": partial(run_sim, judges_online=judges_online), "local": _run_local, "compose": _run_compose,
        "swarm": _run_swarm,
    }  # fmt: skip
    recorded = runners[runtime](plan, folder, narrator, variant=variant)
    wall_s = time.monotonic() - began
    narrator.milestone("judging")
    stats = {
        **recorded.stats,
        **({"mutant": variant.mutant} if variant.mutant else {}),
        "wall_s": round(wall_s, 3),
        "virtual_per_wall": round((plan.storm_ns + plan.liveness_ns) / 1e9 / wall_s, 2),
    }
    return judge(plan, folder, runtime, recorded.faults, recorded.history_sha256, stats, report=report)


def _run_local(plan: Plan, folder: RunFolder, narrator: Narrator, *, variant: Variant) -> Recorded:
    # Imported when asked for: the simulator has no use for HTTP servers, and they cost half a second to load.
    from harness.scenario.on_local import run_local

    return run_local(plan, folder, narrator, variant=variant)


def _run_compose(plan: Plan, folder: RunFolder, narrator: Narrator, *, variant: Variant) -> Recorded:
    from harness.scenario.on_compose import run_compose

    return run_compose(plan, folder, narrator, variant=variant)


def _run_swarm(plan: Plan, folder: RunFolder, narrator: Narrator, *, variant: Variant) -> Recorded:
    from harness.runtimes.compose.swarm import SwarmRuntime
    from harness.scenario.on_compose import run_compose

    return run_compose(plan, folder, narrator, variant=variant, make=SwarmRuntime, name="swarm")


def judge(
    plan: Plan,
    folder: RunFolder,
    runtime: str,
    faults: Sequence[FaultOutcome],
    history_sha256: str,
    stats: Mapping[str, Any],
    *,
    report: bool,
) -> RunResult:
    """Read a folder's history, run the plan's checks over it, and write result.json, junit.xml and the report."""
    history = read(folder.history)
    subject = Subject(history, bounds_of(plan))
    checks = run_on(select(plan.checks, available_checks(plan)), subject)
    story = tell(plan, history)
    result = build_result(
        plan,
        runtime=runtime,
        checks=checks,
        faults=faults,
        history=history,
        history_sha256=history_sha256,
        story=story,
        stats={**stats, "compared_at_the_wei": compared_amounts(subject)},
        market=market_quality(plan, history, fills_of(plan, history)) if plan.products else None,
        versions=versions(),
        replay=f"harness replay {shlex.quote(str(folder.path / 'plan.json'))} --runtime {runtime}"
        + (f" --mutant {stats['mutant']}" if "mutant" in stats else ""),
    )
    if report:
        folder.write("report.html", report_html(plan, history, result, story).encode())
    folder.write("junit.xml", junit_xml(result))
    folder.write("result.json", result_bytes(result))  # last: a folder that has one is complete
    return RunResult(Verdict(result["verdict"]), int(result["exit_code"]), folder.path, result)
