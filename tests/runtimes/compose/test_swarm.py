"""The same storm on a swarm of one node: overlay networks, secrets, nothing of this machine mounted, nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from harness.runtimes.compose.removal import left_over
from tests.runtimes.compose.own_engine import OwnEngine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
SCENARIO = """
version: 1
name: swarm
seed: 3
network: {l1: {followers: 0}, l2: {sequencers: 1, replicas: 0}, oracles: 1, keepers: 1}
venue: {min_sources: 1}
market: {ETH: {knots: {0s: 200, 20s: 195}}}
products: [{id: ETH-F, kind: future, underlying: ETH, expires: 18s}]
workload: {traders: 1, rate: 2/s, leverage: [4, 10]}
faults:
  - {at: 4s, for: 8s, loss: {from: trader-0, to: sequencer-0, probability: 30%, via: kernel}}
  - {at: 4s, for: 3s, pause: keeper-0}
  - {at: 4s, kill: batcher-0, restart: 9s}
storm: 15s
within: {recover: 5s}
liveness: 6s
"""


@pytest.fixture
def swarm(own_engine: OwnEngine) -> Iterator[docker.DockerClient]:
    """A manager of a swarm of its own, and no longer one afterwards."""
    command = [*own_engine.prefix, "docker", "-H", own_engine.host, "swarm"]
    subprocess.run([*command, "init", "--advertise-addr", "127.0.0.1"], check=True, capture_output=True, timeout=60)
    try:
        with contextlib.closing(docker.DockerClient(own_engine.host, timeout=60)) as client:
            yield client
    finally:
        subprocess.run([*command, "leave", "--force"], check=True, capture_output=True, timeout=60)


def run(own: OwnEngine, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "swarm.yaml").write_text(SCENARIO)
    return subprocess.run(
        [*own.prefix, sys.executable, "-m", "harness.cli", "run", folder / "swarm.yaml", "--runtime", "swarm", "--out",
         folder / "runs"],
        env={**os.environ, "DOCKER_HOST": own.host}, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


def test_a_storm_on_a_swarm_of_one_node(own_engine: OwnEngine, swarm: docker.DockerClient, tmp_path: Path) -> None:
    """Kernel loss, a pause and a killed task that is replaced bite and heal; nothing is violated; nothing stays."""
    done = run(own_engine, tmp_path)
    assert done.returncode in (0, 3), done.stderr[-3000:]
    result: dict[str, Any] = json.loads((tmp_path / "runs" / "latest" / "result.json").read_text())
    assert result["runtime"] == "swarm"
    assert {fault["id"]: (fault["bit"], fault["healed"]) for fault in result["faults"]} == {
        f"f{number}": (True, True) for number in (1, 2, 3)
    }, result["faults"]
    assert [check["id"] for check in result["checks"] if check["verdict"] == "violated"] == []
    assert (tmp_path / "runs" / "latest" / "nodes" / "sequencer-0.log").exists()
    stack = yaml.safe_load((tmp_path / "runs" / "latest" / "stack.yaml").read_text())
    services = stack["services"].values()
    assert all(network["driver"] == "overlay" for network in stack["networks"].values())
    assert not [mount for service in services for mount in service["volumes"] if str(mount).startswith((".", "/"))]
    assert {secret["source"] for service in services for secret in service["secrets"]} >= {"cargo"}
    assert left_over(swarm, "harness.owner") == []


def test_a_dev_network_on_a_swarm_is_lived_in_and_leaves_nothing(
    own_engine: OwnEngine, swarm: docker.DockerClient, tmp_path: Path
) -> None:
    """It boots, feels a fault, takes a restarted node back, is saved, and goes; and it is said who can reach it."""
    environment = {**os.environ, "DOCKER_HOST": own_engine.host, "HARNESS_STATE": str(tmp_path / "state")}

    def harness(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*own_engine.prefix, sys.executable, "-m", "harness.cli", *words, "--name", "sw"],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
        return done

    small = [f"--set=network.{key}" for key in ("l2.sequencers=1", "l2.replicas=1", "l1.followers=0", "keepers=1")]
    try:
        started = harness("up", "--runtime", "swarm", "--detach", "--any-port", *small)
        assert "on every address" in " ".join(started.stderr.split())
        assert len(swarm.services.list(filters={"label": "harness.network=sw"})) == 12
        felt = json.loads(harness("fault", "latency", "--from", "user", "--to", "sequencer-0", "--delay", "400ms",
                                  "--for", "2s", "--json").stdout)  # fmt: skip
        assert felt["felt"][0]["during_ms"] > 400 > felt["felt"][0]["before_ms"]
        harness("restart", "replica-0")
        harness("snapshot", "save", "one")
        states = {role["state"] for role in json.loads(harness("status", "--json").stdout)["roles"]}
        assert states == {"running"}
    finally:
        harness("down")
    assert left_over(swarm, "harness.owner") == []


def test_an_engine_without_a_swarm_is_told_what_to_do(own_engine: OwnEngine, tmp_path: Path) -> None:
    done = run(own_engine, tmp_path)
    assert done.returncode == 4
    assert "docker swarm init" in done.stderr
    assert "Traceback" not in done.stderr
