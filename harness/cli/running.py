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
    json: options.Json = False,
) -> int:
    """Example: harness run black-thursday --seed 7

    Run one storm and give a verdict on it.
    Exit code: 0 holds, 1 violated, 2 bad usage or scenario, 3 unknown, 4 the harness or a tool failed,
    130 interrupted (Ctrl-C), 143 terminated (SIGTERM).
    """
    from harness.scenario.planning import plan_from_file

    plan = plan_from_file(find_scenario(scenario), seed=seed, overrides=set_ or ())
    return _execute(plan, runtime, out, json)


@verb
def replay(
    run: options.Run,
    runtime: options.RuntimeOption = options.Runtime.SIM,
    out: options.Out = None,
    json: options.Json = False,
) -> int:
    """Example: harness replay runs/latest

    Run the plan of an earlier run again, exactly as it was drawn. In sim the whole run repeats, history and all.
    """
    from harness.scenario.plan_file import read_plan

    return _execute(read_plan(run), runtime, out, json)


def _execute(plan: Plan, runtime: options.Runtime, out: Path | None, json: bool) -> int:
    # Imported late: it brings the chain stack, which `--help` and `validate` can do without.
    from harness.scenario.run import run_plan

    stderr = make_console(sys.stderr)
    announce(stderr, plan, runtime=runtime.value)
    with Narration(stderr) as narration:
        finished = run_plan(plan, runtime=runtime.value, out_dir=out or RUNS, narrate=narration)
    try:
        if json:
            print_json({**finished.result, "folder": str(finished.folder)})
        else:
            close(make_console(sys.stdout), finished.result, finished.folder)
    except OSError as error:
        error.add_note(f"the run itself came to exit code {finished.exit_code}, and is in {finished.folder}")
        raise
    return int(finished.exit_code)
