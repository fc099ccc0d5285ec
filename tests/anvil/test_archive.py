"""A read of an old block is answered, whatever the node has let go: by a second node, beside the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.anvil import AnvilEngine, ChainSpec, ThreadedEngine, archive
from harness.anvil.engine import OutOfReach
from harness.rollup.blocks import ExecutedBlock
from tests.anvil.conftest import block_on, signer

pytestmark = pytest.mark.node

NOBODY = "0x00000000000000000000000000000000000000aa"
KEPT = 4
BLOCKS = 40

Story = Callable[[ThreadedEngine, list[ExecutedBlock]], Coroutine[Any, Any, None]]
Tell = Callable[[Story], None]


@pytest.fixture
def tell(anvil: Path, spec: ChainSpec, tmp_path: Path) -> Iterator[Tell]:
    """Runs a story on a node that keeps four states of forty blocks, each of which gives somebody one wei more."""
    engine = ThreadedEngine(
        lambda: AnvilEngine(replace(spec, history=KEPT), home=tmp_path / "node", binary=anvil)
    )

    async def drive(story: Story) -> None:
        await engine.ready()
        sender = signer(0)
        blocks = []
        for _ in range(BLOCKS):
            raw = sender.sign(NOBODY, value=1)
            inputs = await engine.use(lambda node, raw=raw: block_on(node, blocks[-1].hash if blocks else None, raw))
            blocks.append(await engine.execute(inputs))
        await story(engine, blocks)

    try:
        yield lambda story: asyncio.run(asyncio.wait_for(drive(story), 60))
    finally:
        engine.close()


async def balance(engine: ThreadedEngine, block: ExecutedBlock) -> int:
    return int(await engine.query("eth_getBalance", [NOBODY], at=block.hash), 16)


def test_every_block_answers_with_its_own_state(tell: Tell) -> None:
    async def story(engine: ThreadedEngine, blocks: list[ExecutedBlock]) -> None:
        for number in (1, BLOCKS, 7, 5, 30, 2):   # forward and back
            assert await balance(engine, blocks[number - 1]) == number
        several = await asyncio.gather(*[balance(engine, block) for block in blocks])
        assert several == list(range(1, BLOCKS + 1))
        proof = await engine.query("eth_getProof", [NOBODY, []], at=blocks[8].hash)
        assert int(proof["balance"], 16) == 9

    tell(story)


def test_an_old_read_does_not_move_the_node_that_builds(tell: Tell) -> None:
    async def story(engine: ThreadedEngine, blocks: list[ExecutedBlock]) -> None:
        await balance(engine, blocks[0])
        assert await engine.use(lambda node: node._node.at) == blocks[-1].hash
        with pytest.raises(OutOfReach, match="the newest 4 are"):   # alone it could not have answered
            await engine.use(lambda node: node.query("eth_getBalance", [NOBODY], at=blocks[0].hash))

    tell(story)


def test_who_asks_all_over_the_chain_is_put_off(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each move far back is a replay from genesis."""
    monkeypatch.setattr(archive, "HISTORY", 3)

    async def story(engine: ThreadedEngine, blocks: list[ExecutedBlock]) -> None:
        assert await balance(engine, blocks[29]) == 30
        assert await balance(engine, blocks[9]) == 10
        assert await balance(engine, blocks[29]) == 30
        with pytest.raises(OutOfReach, match="at most once in 30 s; ask again in"):
            await balance(engine, blocks[9])

    tell(story)
