"""Faults that a killed harness left are undone on its containers, and those are removed by whoever comes next."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from harness.runtimes.compose.ownership import remove_dead
from harness.runtimes.compose.removal import left_over, remove_labelled
from harness.runtimes.compose.stale import heal_stale

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def victim(engine: docker.DockerClient, image: str, tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """A harness in another process, with faults on, and its project."""
    command = [sys.executable, "-m", "tests.runtimes.compose.victim", str(tmp_path)]
    project = ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            project = process.stdout.readline().split()[1]
            assert process.stdout.readline() == "ready\n"
            yield process, project
        finally:
            process.kill()
            if project:
                remove_labelled(engine, f"harness.project={project}")


def container(engine: docker.DockerClient, project: str, role: str) -> Any:
    labels = [f"harness.project={project}", f"harness.role={role}"]
    (found,) = engine.containers.list(all=True, filters={"label": labels})
    return found


def test_stale_faults_are_healed_where_the_harness_is_dead_and_only_there(
    engine: docker.DockerClient, victim: tuple[Any, str], tmp_path: Path
) -> None:
    """Kernel rules, a pause, a lost network and a squeezed processor; then the next run's sweep takes all of it."""
    process, project = victim
    own = f"{project}-"

    def sentences() -> tuple[list[str], list[str]]:
        """Of this network: others' may be healed beside it."""
        undone, failures = heal_stale(engine)
        return sorted(line for line in undone if own in line or "kernel" in line), failures

    assert [line for line in sentences()[0] if own in line] == [], "it lives"
    remove_dead(engine)
    assert container(engine, project, "b").status == "paused"
    process.kill()
    process.wait(10)
    undone, failures = sentences()
    assert failures == []
    said = [line.split(": ")[1] for line in undone]
    assert sorted(said) == sorted([
        "resumed", "back on its network", "its processor is its own again",
        "the kernel's rules in its namespace are gone",
    ])  # fmt: skip
    assert container(engine, project, "b").status == "running"
    assert container(engine, project, "d").attrs["HostConfig"]["CpuQuota"] <= 0
    networks = container(engine, project, "c").attrs["NetworkSettings"]["Networks"]
    written = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]["c"]["networks"]
    assert networks[f"{project}_c"]["IPAddress"] == written["c"]["ipv4_address"]
    assert [line for line in sentences()[0] if own in line] == [], "healed once"
    removed = remove_dead(engine)
    assert removed.failures == []
    assert left_over(engine, f"harness.project={project}") == []
