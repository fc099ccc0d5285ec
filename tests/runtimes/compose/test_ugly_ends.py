"""However a run ends, nothing of it is left: no container, network or volume, after what the next run does first.

Each way is a real `harness run` in containers. Some run always; all of them with HARNESS_UGLY_ENDS=all (some ten
minutes). An engine that is killed is the test's own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from harness.runtimes.compose import ownership
from harness.runtimes.compose.ownership import OWNER_LABEL, remove_dead
from harness.runtimes.compose.removal import left_over
from harness.toolchain.places import cache_home
from tests.runtimes.compose.own_engine import OwnEngine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
ALL = os.environ.get("HARNESS_UGLY_ENDS") == "all"
WAIT_S = 240.0
SCENARIO = """
version: 1
name: ugly
seed: 3
network: {l1: {followers: 0}, l2: {sequencers: 1, replicas: 0}, oracles: 1, keepers: 1}
venue: {min_sources: 1}
market: {ETH: {knots: {0s: 200, 20s: 195}}}
products: [{id: ETH-F, kind: future, underlying: ETH, expires: 22s}]
workload: {traders: 1, rate: 2/s, leverage: [4, 10]}
faults:
  - {at: 2s, for: 15s, loss: {from: trader-0, to: sequencer-0, probability: 30%, via: kernel}}
  - {at: 2s, for: 15s, pause: keeper-0}
  - {at: 2s, for: 15s, disconnect: maker-0}
  - {at: 2s, for: 15s, cpu: {of: reporter-0, cores: 0.2}}
storm: 19s
within: {recover: 5s}
liveness: 6s
"""


@dataclass
class Run:
    """One `harness run` in another process, and the engine that it runs on."""

    folder: Path
    engine: docker.DockerClient
    own: OwnEngine | None = None
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    def begin(self) -> None:
        (self.folder / "ugly.yaml").write_text(SCENARIO)
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(
                [*(self.own.prefix if self.own else ()), sys.executable, "-m", "harness.cli", "run",
                 self.folder / "ugly.yaml", "--runtime", "compose", "--out", self.folder / "runs"],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
                env={**os.environ, **self.environment},
            )  # fmt: skip

    def said(self) -> str:
        return (self.folder / "said").read_text(errors="replace")

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + WAIT_S
        while not (found := condition()):
            assert self.running.poll() is None, f"ended before {what}:\n{self.said()[-3000:]}"
            assert time.monotonic() < deadline, f"no {what} within {WAIT_S:g} s:\n{self.said()[-3000:]}"
            time.sleep(0.05)
        return found

    def wait_for_words(self, words: str) -> None:
        self.wait_for(lambda: words in self.said(), words)

    def wait_for_faults(self) -> None:
        self.wait_for(lambda: len(re.findall(r"fault f\d begins", self.said())) == 4, "four faults")

    def containers(self, **labels: str) -> list[Any]:
        wanted = [f"harness.{key}={value}" for key, value in labels.items()]
        return [
            each for each in self.engine.containers.list(
                all=True, filters={"label": [OWNER_LABEL, *wanted]}, ignore_removed=True)
            if is_ours(each.labels)
        ]  # fmt: skip

    def networks(self) -> list[Any]:
        return [each for each in self.engine.networks.list(filters={"label": OWNER_LABEL})
                if is_ours(each.attrs["Labels"])]  # fmt: skip

    def signal(self, number: int) -> None:
        self.running.send_signal(number)

    def code(self) -> int:
        try:
            return self.running.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {WAIT_S:g} s:\n{self.said()[-3000:]}") from None


def is_ours(labels: dict[str, str]) -> bool:
    return labels[OWNER_LABEL].startswith(ownership._home() + "-")


def everything_left(engine: docker.DockerClient) -> list[str]:
    """Of runs with this test's home, whoever owned it."""
    found: list[str] = []
    owners = {each.labels[OWNER_LABEL] for each in engine.containers.list(
        all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)}
    for each in [*engine.networks.list(filters={"label": OWNER_LABEL}),
                 *engine.volumes.list(filters={"label": OWNER_LABEL})]:  # fmt: skip
        owners.add(each.attrs["Labels"][OWNER_LABEL])
    for owner in owners:
        if is_ours({OWNER_LABEL: owner}):
            found += left_over(engine, f"{OWNER_LABEL}={owner}")
    return found


# -- the ways; each returns the exit codes it may have, None for: killed

KILLED = {-signal.SIGKILL}


def killed_before_the_first_container(run: Run) -> set[int]:
    run.wait_for_words("boot")
    run.signal(signal.SIGKILL)
    return KILLED


def killed_at_the_first_network(run: Run) -> set[int]:
    run.wait_for(run.networks, "network")
    run.signal(signal.SIGKILL)
    return KILLED


def killed_when_some_containers_run(run: Run) -> set[int]:
    run.wait_for(lambda: len([each for each in run.containers() if each.status == "running"]) > 2, "containers")
    run.signal(signal.SIGKILL)
    return KILLED


def killed_in_the_storm(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    run.signal(signal.SIGKILL)
    return KILLED


def killed_under_kernel_faults_a_pause_and_a_lost_network(run: Run) -> set[int]:
    run.wait_for_faults()
    run.wait_for(lambda: run.containers(kind="helper"), "helper")
    run.signal(signal.SIGKILL)
    return KILLED


def killed_with_its_whole_group(run: Run) -> set[int]:
    run.wait_for_faults()
    os.killpg(run.running.pid, signal.SIGKILL)
    return KILLED


def stopped_and_then_killed(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    run.signal(signal.SIGSTOP)
    time.sleep(0.5)
    run.signal(signal.SIGKILL)
    return KILLED


def killed_while_it_ends(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    run.signal(signal.SIGINT)
    began = len(run.containers())
    run.wait_for(lambda: len(run.containers()) < began, "container gone")
    run.signal(signal.SIGKILL)
    return KILLED


def interrupted_while_booting(run: Run) -> set[int]:
    run.wait_for(run.containers, "container")
    run.signal(signal.SIGINT)
    return {130}


def interrupted_in_the_storm(run: Run) -> set[int]:
    run.wait_for_faults()
    run.signal(signal.SIGINT)
    return {130}


def interrupted_twice(run: Run) -> set[int]:
    run.wait_for_faults()
    run.signal(signal.SIGINT)
    time.sleep(0.7)
    run.signal(signal.SIGINT)
    return {130}


def terminated(run: Run) -> set[int]:
    run.wait_for_faults()
    run.signal(signal.SIGTERM)
    return {143}


def hung_up(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    run.signal(signal.SIGHUP)
    return {129, -signal.SIGHUP}


def a_container_removed_by_hand(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    run.containers(role="sequencer-0")[0].remove(force=True)
    return {4}


def the_proxy_killed_by_hand(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    run.containers(kind="proxy")[0].kill()
    return {4}


def a_container_stopped_by_hand(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    run.containers(role="batcher-0")[0].stop(timeout=1)
    return {4}


def a_network_removed_by_hand(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    network = next(each for each in run.networks() if each.name.endswith("_trader-0"))
    network.reload()
    for container in network.attrs["Containers"]:
        network.disconnect(container, force=True)
    network.remove()
    return {0, 1, 3, 4}


def the_image_deleted_while_it_boots(run: Run) -> set[int]:
    image = run.wait_for(run.networks, "network") and run.environment["UGLY_IMAGE"]
    with contextlib.suppress(docker.errors.APIError):
        run.engine.images.remove(image, force=True)
    run.wait_for_words("s  storm")
    run.signal(signal.SIGINT)
    return {130}


def its_run_folder_deleted(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    shutil.rmtree(run.folder / "runs")
    return {0, 1, 3, 4}


def a_full_disk_under_its_run_folder(run: Run) -> set[int]:
    run.wait_for_words("s  storm")
    with contextlib.suppress(OSError), (run.folder / "runs" / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1 << 20))
    return {0, 1, 3, 4}


def its_engine_killed(run: Run) -> set[int]:
    assert run.own is not None
    run.wait_for_faults()
    run.own.end(signal.SIGKILL)
    assert run.code() == 4
    run.own.start()
    return {4}


def its_engine_terminated(run: Run) -> set[int]:
    assert run.own is not None
    run.wait_for_words("s  storm")
    run.own.end(signal.SIGTERM)
    assert run.code() == 4
    run.own.start()
    return {4}


def its_engine_and_then_itself_killed(run: Run) -> set[int]:
    assert run.own is not None
    run.wait_for_words("s  storm")
    run.own.end(signal.SIGKILL)
    run.signal(signal.SIGKILL)
    run.code()
    run.own.start()
    return KILLED


ALWAYS = [
    killed_at_the_first_network, killed_under_kernel_faults_a_pause_and_a_lost_network, interrupted_twice,
    a_container_removed_by_hand, its_engine_killed,
]  # fmt: skip
SOMETIMES = [
    killed_before_the_first_container, killed_when_some_containers_run, killed_in_the_storm,
    killed_with_its_whole_group, stopped_and_then_killed, killed_while_it_ends, interrupted_while_booting,
    interrupted_in_the_storm, terminated, hung_up, the_proxy_killed_by_hand, a_container_stopped_by_hand,
    a_network_removed_by_hand, the_image_deleted_while_it_boots, its_run_folder_deleted,
    a_full_disk_under_its_run_folder, its_engine_terminated, its_engine_and_then_itself_killed,
]  # fmt: skip
WAYS = [*ALWAYS, *(SOMETIMES if ALL else [])]
ON_ITS_OWN_ENGINE = {its_engine_killed, its_engine_terminated, its_engine_and_then_itself_killed,
                     the_image_deleted_while_it_boots}  # fmt: skip


@pytest.fixture
def run(
    request: pytest.FixtureRequest, engine: docker.DockerClient, image: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    """A run that has begun; killed afterwards if it still runs. Its owners are in a home of their own."""
    home = tmp_path / "home"
    home.mkdir()
    for shared in ("toolchain", "images", "artifacts"):
        (home / shared).symlink_to(cache_home() / shared)
    monkeypatch.setenv("HARNESS_HOME", str(home))
    way = request.getfixturevalue("way")
    begun = Run(tmp_path, engine, environment={"UGLY_IMAGE": image})
    if way in ON_ITS_OWN_ENGINE:
        begun.own = request.getfixturevalue("own_engine")
        begun.environment["DOCKER_HOST"] = begun.own.host
        begun.engine = docker.DockerClient(begun.own.host, timeout=60)
    limited = way is a_full_disk_under_its_run_folder
    if limited:
        (tmp_path / "runs").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", tmp_path / "runs"], check=True)
    try:
        begun.begin()
        yield begun
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(begun.running.pid, signal.SIGKILL)
        begun.running.wait(30)
        remove_dead(begun.engine)
        if limited:
            subprocess.run(["umount", "-l", tmp_path / "runs"], check=True)
        if begun.engine is not engine:
            begun.engine.close()


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_nothing_is_left_of_a_run_that_was(run: Run, way: Callable[[Run], set[int]]) -> None:
    """Who could clean up has; what a killed one left goes with what the next run, and `harness down`, do first."""
    expected = way(run)
    code = run.code()
    assert code in expected, f"exit {code}:\n{run.said()[-3000:]}"
    assert "Traceback" not in run.said(), run.said()[-3000:]
    if code >= 0 and way not in ON_ITS_OWN_ENGINE:
        assert everything_left(run.engine) == [], "it could clean up by itself"
    removed = remove_dead(run.engine)
    assert removed.failures == []
    assert everything_left(run.engine) == []
    assert not list((run.folder / "home" / "owners").glob("*.lock")), "no owner is left either"
