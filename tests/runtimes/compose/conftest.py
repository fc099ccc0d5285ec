"""A Docker engine for the tests that need one; without it they are skipped, saying why and how to get it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import docker
import pytest

from harness.runtimes.compose.client import engine_client
from harness.runtimes.compose.images import ensure_image
from harness.toolchain.errors import ToolError

REQUIRED = os.environ.get("HARNESS_DOCKER_TESTS") == "required"
"""In CI: a skip there would hide that nothing was tested."""


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of an engine that answers."""
    try:
        client = engine_client()
    except ToolError as error:
        if REQUIRED:
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient) -> str:
    """The image of this very harness; built when it is not there."""
    return ensure_image(engine)
