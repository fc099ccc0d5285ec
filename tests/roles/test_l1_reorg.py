"""L1 takes blocks back: who read them finds the fork, takes back what rested on them, and comes out where L1 is."""

from __future__ import annotations

import pytest
from world import L1, SET, Run, World

from harness.evm.wallet import decode_transaction
from harness.ports import Refused
from harness.rollup.heads import Label

pytestmark = pytest.mark.node

NODES = (*L1, "l1-1", *SET, "replica-0", "batcher-0")
T1 = 3.0


async def reorg(world: World, depth: int, *, drops: bool = False) -> dict[str, object]:
    return dict(await world.runtime.order("l1-0", "reorg", {"depth": depth, "drops": drops}, timeout=5.0))


async def reorg_with_frames(world: World, depth: int, *, drops: bool = False) -> dict[str, object]:
    """Reorg when the newest blocks hold frames that made something safe everywhere."""
    blocks = world.roles["l1-0"].chain.blocks

    def is_due() -> bool:
        newest = blocks[-depth:]
        cursors = [world.node(name).derivation for name in (*SET, "replica-0")]
        return (
            len(blocks) > depth + 2 and any(block.inputs.transactions for block in newest)
            and all(each is not None and each.l1_head.hash == blocks[-1].hash for each in cursors)
        )

    await world.until(is_due, within=40)
    return await reorg(world, depth, drops=drops)


def same_l1(world: World) -> bool:
    ours, theirs = (world.roles[name].chain for name in ("l1-0", "l1-1"))
    return ours.height == theirs.height and ours.tip_hash == theirs.tip_hash


@pytest.mark.parametrize("drops", [False, True], ids=["repooled", "lost"])
def test_safe_dips_committed_stays_and_what_was_taken_back_is_posted_again(run: Run, drops: bool) -> None:
    async def story(world: World) -> None:
        told = await reorg_with_frames(world, 2, drops=drops)
        at, committed = world.now, world.head("replica-0")
        await world.until(lambda: len(world.records("stat", name="l1-reorg-seen")) >= 5, within=T1)
        seen = world.records("stat", "replica-0", name="l1-reorg-seen")[0].fields
        assert (seen["fork"], seen["old"]) == (told["fork"], told["old"])
        assert seen["safe_to"] < seen["safe_from"]
        assert world.height("replica-0", Label.SAFE) == seen["safe_to"]
        assert world.height("replica-0") >= committed.number
        kept = world.node("replica-0").chain.committed_range(committed.number, committed.number)
        assert [block.hash for block in kept] == [committed.hash]
        if drops:
            await world.until(
                lambda: [r for r in world.records("stat", name="batch-posted")
                         if r.t > at and r.fields["first"] <= seen["safe_to"] + 1], within=3 * T1,
            )  # fmt: skip
        everyone = (*SET, "replica-0")
        await world.until(
            lambda: all(world.height(name, Label.SAFE) >= seen["safe_from"] for name in everyone), within=5 * T1
        )
        assert world.agree()
        assert same_l1(world)
        assert not world.problems()

    run(story, *NODES)


def test_repooled_transactions_are_included_again_and_lost_ones_are_not(run: Run) -> None:
    async def story(world: World) -> None:
        chain = world.roles["l1-0"].chain
        await world.until(lambda: chain.blocks and chain.blocks[-1].inputs.transactions, within=30)
        (raw, *_) = chain.blocks[-1].inputs.transactions
        name = decode_transaction(raw).hash
        await reorg(world, 1)
        assert name in chain.pool
        assert not chain.blocks[-1].inputs.transactions
        await world.until(lambda: raw in chain.blocks[-1].inputs.transactions, within=2 * T1)
        nonce = chain.pool.nonces[decode_transaction(raw).sender]
        await reorg(world, 1, drops=True)
        assert name not in chain.pool
        assert chain.pool.nonces[decode_transaction(raw).sender] == nonce - 1

    run(story, *L1, "l1-1", "sequencer-0", "batcher-0")


def test_a_follower_that_was_cut_off_takes_over_the_other_chain(run: Run) -> None:
    """It holds blocks the builder gave up, and finds out only when the link is back."""

    async def story(world: World) -> None:
        builder, follower = (world.roles[name].chain for name in ("l1-0", "l1-1"))
        await world.until(lambda: builder.height >= 5 and same_l1(world), within=30)
        await world.isolate("l1-1", "l1-0")
        await reorg(world, 2)
        await world.settle(2 * T1)
        given_up = follower.tip_hash
        await world.heal()
        await world.until(lambda: same_l1(world), within=2 * T1)
        assert given_up not in [block.hash for block in builder.blocks]
        assert follower.held(given_up) is not None
        assert not world.problems()

    run(story, *L1, "l1-1", "sequencer-0")


@pytest.mark.parametrize("name", ["replica-0", "sequencer-1", "l1-1"])
def test_who_was_down_during_a_reorg_finds_the_fork_when_it_is_back(run: Run, name: str) -> None:
    """Its stored rows speak of L1 blocks that are gone."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0", Label.SAFE) >= 12, within=30)
        await world.kill(name)
        await reorg(world, 2, drops=True)
        await world.settle(T1)
        await world.start(name)
        wanted = world.height("sequencer-0", Label.SAFE) + 12
        await world.until(lambda: world.height("sequencer-0", Label.SAFE) >= wanted, within=12 * T1)
        await world.until(
            lambda: all(world.height(each, Label.SAFE) >= wanted for each in (*SET, "replica-0")), within=3 * T1
        )
        assert world.agree()
        assert same_l1(world)
        assert not world.problems()

    run(story, *NODES)


def test_a_builder_that_dies_after_a_reorg_comes_back_with_the_new_chain(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.roles["l1-0"].chain.height >= 4, within=30)
        told = await reorg(world, 2)
        await world.kill("l1-0")
        await world.start("l1-0")
        await world.until(lambda: world.roles["l1-0"].chain.height >= 5, within=3 * T1)
        hashes = [block.hash for block in world.roles["l1-0"].chain.blocks]
        assert told["new"] in hashes
        assert told["old"] not in hashes
        await world.until(lambda: same_l1(world), within=2 * T1)

    run(story, *L1, "l1-1", "sequencer-0")


def test_a_reorg_below_finality_halts_every_node_with_an_alarm(run: Run) -> None:
    """Nobody may undo what was called final; a node that went on would rewrite it silently."""

    async def story(world: World) -> None:
        await world.until(lambda: world.roles["l1-0"].chain.height >= 11, within=60)
        await world.until(lambda: world.height("replica-0", Label.FINALIZED) > 0, within=30)
        finalized = world.head("replica-0", Label.FINALIZED)
        await reorg(world, 10)
        deadline = world.now + 2 * T1
        while len(world.runtime.problems) < 5:
            assert world.now < deadline, world.runtime.problems
            await world.runtime.clock.sleep(0.05)
        assert all("halt: the L1 broke its finality" in problem.detail for problem in world.runtime.problems)
        assert world.records("problem", what="L1 reorged below finality", fatal=True)
        assert world.head("replica-0", Label.FINALIZED) == finalized

    run(story, *NODES, may_fail=True)


@pytest.mark.parametrize(("depth", "why"), [(3, "at most 2"), (99, "L1 has")])
def test_what_cannot_be_done_is_refused_and_leaves_l1_as_it_was(run: Run, depth: int, why: str) -> None:
    async def story(world: World) -> None:
        chain = world.roles["l1-0"].chain
        await world.until(lambda: chain.height >= 4, within=30)
        before = chain.tip_hash
        with pytest.raises(Refused, match=why):
            await reorg(world, depth)
        assert chain.tip_hash == before

    run(story, *L1, "sequencer-0")
