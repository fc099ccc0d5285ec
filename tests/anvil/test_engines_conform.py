"""The engines of both runtimes keep the `Engine` port's promises, over real nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.anvil import AnvilEngine, ChainSpec, InlineEngine, ThreadedEngine
from harness.plan import RoleSpec
from harness.ports import Engine
from harness.runtimes.conformance.engine import ENGINE, EngineCheck, EngineUnderTest
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.engines import SimEngines
from harness.runtimes.sim.loop import run_virtual
from tests.anvil.conftest import ADDRESSES, CHAIN_ID, GENESIS_TIMESTAMP, signer

pytestmark = pytest.mark.node

NOBODY = "0x" + "99" * 20
REPLICA = RoleSpec("replica-0", "replica", 0, "", "l1-0", (), None)


def under_test(engine: Engine) -> EngineUnderTest:
    return EngineUnderTest(
        engine=engine,
        chain_id=CHAIN_ID,
        genesis_timestamp=GENESIS_TIMESTAMP,
        sign=lambda nonce: signer(0).sign(NOBODY, nonce=nonce),
        answers=ADDRESSES["answer"],
        reverts=ADDRESSES["reverts"],
    )


@pytest.fixture
def make(anvil: Path, spec: ChainSpec) -> Callable[[], AnvilEngine]:
    return lambda: AnvilEngine(replace(spec), binary=anvil)


@pytest.mark.parametrize("check", ENGINE, ids=[check.__name__ for check in ENGINE])
def test_the_local_engine_keeps_the_promise_that(check: EngineCheck, make: Callable[[], AnvilEngine]) -> None:
    engine = ThreadedEngine(make)
    try:
        asyncio.run(check(under_test(engine)))
    finally:
        engine.close()


@pytest.mark.parametrize("check", ENGINE, ids=[check.__name__ for check in ENGINE])
@pytest.mark.parametrize("shared", [True, False])
def test_the_sim_engine_keeps_the_promise_that(
    check: EngineCheck, make: Callable[[], AnvilEngine], shared: bool
) -> None:
    host = SimEngines(lambda _chain, _name: make(), shared=shared)

    async def drive() -> None:
        engine = host.open(REPLICA)
        assert engine is not None
        await check(under_test(engine))

    try:
        run_virtual(drive(), KeyedRandom(1))
    finally:
        host.close()


@pytest.mark.parametrize("check", ENGINE, ids=[check.__name__ for check in ENGINE])
def test_an_inline_engine_keeps_the_promise_that(check: EngineCheck, make: Callable[[], AnvilEngine]) -> None:
    engine = make()
    try:
        asyncio.run(check(under_test(InlineEngine(engine))))
    finally:
        engine.close()
