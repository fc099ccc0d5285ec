"""What a worker can be asked for: a mutant's run, ended as soon as it is caught, or one seed of a scenario."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.mutants.catalogue import Mutant
from harness.mutants.patching import DoesNotApply, mutant_contracts
from harness.scenario.conduct import Variant
from harness.scenario.folder import RunFolder
from harness.scenario.narration import Silence
from harness.scenario.on_sim import run_sim
from harness.scenario.planning import plan_from_file
from harness.scenario.run import judge, run_plan
from harness.scenario.shipped import find_scenario
from harness.solidity.compile import CompilationFailed
from harness.solidity.incremental import compile_changed
from harness.solidity.warm_compiler import WarmCompiler


def run_mutant(job: Mapping[str, Any], compiler: WarmCompiler) -> dict[str, Any]:
    """Runs a mutant until the check that must has noticed, or to the end.

    Returns the checks violated, first those told of while it ran; when the first evidence was, in seconds of the run;
    and how long it took. One that does not apply or compile is told of as its `problem`: the others are tried all the
    same.
    """
    mutant = Mutant.model_validate_json(job["mutant"])
    began = time.monotonic()
    try:
        root = mutant_contracts(mutant)
        compile_changed(root, compiler)
    except (DoesNotApply, CompilationFailed) as problem:
        took = round(time.monotonic() - began, 2)
        return {"violated": [], "seconds": None, "wall_s": took, "compile_s": took, "problem": str(problem)}
    compiled = time.monotonic()
    plan = plan_from_file(find_scenario(mutant.scenario), seed=mutant.seed, overrides=list(mutant.set))
    with tempfile.TemporaryDirectory(prefix="harness-mutant-") as out:
        folder = RunFolder.create(Path(out), plan)
        variant = Variant(contracts=root, mutant=mutant.id)
        stop_on = frozenset() if job.get("whole") else frozenset(mutant.trips[:1])
        recorded = run_sim(plan, folder, Silence(), variant=variant, stop_on=stop_on)
        alarms = {alarm["id"]: int(alarm["block"]) for alarm in recorded.stats["online"]["alarms"]}
        blocks = list(alarms.values())
        violated = list(alarms)
        if not stop_on & alarms.keys():
            judged = judge(plan, folder, "sim", recorded.faults, recorded.history_sha256, recorded.stats, report=False)
            fallen = [check for check in judged.result["checks"] if check["verdict"] == "violated"]
            violated += [check["id"] for check in fallen if check["id"] not in alarms]
            blocks += [
                case["block"] for check in fallen for case in check["evidence"]
                if isinstance(case, dict) and isinstance(case.get("block"), int)
            ]  # fmt: skip
        seconds = _second_of(folder.history, min(blocks)) if blocks else None
    return {
        "violated": violated, "seconds": seconds, "wall_s": round(time.monotonic() - began, 2),
        "compile_s": round(compiled - began, 2),
    }  # fmt: skip


def run_seed(job: Mapping[str, Any], compiler: WarmCompiler) -> dict[str, Any]:
    """Runs one seed of a scenario whole; its result without evidence, and its folder unless it holds."""
    plan = plan_from_file(find_scenario(job["name"]), seed=job["seed"], overrides=list(job["set"]))
    finished = run_plan(plan, out_dir=Path(job["out"]), report=False, judges_online=False)  # nobody looks on
    result = finished.result
    keep = str(result["verdict"]) != "holds"
    if not keep:
        shutil.rmtree(finished.folder, ignore_errors=True)
    return {
        "scenario": plan.scenario, "seed": plan.seed, "verdict": str(result["verdict"]),
        "checks": {
            check["id"]: {"verdict": str(check["verdict"]), "demanded": check["demanded"], "summary": check["summary"]}
            for check in result["checks"]
        },
        "faults_amiss": [fault["id"] for fault in result["faults"] if not (fault["bit"] and fault["healed"])],
        "compared": result["stats"]["compared_at_the_wei"], "wall_s": result["stats"]["wall_s"],
        "folder": str(finished.folder) if keep else None,
    }  # fmt: skip


def _second_of(history: Path, number: int) -> float | None:
    """When an L2 block was first seen, in seconds of the run."""
    with history.open("rb") as lines:
        for line in lines:
            if b'"block"' not in line:
                continue
            record = orjson.loads(line)
            if record.get("kind") == "block" and record.get("chain") == "l2" and record.get("number") == number:
                return round(int(record["t"]) / 1e9, 1)
    return None


JOBS: Mapping[str, Callable[[Mapping[str, Any], WarmCompiler], dict[str, Any]]] = {
    "mutant": run_mutant,
    "seed": run_seed,
}
