"""Verbs that run a storm: demo, run, replay."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from harness.cli import options
from harness.cli.exits import print_json, verb
from harness.plan import Plan
from harness.report.console import Narration, announce, close, make_console
from harness.scenario.shipped import find_scenario

DEMO = "black-thursday"
RUNS = Path("runs")


def add_to(app: typer.Typer) -> None:
    app.command("demo", short_help="Put Black Thursday on a rollup and judge it.")(demo)
    app.command("run", short_help="Run one storm and give a verdict on it.")(run)
    app.command("replay", short_help="Run the plan of an earlier run again.")(replay)


@verb
def demo(out: options.Out = None, json: options.Json = False) -> int:
    """Example: harness demo

    Boot a rollup of real Anvil nodes, put Black Thursday on it, and judge every liquidation and settlement.
    The same as: harness run black-thursday
    """
    from harness.scenario.planning import plan_from_file

    return _execute(plan_from_file(find_scenario(DEMO)), options.Runtime.SIM, out, json)


@verb
def run(
    scenario: options.Scenario,
    seed: options.Seed = None,
    runtime: options.RuntimeOption = options.Runtime.SIM,
    out: options.Out = None,
    set_: options.Set = None,
    mutant: options.Mutant = None,
    json: options.Json = False,
) -> int:
    """Example: harness run black-thursday --seed 7

    Run one storm and give a verdict on it.
    Exit code: 0 holds, 1 violated, 2 bad usage or scenario, 3 unknown, 4 the harness or a tool failed,
    130 interrupted (Ctrl-C), 143 terminated (SIGTERM).
    """
    from harness.scenario.planning import plan_from_file

    overrides = list(set_ or ())
    if mutant is not None:
        from harness.mutants.catalogue import find_mutant

        broken = find_mutant(mutant)
        overrides = [*broken.set, *overrides]
        seed = broken.seed if seed is None else seed
    plan = plan_from_file(find_scenario(scenario), seed=seed, overrides=overrides)
    return _execute(plan, runtime, out, json, mutant=mutant)


@verb
def replay(
    run: options.Run,
    runtime: options.RuntimeOption = options.Runtime.SIM,
    out: options.Out = None,
    mutant: options.Mutant = None,
    json: options.Json = False,
) -> int:
    """Example: harness replay runs/latest

    Run the plan of an earlier run again, exactly as it was drawn. In sim the whole run repeats, history and all.
    """
    from harness.scenario.plan_file import read_plan

    return _execute(read_plan(run), runtime, out, json, mutant=mutant)


def _execute(
    plan: Plan, runtime: options.Runtime, out: Path | None, json: bool, *, mutant: str | None = None
) -> int:
    # Imported late: it brings the chain stack, which `--help` and `validate` can do without.
    from harness.scenario.conduct import OURS
    from harness.scenario.run import run_plan

    variant = OURS
    if mutant is not None:
        from harness.mutants.patching import variant_of

        variant = variant_of(mutant)

    stderr = make_console(sys.stderr)
    announce(stderr, plan, runtime=runtime.value)
    with Narration(stderr) as narration:
        finished = run_plan(plan, runtime=runtime.value, out_dir=out or RUNS, narrate=narration, variant=variant)
    try:
        if json:
            print_json({**finished.result, "folder": str(finished.folder)})
        else:
            close(make_console(sys.stdout), finished.result, finished.folder)
    except OSError as error:
        error.add_note(f"the run itself came to exit code {finished.exit_code}, and is in {finished.folder}")
        raise
    return int(finished.exit_code)
