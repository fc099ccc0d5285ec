"""What all tests share: generated tests that are not timed, and a Docker engine for those that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import docker

# A busy machine makes an example slow and not wrong; a test that hangs has pytest's timeout.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

REQUIRED = os.environ.get("HARNESS_DOCKER_TESTS") == "required"
"""In CI: a skip there would hide that nothing was tested."""


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of an engine that answers."""
    # Imported here: most tests need no engine, and its client takes a third of a second to load.
    from harness.runtimes.compose.client import engine_client
    from harness.toolchain.errors import ToolError

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
    from harness.runtimes.compose.images import ensure_image

    return ensure_image(engine)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One network of containers at a time: under xdist all tests that need an engine go to one worker, side by side
    with the others'. Where a module has a network for all its tests, it is also made only once."""
    for item in items:
        if item.get_closest_marker("docker") is not None:
            item.add_marker(pytest.mark.xdist_group("docker"))
