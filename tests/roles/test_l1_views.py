"""Different nodes see different L1s: who lags abstains or stalls and says so, and nobody disagrees."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world import L1, SET, Run, World

from harness.plan import Plan
from harness.ports import LinkRule
from harness.rollup.blocks import BlockInputs
from harness.rollup.heads import Label

pytestmark = pytest.mark.node

NODES = (*L1, "l1-1", *SET, "replica-0", "batcher-0")
LAGGARD = "sequencer-3"


def one_reads_the_follower(plan: Plan) -> Plan:
    """Only `LAGGARD` and the replica read l1-1."""
    names = {LAGGARD, "replica-0"}
    roles = (replace(r, l1="l1-1" if r.name in names else "l1-0") if r.l1 else r for r in plan.roles)
    return replace(plan, roles=tuple(roles))


def test_nodes_behind_a_follower_that_was_cut_lag_in_safe_and_agree(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0", Label.SAFE) >= 4, within=15)
        await world.isolate("l1-1", "l1-0")
        await world.settle(1)
        stuck = world.height("replica-0", Label.SAFE)
        await world.until(lambda: world.height("sequencer-0", Label.SAFE) >= stuck + 12, within=20)
        assert world.height("replica-0", Label.SAFE) == stuck
        assert world.height("replica-0") >= stuck + 12, "what the set commits it still hears of"
        await world.heal()
        wanted = world.head("sequencer-0", Label.SAFE)
        await world.until(lambda: world.height("replica-0", Label.SAFE) >= wanted.number, within=10)
        held = world.node("replica-0").chain.committed_range(wanted.number, wanted.number)
        assert [block.hash for block in held] == [wanted.hash]
        assert world.agree()
        assert not world.problems()

    run(story, *NODES, change=one_reads_the_follower)


def test_a_sequencer_with_a_lagging_view_of_l1_abstains_and_the_others_go_on(run: Run) -> None:
    """It cannot know the origin; it does not vote for the block, and takes it once the others certified it."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height(LAGGARD) >= 4, within=10)
        builder = world.roles[LAGGARD].builder
        refusals: list[str] = []
        judge = builder.refusal

        async def listening(inputs: BlockInputs) -> str | None:
            refusal = await judge(inputs)
            if refusal is not None:
                refusals.append(refusal)
            return refusal

        builder.refusal = listening
        await world.rule("l1-1", LAGGARD, LinkRule(cut=True))
        level = world.height("sequencer-0")
        await world.until(lambda: world.height("sequencer-0") >= level + 20, within=30)
        await world.until(lambda: world.height(LAGGARD) >= level + 20, within=2)
        assert any("above my L1 head" in refusal for refusal in refusals)
        assert world.agree()

    run(story, *NODES, change=one_reads_the_follower)


def test_a_leader_whose_l1_is_cut_says_why_it_builds_nothing(run: Run) -> None:
    """Its views are given up at once; the reason is in the history once, not once a view."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height(LAGGARD) >= 4, within=10)
        await world.rule("l1-1", LAGGARD, LinkRule(cut=True))
        await world.until(lambda: world.records("stat", LAGGARD, name="leader-stalled"), within=20)
        level = world.height("sequencer-0")
        await world.until(lambda: world.height("sequencer-0") >= level + 12, within=15)
        reasons = [str(record.fields["reason"]) for record in world.records("stat", LAGGARD, name="leader-stalled")]
        assert all("L1" in reason for reason in reasons)
        assert len(reasons) == len(set(reasons))
        await world.heal()
        await world.settle(5)
        built = [r.fields["number"] for r in world.records("block", LAGGARD, chain="l2") if r.t > world.now - 3]
        assert built, "with L1 back it leads again"

    run(story, *NODES, change=one_reads_the_follower)


def test_without_any_l1_the_chain_stops_at_the_drift_bound_and_goes_on_after(run: Run) -> None:
    """No block is later than 30 s after its origin, and a long stop does not wear the set out."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 4, within=10)
        await world.rule("l1-*", "*", LinkRule(cut=True))
        await world.settle(60)
        stopped = world.height("sequencer-0")
        await world.settle(10)
        assert world.height("sequencer-0") == stopped
        assert max(world.roles[name].simplex.view for name in SET) < 400
        await world.heal()
        await world.until(lambda: world.height("sequencer-0") >= stopped + 5, within=25)
        assert world.agree()

    run(story, *NODES)


def test_a_restarted_follower_has_the_blocks_it_had(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.roles["l1-1"].chain.height >= 3, within=12)
        tip = world.roles["l1-1"].chain.tip_hash
        await world.kill("l1-1")
        await world.rule("l1-0", "l1-1", LinkRule(cut=True))
        await world.start("l1-1")
        await world.settle(0.5)
        assert world.roles["l1-1"].chain.tip_hash == tip

    run(story, *L1, "l1-1")
