"""A verb imports what it needs and no more, for most of a network's start is importing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer

from harness.cli.main import ROOMS, make_app


def verbs_of(*arguments: str) -> list[str]:
    command = typer.main.get_command(make_app(arguments))
    return list(command.commands)  # type: ignore[attr-defined]


def test_every_verb_is_in_the_room_that_is_said_to_have_it() -> None:
    """Or `harness VERB` would say that there is no such verb, although the help lists it."""
    everything = verbs_of()
    assert sorted(everything) == sorted(verb for verbs in ROOMS.values() for verb in verbs)
    for room, verbs in ROOMS.items():
        for verb in verbs:
            assert sorted(verbs_of(verb)) == sorted(verbs), room


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import harness.cli.main as m; m.make_app(['up'])", ["asyncio", "pydantic", "rich", "yaml"]),
        ("import harness.network.starting, harness.network.on_local",
         ["aiohttp", "docker", "eth_abi", "harness.roles.registry", "jinja2", "rich", "web3", "websockets"]),
    ],
    ids=["the command line", "a network's owner"],
)  # fmt: skip
def test_what_a_start_does_not_import(statement: str, heavy: list[str]) -> None:
    """Each of these takes from 30 to 150 ms, of the second that a small network may take."""
    program = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert [name for name in heavy if name in json.loads(done.stdout)] == []
