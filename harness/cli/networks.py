"""Verbs on dev networks: up, status, endpoints, logs, restart, down."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.exits import print_json, verb

FOLLOW_PAUSE_S = 0.2
LINES = 100

NetworkFile = Annotated[
    Path | None, typer.Argument(help="A NETWORK.yaml: a scenario file without a storm. Default: the default network.")
]


def add_to(app: typer.Typer) -> None:
    app.command("up", short_help="Start a dev network.")(up)
    app.command("status", short_help="Say which networks are up and how they are.")(status)
    app.command("endpoints", short_help="Say where a network's nodes answer.")(endpoints)
    app.command("logs", short_help="Show what a role has written.")(logs)
    app.command("restart", short_help="Kill a role and start it again from its store.")(restart)
    app.command("down", short_help="End a dev network.")(down)


@verb
def up(
    file: NetworkFile = None,
    name: options.NewName = "dev",
    runtime: Annotated[
        str,
        typer.Option("--runtime", help="local: a process per role. compose: a container each. swarm: a service each."),
    ] = "local",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is ready; it goes on.")] = False,
    l1_port: Annotated[int, typer.Option(metavar="PORT", help="JSON-RPC of l1-0; l1-1 follows. 0: any free.")] = 8545,
    l2_port: Annotated[
        int, typer.Option(metavar="PORT", help="JSON-RPC of sequencer-0; the others and replicas follow. 0: any free.")
    ] = 9545,
    fault_api_port: Annotated[
        int, typer.Option(metavar="PORT", help="Toxiproxy-compatible control API. 0: any free.")
    ] = 8474,
    any_port: Annotated[bool, typer.Option("--any-port", help="Any free port for everything.")] = False,
    snapshot: Annotated[
        str | None, typer.Option(metavar="SNAPSHOT", help="Start from a saved state, with its plan.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Record everything, as a run does; grows without end.")
    ] = False,
    seed: options.Seed = None,
    set_: options.Set = None,
    json: options.Json = False,
) -> int:
    """Example: harness up --detach

    Start a rollup with the venue on it, and keep it up: contracts deployed, accounts funded, the first block
    committed. Ctrl-C ends it; with --detach, harness down does. Everything binds 127.0.0.1; only a swarm
    can not.
    """
    began = time.monotonic()
    from harness.network.network_file import network_plan
    from harness.network.owner import Wanted, own
    from harness.network.ports import Ports

    wanted = Wanted(
        network_plan(file, seed=seed, overrides=set_ or ()),
        name=name,
        runtime=runtime,
        ports=Ports(0, 0, 0) if any_port else Ports(l1_port, l2_port, fault_api_port),
        keeps_history=history,
        snapshot=snapshot,
    )
    if detach:
        from harness.network.starting import up as start

        # What shows the network is imported while it boots.
        network = start(wanted, meanwhile=lambda: import_module("harness.cli.network_tables"))
        from harness.cli import network_tables

        if runtime == "swarm":
            from harness.report.console import make_console
            from harness.runtimes.compose.layout import SWARM_IS_PUBLIC

            make_console(sys.stderr).print(SWARM_IS_PUBLIC)
        network_tables.ready(network.description(), took_s=time.monotonic() - began, json=json, detached=True)
        return 0

    def on_ready(live: object) -> None:
        from harness.cli import network_tables
        from harness.network.control import description
        from harness.network.live import LiveNetwork

        assert isinstance(live, LiveNetwork)
        network_tables.ready(description(live), took_s=time.monotonic() - began, json=json, detached=False)

    own(wanted, on_ready)
    from harness.report.console import make_console

    make_console(sys.stderr).print(f"{name} is down")
    return 0


@verb
def status(name: options.Name = None, json: options.Json = False) -> None:
    """Example: harness status

    Say which networks are up, and of one of them: its heads, its roles, the faults that are on, and what went wrong.
    """
    from harness.cli import network_tables
    from harness.network.claim import find_all
    from harness.network.client import connect

    found = find_all()
    if name is None and len(found) != 1:
        network_tables.several(found, json=json)
        return
    if name is None and not found[0].is_live:
        network_tables.several(found, json=json)
        return
    network_tables.status(connect(name).status(), json=json)


@verb
def endpoints(
    name: options.Name = None,
    env: Annotated[bool, typer.Option("--env", help="As shell variables: eval $(harness endpoints --env)")] = False,
    json: options.Json = False,
) -> None:
    """Example: eval $(harness endpoints --env)

    Say where a network's nodes answer JSON-RPC, which accounts there are, and where its contracts are.
    """
    from harness.cli import network_tables
    from harness.network.client import connect
    from harness.report.console import make_console

    described = connect(name).description()
    if json:
        print_json(described.to_json())
    elif env:
        network_tables.environment(described)
    else:
        network_tables.endpoints(make_console(sys.stdout), described)


@verb
def logs(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="A role's name, such as sequencer-0.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it writes, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = LINES,
    name: options.Name = None,
) -> None:
    """Example: harness logs sequencer-0 -f

    Show what a role's process and its node have written.
    """
    from harness.network.client import connect

    file = connect(name).log(role)
    for line in _last_lines(file, lines):
        sys.stdout.write(line)
    if follow:
        with file.open(encoding="utf-8", errors="replace") as stream:
            stream.seek(0, 2)
            while file.exists():
                sys.stdout.write(stream.read())
                sys.stdout.flush()
                time.sleep(FOLLOW_PAUSE_S)


def _last_lines(file: Path, count: int) -> Iterator[str]:
    from collections import deque

    with file.open(encoding="utf-8", errors="replace") as stream:
        yield from deque(stream, maxlen=count)


@verb
def restart(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="A role's name, such as batcher-0.")],
    name: options.Name = None,
) -> None:
    """Example: harness restart batcher-0

    Kill a role (SIGKILL: what it had not made durable is lost) and start it again from its store.
    """
    from harness.network.client import connect
    from harness.report.console import make_console

    began = time.monotonic()
    connect(name).restart(role)
    make_console(sys.stdout).print(f"{role} is up again after {time.monotonic() - began:.2f} s")


@verb
def down(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Which, instead of --name.")] = None,
    name: options.Name = None,
    all_: Annotated[bool, typer.Option("--all", help="Every network of this user.")] = False,
) -> None:
    """Example: harness down mine

    End a network and remove what it left; also what one left whose owner was killed. Never touches another.
    """
    from harness.network.claim import find_all
    from harness.network.ending import end

    named: Sequence[str | None] = [found.name for found in find_all()] if all_ else names or [name]
    for each in named:
        print(end(each))
