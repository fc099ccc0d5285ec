"""Verbs on faults by hand: fault WORD, fault list, heal. A word's flags are the options it has in scenario files."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness.cli import network_tables, options
from harness.cli.exits import print_json, verb
from harness.report.console import make_console


def add_to(app: typer.Typer, *, with_words: bool) -> None:
    """`with_words`: also the verbs of the words, which cost reading the whole vocabulary of scenario files."""
    group = typer.Typer(
        help="Example: harness fault latency --from reporter-* --to sequencer-* --delay 400ms --for 10s\n\n"
        "Put a fault on a running network, in the words and selectors of scenario files. It is measured before and "
        "after; it heals itself after --for, or with harness heal.",
        no_args_is_help=True,
    )
    if with_words:
        from harness.cli.fault_words import add_words

        add_words(group)
    group.command("list", short_help="Say which faults are on, and which were.")(list_)
    app.add_typer(group, name="fault", short_help="Put a fault on a running network.")
    app.command("heal", short_help="Heal faults that were put on by hand.")(heal)


@verb
def list_(name: options.Name = None, json: options.Json = False) -> None:
    """Example: harness fault list

    Say which faults are on, and which were, with what they were seen to do.
    """
    from harness.network.client import connect

    faults = connect(name).faults()
    if json:
        print_json({"faults": [fault.to_json() for fault in faults]})
    else:
        network_tables.faults(make_console(sys.stdout), faults)


@verb
def heal(
    fault: Annotated[str | None, typer.Argument(metavar="[ID]", help="A fault's id, such as h1.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every fault that is on.")] = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="What killed harnesses left on containers that are still there.")
    ] = False,
    name: options.Name = None,
    json: options.Json = False,
) -> int:
    """Example: harness heal h1

    Heal a fault, or all of them, and see that the network is as before. Exit code 4 if one could not be healed.
    """
    from harness.network.client import connect
    from harness.network.values import NetworkMisuse

    if stale:
        if fault is not None or all_:
            raise NetworkMisuse("--stale goes alone: it is about networks whose harness is gone")
        return _heal_stale(json)
    if (fault is None) != all_:
        raise NetworkMisuse("say which fault to heal, as in harness heal h1, or --all; harness fault list shows them")
    healed = connect(name).heal(fault)
    if json:
        print_json({"faults": [each.to_json() for each in healed]})
    else:
        network_tables.faults(make_console(sys.stdout), healed)
    return 0 if all(each.phase == "healed" for each in healed) else 4


def _heal_stale(json: bool) -> int:
    from contextlib import closing

    from harness.runtimes.compose.client import engine_client
    from harness.runtimes.compose.stale import heal_stale

    with closing(engine_client()) as client:
        undone, failures = heal_stale(client)
    if json:
        print_json({"undone": undone, "failures": failures})
    else:
        console = make_console(sys.stdout)
        for line in [*undone, *failures] or ["no killed harness has left a fault"]:
            console.print(line, markup=False, highlight=False)
    return 4 if failures else 0
