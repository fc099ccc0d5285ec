"""Verbs about the machine: doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from harness.cli import options
from harness.cli.exits import print_json, verb
from harness.report.console import make_console
from harness.report.exit_code import ExitCode


def add_to(app: typer.Typer) -> None:
    app.command("doctor", short_help="Say which tools are there and how to get the others.")(doctor)


Project = Annotated[
    Path | None,
    typer.Argument(help="Also look through this folder's contracts for guards that are off on test chains."),
]


@verb
def doctor(project: Project = None, json: options.Json = False) -> int:
    """Example: harness doctor

    Say for each tool whether it is there, where, which version, and how to get it if it is missing. Also removes
    temporary folders that killed runs could not remove themselves. With a PROJECT, warn of guards in its contracts that
    switch themselves off where they detect a test chain: what was tested there was tested without them.
    Exit code 4 if a tool is missing that a run needs.
    """
    from harness.anvil.scratch import sweep
    from harness.project.chain_detection import guards_off_on_test_chains
    from harness.scenario.errors import ScenarioError
    from harness.toolchain import inspect

    if project is not None and not project.is_dir():
        raise ScenarioError.at("", "is no folder; name the one that holds the contracts", file=str(project))
    guards = [] if project is None else guards_off_on_test_chains(project)
    left = sweep()
    tools = inspect()
    ready = all(tool.found for tool in tools if tool.required)
    if json:
        fields = ("name", "found", "where", "version", "required", "remedy", "problem")
        print_json({
            "ready": ready,
            "tools": [{name: getattr(tool, name) for name in fields} for tool in tools],
            "removed": [str(folder) for folder in left],
            "warnings": [str(guard) for guard in guards],
        })  # fmt: skip
        return int(ExitCode.HOLDS if ready else ExitCode.FAILED)
    console = make_console(sys.stdout)
    for tool in tools:
        mark, style = ("ok", "green") if tool.found else ("missing", "red" if tool.required else "yellow")
        line = Text.assemble((f"{mark:>8}", style), f"  {tool.name:<15} {tool.version or '':<12} {tool.where or ''}")
        console.print(line)
        if not tool.found:
            words = ("needed" if tool.required else "optional", tool.problem, tool.remedy)
            console.print(Text("          " + "; ".join(word for word in words if word)))
    for guard in guards:
        console.print(Text.assemble((f"{'warning':>8}", "yellow"), f"  {guard}"))
    if project is not None and not guards:
        console.print(f"no guard in {project} looks for a test chain")
    if left:
        console.print(f"removed {len(left)} temporary folders that killed runs had left, such as {left[0]}")
    console.print("ready" if ready else "not ready: a run needs what is missing above")
    return int(ExitCode.HOLDS if ready else ExitCode.FAILED)
