"""The verb about mutants: list them, or put them on trial."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from harness.cli import options
from harness.cli.exits import print_json, verb
from harness.report.console import make_console
from harness.report.verdicts import ExitCode

if TYPE_CHECKING:
    from harness.mutants.catalogue import Mutant
    from harness.mutants.trial import Sentence

JOBS_MAX = 64


def add_to(app: typer.Typer) -> None:
    app.command("mutants", short_help="List broken versions of the venue, or try whether checks notice.")(mutants)


@verb
def mutants(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which; all by default.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Run each in its scenario; exit 1 if one is not caught.")] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, max=JOBS_MAX, help="Runs at once. Default: one a core.")
    ] = None,
    json: options.Json = False,
) -> int:
    """Example: harness mutants --run X15 X17

    Lists deliberately broken versions of the venue: what is broken, which check must notice, in which scenario.
    One of them alone: harness run SCENARIO --mutant X15
    """
    from harness.mutants.catalogue import all_mutants, find_mutant

    chosen = [find_mutant(id) for id in dict.fromkeys(ids)] if ids else list(all_mutants())
    if not run:
        if json:
            print_json({"mutants": [mutant.model_dump(exclude={"changes"}) for mutant in chosen]})
        else:
            _list(chosen)
        return int(ExitCode.HOLDS)
    return _try(chosen, jobs, json)


def _list(chosen: list[Mutant]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "broken", "must be noticed by", "in"):
        table.add_column(heading, overflow="fold")
    for mutant in chosen:
        noticed = " ".join([*mutant.trips[:1], *(f"({also})" for also in mutant.trips[1:])]) or mutant.fate
        table.add_row(mutant.id, mutant.breaks, noticed, mutant.scenario)
    make_console(sys.stdout).print(table)


def _try(chosen: list[Mutant], jobs: int | None, json: bool) -> int:
    from harness.hunt.workers import default_at_once
    from harness.mutants.trial import try_all

    console = make_console(sys.stderr)
    done: dict[str, Sentence] = {}
    for sentence in try_all(chosen, jobs=jobs or default_at_once()):
        done[sentence.mutant.id] = sentence
        console.print(Text(f"{len(done)} of {len(chosen)}: {_words(sentence)}"))
    sentences = [done[mutant.id] for mutant in chosen]
    good = all(sentence.is_as_foretold for sentence in sentences)
    if json:
        print_json({"as_foretold": good, "mutants": [sentence.to_json() for sentence in sentences]})
    else:
        _print(sentences)
    if any(sentence.problem for sentence in sentences):
        return int(ExitCode.FAILED)
    return int(ExitCode.HOLDS if good else ExitCode.VIOLATED)


def _words(sentence: Sentence) -> str:
    what = f"caught by {', '.join(sentence.violated)}" if sentence.violated else sentence.problem or "not noticed"
    return f"{sentence.mutant.id} {what} ({sentence.mutant.breaks})"


def _print(sentences: list[Sentence]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "broken", "scenario", "caught by", "after", ""):
        table.add_column(heading, overflow="fold")
    for sentence in sentences:
        mutant = sentence.mutant
        after = "" if sentence.seconds is None else f"{sentence.seconds:g} s"
        style = "green" if sentence.is_as_foretold else "bold red"
        fate: str = mutant.fate if sentence.is_as_foretold else "NOT AS FORETOLD"
        if mutant.thought != mutant.fate:
            fate += f" (we thought: {mutant.thought})"
        table.add_row(
            mutant.id, mutant.breaks, mutant.scenario, ", ".join(sentence.violated) or sentence.problem or "nothing",
            after, Text(fate, style=style),
        )  # fmt: skip
    console = make_console(sys.stdout)
    console.print(table)
    caught = sum(sentence.is_caught for sentence in sentences)
    named = sum(sentence.mutant.fate == "caught" for sentence in sentences)
    others = [f"{fate} {ids}" for fate in ("equivalent", "escapes") if (ids := _ids(sentences, fate))]
    console.print("; ".join([f"{caught} of {named} caught by the check that must", *others]))


def _ids(sentences: list[Sentence], fate: str) -> str:
    return " ".join(sentence.mutant.id for sentence in sentences if sentence.mutant.fate == fate)
