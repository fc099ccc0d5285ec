"""Addresses that somebody takes between our look and our claim are theirs, and others are found."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.types import IPAMConfig, IPAMPool

from harness.runtimes.compose import runtime as compose_runtime
from harness.runtimes.compose.runtime import ComposeRuntime
from harness.runtimes.compose.subnets import block_for
from harness.runtimes.conformance.echo import echo_factory, echo_plan

from .running import GENESIS

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

SEEN_FREE = 4711


@pytest.fixture
def somebody(engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Has a network right where ours will look first, and is not seen when it looks."""
    subnet = block_for(3, [], first=SEEN_FREE)
    candidates = iter([SEEN_FREE, *range(SEEN_FREE + 1, SEEN_FREE + 20)])
    monkeypatch.setattr(compose_runtime, "subnets_of", lambda known: [])
    monkeypatch.setattr(compose_runtime, "routed_here", list)
    monkeypatch.setattr(secrets, "randbelow", lambda below: next(candidates))
    pool = IPAMConfig(pool_configs=[IPAMPool(subnet=f"{subnet.network_address}/29")])
    network = engine.networks.create(f"somebody-{secrets.token_hex(4)}", ipam=pool, internal=True)
    yield str(subnet)
    network.remove()


def test_a_block_that_is_taken_meanwhile_is_given_up(somebody: str, image: str, tmp_path: Path) -> None:
    said: list[str] = []

    async def check() -> str:
        runtime = ComposeRuntime(
            echo_plan(["a", "b"]), echo_factory, folder=tmp_path, genesis_timestamp=GENESIS, narrate=said.append
        )
        async with runtime:
            assert await runtime.probe("a", "b", timeout=10.0) is not None
            return runtime.layout.block

    assert asyncio.run(check()) != somebody
    assert [line for line in said if "overlap" in line and "another block" in line]
