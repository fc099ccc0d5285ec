"""Arguments and options that several verbs share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Runtime(StrEnum):
    """The runtimes there are."""

    SIM = "sim"
    LOCAL = "local"
    COMPOSE = "compose"
    SWARM = "swarm"


Scenario = Annotated[
    str, typer.Argument(help="Name of a shipped scenario, or the path of a YAML file.", metavar="SCENARIO")
]
Run = Annotated[Path, typer.Argument(help="A run's folder, such as runs/latest.", metavar="RUN")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Draw the plan from this seed instead of the file's.", min=0)]
RuntimeOption = Annotated[
    Runtime,
    typer.Option(
        "--runtime",
        help="sim: one process, virtual time. local: a process per role. compose: a container per role. "
        "swarm: a service of Docker Swarm per role.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Where run folders live; each is SCENARIO-SEED-TIME in it. Default: runs.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the scenario, as in network.l2.sequencers=7; repeatable."
    ),
]

Mutant = Annotated[
    str | None,
    typer.Option("--mutant", metavar="ID", help="Run a deliberately broken venue, such as X15; see harness mutants."),
]

Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        envvar="HARNESS_NETWORK",
        help="Which network. Default: the only one, or the one called dev.",
    ),
]
NewName = Annotated[
    str, typer.Option("--name", metavar="NAME", envvar="HARNESS_NETWORK", help="What to call it; several can be up.")
]
