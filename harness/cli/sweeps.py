"""The verb that runs many seeds: one line a run, and two tables of what the set shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from harness.cli import options
from harness.cli.exits import print_json, verb
from harness.report.console import make_console
from harness.report.exit_code import ExitCode

if TYPE_CHECKING:
    from harness.hunt.sweep import SeedRun, Sweep

JOBS_MAX = 64
OUT = Path("runs")


def add_to(app: typer.Typer) -> None:
    app.command("sweep", short_help="Run many seeds of some storms, and count what each property met.")(sweep)


@verb
def sweep(
    scenarios: Annotated[
        list[str], typer.Argument(metavar="SCENARIO...", help="Names of shipped scenarios, or paths of YAML files.")
    ],
    seeds: Annotated[str, typer.Option("--seeds", metavar="A..B", help="Which seeds, both ends in.")] = "1..10",
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, max=JOBS_MAX, help="Runs at once. Default: one a core.")
    ] = None,
    out: options.Out = None,
    set_: options.Set = None,
    json: options.Json = False,
) -> int:
    """Example: harness sweep calm black-thursday --seeds 1..200

    Runs each scenario with each seed in the simulator. Says in how many runs each property held, was violated or met
    nothing to judge, and how many amounts of money were held against the model's. A run that does not hold keeps its
    folder and can be replayed. Exit code: 0 all hold, 1 a property is violated, 3 a run is unknown.
    """
    from harness.hunt.sweep import Sweep, run_seeds, seeds_of
    from harness.hunt.workers import default_at_once
    from harness.scenario.planning import plan_from_file
    from harness.scenario.shipped import find_scenario

    chosen = seeds_of(seeds)
    for scenario in scenarios:   # what is wrong with one is said before the first run
        plan_from_file(find_scenario(scenario), seed=chosen[0], overrides=list(set_ or ()))
    console = make_console(sys.stderr)
    found, total = Sweep(), len(chosen) * len(scenarios)
    for run in run_seeds(scenarios, chosen, overrides=set_ or (), out=out or OUT, at_once=jobs or default_at_once()):
        found.runs.append(run)
        console.print(Text(f"{len(found.runs)} of {total}: {_words(run)}"))
    if json:
        print_json(found.to_json())
    else:
        _print(found)
    return int({"holds": ExitCode.HOLDS, "violated": ExitCode.VIOLATED}.get(str(found.verdict()), ExitCode.UNKNOWN))


def _words(run: SeedRun) -> str:
    what = "" if run.folder is None else f" ({'; '.join(run.unsettled)[:200]}), see {run.folder}"
    return f"{run.scenario} seed {run.seed} {run.verdict}{what}"


def _print(found: Sweep) -> None:
    console = make_console(sys.stdout)
    checks = Table(box=None, pad_edge=False, header_style="bold")
    scenarios = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("property", "", "held", "violated", "nothing to judge"):
        checks.add_column(heading, overflow="fold")
    for row in found.check_rows():
        style = "bold red" if row["violated"] else "" if row["holds"] else "yellow"
        checks.add_row(
            row["id"], row["name"], str(row["holds"]), str(row["violated"]), str(row["unknown"]), style=style
        )
    for heading in ("scenario", "runs", "hold", "violated", "unknown", "amounts", "differing", "s a run"):
        scenarios.add_column(heading, overflow="fold")
    for row in found.scenario_rows():
        scenarios.add_row(
            row["scenario"], str(row["runs"]), str(row["holds"]), str(row["violated"]), str(row["unknown"]),
            str(row["compared"]), str(row["differing"]), f"{row['seconds_per_run']:g}",
        )  # fmt: skip
    console.print(checks)
    console.print()
    console.print(scenarios)
    for run in found.failed():
        console.print(Text(_words(run), style="bold red"))
    never = found.never_judged()
    console.print(
        f"{len(found.runs)} runs, {len(found.failed())} of them do not hold; "
        f"{sum(run.compared for run in found.runs)} amounts compared, "
        f"{sum(run.differing for run in found.runs)} differ; "
        + (f"never judged: {', '.join(never)}" if never else "every property was judged")
    )
