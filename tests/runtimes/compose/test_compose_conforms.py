"""The compose runtime lets the supervisor do to containers what it may do to processes, with the same effects."""

from __future__ import annotations

import json
from collections.abc import Iterator

import docker
import pytest

from harness.runtimes.compose.conforming import CHECKS
from harness.runtimes.compose.layout import STORES
from harness.runtimes.compose.subject import ComposeUnderTest
from harness.runtimes.conformance import fault_control
from harness.runtimes.conformance.subject import Check

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def inside(engine: docker.DockerClient, image: str) -> Iterator[dict[str, str | None]]:
    """What came of the checks in a container as hardened as a role's, with nothing but a volume to write to."""
    container = engine.containers.create(
        image, ["python", "-m", "harness.runtimes.compose.conforming"],
        read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges:true"], network_mode="none",
        user="10001:10001", tmpfs={"/tmp": "size=16m"}, volumes=[STORES], pids_limit=256, mem_limit="384m",
    )  # fmt: skip
    try:
        container.start()
        code = container.wait(timeout=180)["StatusCode"]
        assert code == 0, container.logs().decode()
        yield json.loads(container.logs(stderr=False))
    finally:
        container.remove(force=True, v=True)


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
def test_inside_a_container_it_holds_that(check: Check, inside: dict[str, str | None]) -> None:
    assert inside[check.__name__] is None, inside[check.__name__]


@pytest.mark.parametrize("check", fault_control.CHECKS, ids=[check.__name__ for check in fault_control.CHECKS])
def test_compose_keeps_the_promise_that(check: Check, engine: docker.DockerClient, image: str) -> None:
    subject = ComposeUnderTest()
    subject.execute(lambda: check(subject))
