from __future__ import annotations
import pytest
from world import L1, SET, Run, World
from harness.rollup.heads import Label
pytestmark = pytest.mark.node

def test_a_sequencer_alone_commits_and_its_blocks_become_safe_and_final(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") > 10, within=8)
        await world.until(lambda: world.height("sequencer-0", Label.SAFE) > 0, within=10)
        await world.until(lambda: world.height("sequencer-0", Label.FINALIZED) > 0, within=40)
    run(story, *L1, "sequencer-0", "batcher-0")

def test_four(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") > 10, within=8)
        await world.until(lambda: world.height("sequencer-0", Label.SAFE) > 0, within=10)
        print(world.levels())
    run(story, *L1, "l1-1", *SET, "batcher-0", "replica-0")
