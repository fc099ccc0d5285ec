"""The compose runtime lets the supervisor do to containers what it may do to processes, with the same effects."""

from __future__ import annotations

import docker
import pytest

from harness.runtimes.compose.subject import ComposeUnderTest
from harness.runtimes.conformance import fault_control
from harness.runtimes.conformance.subject import Check


@pytest.mark.docker
@pytest.mark.parametrize("check", fault_control.CHECKS, ids=[check.__name__ for check in fault_control.CHECKS])
def test_compose_keeps_the_promise_that(check: Check, engine: docker.DockerClient, image: str) -> None:
    subject = ComposeUnderTest()
    subject.execute(lambda: check(subject))
