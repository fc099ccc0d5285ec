"""Verbs on saved states: snapshot save, load, list, remove."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from harness.cli import network_tables, options
from harness.cli.exits import print_json, verb
from harness.report.console import make_console

SnapshotName = Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Its name.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Example: harness snapshot save before-upgrade\n\nSave the state of a network and bring it back.",
        no_args_is_help=True,
    )
    group.command("save", short_help="Save a network's state; it goes on.")(save)
    group.command("load", short_help="Restart a network from a saved state.")(load)
    group.command("list", short_help="Say which states are saved.")(list_)
    group.command("remove", short_help="Remove a saved state.")(remove)
    app.add_typer(group, name="snapshot", short_help="Save a network's state and bring it back.")


@verb
def save(snapshot: SnapshotName, name: options.Name = None, json: options.Json = False) -> None:
    """Example: harness snapshot save before-upgrade

    Save the state of all nodes and stores at one moment. One of the same name is replaced.
    """
    from harness.network.client import connect

    saved = connect(name).save_snapshot(snapshot)
    if json:
        print_json(saved.to_json())
    else:
        print(f"saved {saved.name}: L1 block {saved.l1_block}, L2 block {saved.l2_block}, {saved.bytes / 1e6:.1f} MB")


@verb
def load(snapshot: SnapshotName, name: options.Name = None, json: options.Json = False) -> None:
    """Example: harness snapshot load before-upgrade

    Bring a state back: every role restarts from it, and the network's clock goes on from its moment.
    """
    from harness.network.client import connect

    began = time.monotonic()
    loaded = connect(name).load_snapshot(snapshot)
    if json:
        print_json(loaded.to_json())
    else:
        took = time.monotonic() - began
        print(f"back at {loaded.name}: L1 block {loaded.l1_block}, L2 block {loaded.l2_block}, after {took:.1f} s")


@verb
def list_(json: options.Json = False) -> None:
    """Example: harness snapshot list

    Say which states are saved, oldest first.
    """
    from harness.network.snapshots import listed

    found = listed()
    if json:
        print_json({"snapshots": [snapshot.to_json() for snapshot in found]})
    else:
        network_tables.snapshots(make_console(sys.stdout), found)


@verb
def remove(snapshot: SnapshotName) -> None:
    """Example: harness snapshot remove before-upgrade

    Remove a saved state.
    """
    from harness.network.snapshots import remove as remove_snapshot

    remove_snapshot(snapshot)
    print(f"removed {snapshot}")
