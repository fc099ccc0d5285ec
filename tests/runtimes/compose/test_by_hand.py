"""The generated file in a person's hands: Compose brings the network up, and its roles begin by themselves."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from harness.runtimes.compose.compose_file import FILE
from harness.runtimes.compose.layout import PROJECT_LABEL
from harness.runtimes.compose.removal import left_over
from harness.runtimes.compose.runtime import ComposeRuntime
from harness.runtimes.conformance.echo import echo_factory, echo_plan

from .running import DEADLINE_S, GENESIS

ROLES = ["replica-0", "replica-1"]
"""Not of one letter: Compose takes `a:/…` for a drive of Windows."""

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


COMPOSES = {"v2": ["docker", "compose"], "v1": ["docker-compose"]}
"""v1 is `docker-compose` 1.29 from PyPI, which needs an environment of its own: "pyyaml<6", "docker<6", "urllib3<2"."""


def works(command: list[str], version: str) -> bool:
    """Whether it is installed, and that version; a `docker-compose` may also be the second one."""
    if not shutil.which(command[0]):
        return False
    told = subprocess.run([*command, "version", "--short"], capture_output=True, text=True)
    return not told.returncode and f"v{told.stdout.strip().removeprefix('v')[:1]}" == version


class Hand:
    """A person at a terminal beside the file."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder = folder
        self.command = command

    def compose(self, *words: str) -> str:
        done = subprocess.run(
            [*self.command, "-f", str(self.folder / FILE), *words], capture_output=True, text=True, timeout=DEADLINE_S,
            env={name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_for(self, words: str, *, times: int = 1) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while (log := self.compose("logs", "--no-color", "proxy")).count(words) < times:
            assert time.monotonic() < deadline, log
            time.sleep(0.2)


@pytest.fixture(params=list(COMPOSES))
def hand(
    engine: docker.DockerClient, image: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Hand]:
    """Beside the file of a network that the harness has had up and has ended."""
    command = COMPOSES[request.param]
    if not works(command, request.param):
        pytest.skip(f"`{' '.join(command)}` {request.param} is not installed")
    person = Hand(tmp_path, command)

    async def once() -> str:
        runtime = ComposeRuntime(echo_plan(ROLES), echo_factory, folder=tmp_path, genesis_timestamp=GENESIS)
        async with runtime:
            project = runtime.layout.project
        runtime.write_history(tmp_path / "history.jsonl")   # as a run does when it is over
        return project

    project = asyncio.run(once())
    assert left_over(engine, f"{PROJECT_LABEL}={project}") == []
    try:
        yield person
    finally:
        person.compose("down", "-v", "--timeout", "1")
    assert left_over(engine, f"{PROJECT_LABEL}={project}") == []


def test_a_network_by_hand_begins_by_itself_and_takes_a_restarted_role_back(hand: Hand) -> None:
    hand.compose("up", "-d")
    hand.wait_for("all 2 roles are up and have begun")
    hand.compose("restart", "--timeout", "1", ROLES[1])
    hand.wait_for(f"{ROLES[1]} goes on")
    rows = hand.compose(
        "exec", "-T", ROLES[1], "python", "-c",
        "import sqlite3; print(sqlite3.connect('/var/lib/harness/replica-1.sqlite').execute("
        "\"select value from rows where tab='starts'\").fetchone()[0].decode())",
    )  # fmt: skip
    assert rows.strip() == "2", "it began twice, and remembers the first"
    assert "127.0.0.1:" in hand.compose("port", "proxy", "7101")
