"""Exactly what a dead harness left is removed: found by label, owned through a lock that ends with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from harness.runtimes.compose import ownership, removal
from harness.runtimes.compose.ownership import OWNER_LABEL, Owner, is_dead, remove_dead
from harness.runtimes.compose.removal import left_over, remove_labelled

HOLDER = """
import sys
from harness.runtimes.compose.ownership import Owner
owner = Owner.take()
print(owner.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners of these tests only."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))


def killed_harness() -> str:
    """The name of an owner that was killed with its process."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER], text=True, **pipes) as it:
        assert it.stdout is not None
        name = str(it.stdout.readline().strip())
        assert not is_dead(name), "it lives in another process"
        it.send_signal(signal.SIGKILL)
        it.wait(10)
    return name


def test_an_owner_is_alive_until_it_releases_or_its_process_is_killed() -> None:
    """Alive for itself and for others; dead whatever the way it ended."""
    with Owner.take() as owner:
        assert not is_dead(owner.name)
        with Owner.take() as other:
            assert owner.name != other.name
        assert is_dead(other.name)
    assert is_dead(owner.name)
    assert is_dead(killed_harness())


def test_owners_of_another_home_are_never_called_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their locks are where we can not look."""
    name = killed_harness()
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "other"))
    assert not is_dead(name)
    assert not is_dead(f"{ownership._home()}-../../../x")
    assert not is_dead("")


def test_a_lock_is_never_found_free_while_its_owner_is_being_made(tmp_path: Path) -> None:
    """Under its own name it exists only when it is held."""
    with Owner.take() as owner:
        assert [path.name for path in (tmp_path / "owners").iterdir()] == [f"{owner.name}.lock"]
    assert list((tmp_path / "owners").iterdir()) == []


@pytest.mark.docker
class TestWithAnEngine:
    @pytest.fixture
    def labels(self) -> dict[str, str]:
        return {"harness.test": f"{os.getpid()}-{id(self)}"}

    @pytest.fixture(autouse=True)
    def nothing_stays(self, engine: docker.DockerClient, labels: dict[str, str]) -> Iterator[None]:
        yield
        for key, value in labels.items():
            remove_labelled(engine, f"{key}={value}")
            assert left_over(engine, f"{key}={value}") == []

    def make(self, engine: docker.DockerClient, image: str, labels: dict[str, str], owner: str) -> list[str]:
        """A container, running and hard to end, on a network and with a volume; their names."""
        labels = {**labels, OWNER_LABEL: owner}
        network = engine.networks.create(f"test-{owner}", labels=labels, internal=True)
        volume = engine.volumes.create(f"test-{owner}", labels=labels)
        container = engine.containers.run(
            image, ["python", "-c", "import signal; signal.signal(15, lambda *_: None)\nwhile True: signal.pause()"],
            detach=True, name=f"test-{owner}", labels=labels, network=network.name, volumes=[f"{volume.name}:/data"],
        )
        return [str(each.name) for each in (container, network, volume)]

    def test_only_what_the_dead_left_is_removed(
        self, engine: docker.DockerClient, image: str, labels: dict[str, str]
    ) -> None:
        """A live harness beside it keeps everything, and so does one that can not be asked."""
        dead = self.make(engine, image, labels, killed_harness())
        foreign = self.make(engine, image, labels, f"00000000-{os.getpid():012x}")
        with Owner.take() as owner:
            alive = self.make(engine, image, labels, owner.name)
            removed = remove_dead(engine)
            key, value = next(iter(labels.items()))
            assert sorted(left_over(engine, f"{key}={value}")) == sorted([*alive, *foreign])
        assert (removed.containers, removed.networks, removed.volumes) == tuple([name] for name in dead)
        assert str(removed) == "removed 1 container, 1 network, 1 volume"

    def test_a_network_with_a_strangers_container_on_it_and_a_paused_container_go_too(
        self, engine: docker.DockerClient, image: str, labels: dict[str, str]
    ) -> None:
        """The stranger is taken off, and stays."""
        owner = killed_harness()
        container, network, _ = self.make(engine, image, labels, owner)
        stranger = engine.containers.run(image, ["python", "-c", "import signal; signal.pause()"], detach=True,
                                         labels={"harness.test.stranger": owner})  # fmt: skip
        try:
            engine.networks.get(network).connect(stranger)
            engine.containers.get(container).pause()
            assert remove_dead(engine).failures == []
            assert left_over(engine, f"{OWNER_LABEL}={owner}") == []
            stranger.reload()
            assert stranger.status == "running"
        finally:
            stranger.remove(force=True)

    def test_what_can_not_be_removed_is_told_and_the_rest_goes(
        self, engine: docker.DockerClient, image: str, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A volume that a stranger's container uses stays; a sentence says so."""
        monkeypatch.setattr(removal, "REMOVE_SECONDS_MAX", 0.5)
        owner = killed_harness()
        _, network, volume = self.make(engine, image, labels, owner)
        stranger = engine.containers.create(image, volumes=[f"{volume}:/data"])
        try:
            removed = remove_dead(engine)
            assert removed.networks == [network]
            assert len(removed.failures) == 1
            assert f"{volume} is still there" in removed.failures[0]
            assert is_dead(owner), "the next run tries again"
        finally:
            stranger.remove(force=True)
