"""Verbs about somebody's own contracts: init."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from harness.cli import options
from harness.cli.exits import print_json, verb
from harness.report.console import make_console

Folder = Annotated[Path, typer.Argument(help="The repository; Foundry's and Hardhat's are recognised.")]


def add_to(app: typer.Typer) -> None:
    app.command("init", short_help="Write a starting point into a repository with contracts.")(init)


@verb
def init(folder: Folder = Path(), json: options.Json = False) -> int:
    """Example: harness init

    Write a project file, a storm and a pytest test into a repository, fitted to the contracts found in it: Foundry's
    out/, Hardhat's artifacts/, or Solidity sources. The test passes as it is. Nothing is overwritten: exit code 2 if
    one of the files is there already.
    """
    from harness.project.starting_point import starting_point, write

    point = starting_point(folder)
    write(point, folder)
    paths = [path for path, _ in point.files]
    if json:
        print_json({
            "toolchain": point.toolchain, "files": paths, "deployed": point.deployed, "left_out": point.left_out,
            "note": point.note,
        })  # fmt: skip
        return 0
    console = make_console(sys.stdout)
    console.print(Text(f"found     {point.toolchain}" + (f": {point.note}" if point.note else "")))
    for path in paths:
        console.print(Text(f"wrote     {path}"))
    if point.deployed:
        console.print(Text(f"deploys   {', '.join(point.deployed)}"))
    for left_out in point.left_out:
        console.print(Text(f"not yet   {left_out}: give its arguments in {paths[0]}"))
    console.print(Text(f"next      pytest {paths[2]}"))
    console.print(Text(f"          harness run {paths[1]}"))
    return 0
