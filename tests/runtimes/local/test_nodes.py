"""A role and its Anvil live, pause and die together."""

from __future__ import annotations

import asyncio
import os
import select
import tempfile
from pathlib import Path

import pytest

from harness.anvil.spec import ChainSpec
from harness.runtimes.conformance.echo import echo_factory, echo_plan
from harness.runtimes.local.process_tree import descendants
from harness.runtimes.local.runtime import LocalRuntime
from harness.runtimes.local.world import AnvilEngines

CHAIN = ChainSpec(chain_id=901, genesis_timestamp=1_700_000_000, gas_limit=30_000_000, genesis_file=None)
DEADLINE_S = 30.0

pytestmark = [pytest.mark.local, pytest.mark.node]


def _anvils(pid: int) -> list[int]:
    return [child for child in descendants(pid) if Path(f"/proc/{child}/comm").read_text().strip() == "anvil"]


def _ends(pid_descriptor: int) -> bool:
    ended, _, _ = select.select([pid_descriptor], [], [], DEADLINE_S)
    os.close(pid_descriptor)
    return bool(ended)


def test_every_node_has_an_anvil_of_its_own_which_dies_with_it_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An Anvil that survives its role would keep a port and memory; one shared by two roles would hide a divergence."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    watched: list[int] = []

    async def check() -> None:
        engines = AnvilEngines(CHAIN, CHAIN)
        async with (
            asyncio.timeout(DEADLINE_S),
            LocalRuntime(
                echo_plan(["a", "b"]), echo_factory, logs=tmp_path / "nodes", genesis_timestamp=1, engines=engines
            ) as runtime,
        ):
            of_a, of_b = (_anvils(runtime.pids()[name]) for name in ("a", "b"))
            assert (len(of_a), len(of_b)) == (1, 1)
            assert of_a != of_b
            first = os.pidfd_open(of_b[0])
            await runtime.kill("b")
            assert _ends(first)
            await runtime.start("b")
            assert await runtime.probe("a", "b", timeout=5.0) is not None
            watched.extend(os.pidfd_open(pid) for name in ("a", "b") for pid in _anvils(runtime.pids()[name]))
            assert len(watched) == 2
            await runtime.pause("b")
        assert runtime.problems == []

    asyncio.run(check())
    assert [_ends(descriptor) for descriptor in watched] == [True, True]
    assert list(temporary.iterdir()) == []
