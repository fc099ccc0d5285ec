"""One network for all the tests of a worker: booting it takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rpc.network import Rpc, Running, running


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("rpc")) as network:
        yield network


@pytest.fixture(scope="session")
def sequencer(network: Running) -> Rpc:
    return network.rpc("sequencer-0")


@pytest.fixture(scope="session")
def replica(network: Running) -> Rpc:
    return network.rpc("replica-0")
