"""An engine of the tests' own, beside the one that everybody uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtimes.compose.own_engine import OwnEngine


@pytest.fixture(scope="session")
def own_engine(image: str) -> Iterator[OwnEngine]:
    """To be killed, or to manage a swarm; it has the image."""
    own = OwnEngine()
    try:
        own.start()
        own.load(image)
        yield own
    finally:
        own.close()
