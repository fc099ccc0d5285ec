"""A question to an image leaves nothing, whoever dies in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import docker
import pytest
from docker.errors import APIError

from harness.runtimes.compose.ownership import OWNER_LABEL, remove_dead
from harness.runtimes.compose.probe import ask_image

pytestmark = pytest.mark.docker

ASKER = """
import docker, os, signal, sys
from docker.models.containers import Container
from harness.runtimes.compose.probe import ask_image
Container.start = lambda self, **_: os.kill(os.getpid(), signal.SIGKILL)
ask_image(docker.from_env(), sys.argv[1], "sh", "-c", "true")
"""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners of these tests only."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))


def left(engine: docker.DockerClient) -> list[str]:
    """Containers of owners that have their lock, or had it, in this test's home."""
    from harness.runtimes.compose import ownership

    found = engine.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    return [str(each.name) for each in found if each.labels[OWNER_LABEL].startswith(ownership._home())]


def test_an_image_answers_and_its_container_is_gone(engine: docker.DockerClient, image: str, tmp_path: Path) -> None:
    assert ask_image(engine, image, "sh", "-c", "echo here; exit 3") == (3, b"here\n")
    with pytest.raises(APIError, match="no-such-program"):
        ask_image(engine, image, "no-such-program")
    assert left(engine) == []
    assert list((tmp_path / "owners").iterdir()) == []


def test_the_container_of_a_killed_asker_goes_with_the_next_run(engine: docker.DockerClient, image: str) -> None:
    asker = subprocess.run([sys.executable, "-c", ASKER, image], env=dict(os.environ), timeout=60, check=False)
    assert asker.returncode == -signal.SIGKILL
    assert len(left(engine)) == 1
    assert len(remove_dead(engine).containers) == 1
    assert left(engine) == []
