"""The safe head goes on: over crashes of the batcher, lost channels, dear L1 gas and channels of many frames."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from world import L1, Run, World

from harness.evm.wallet import sign_transaction
from harness.plan import L1_CHAIN_ID, Knot, Plan
from harness.ports import LinkRule
from harness.rollup.batch import build_channel
from harness.rollup.heads import Label

pytestmark = pytest.mark.node

NODES = (*L1, "l1-1", "sequencer-0", "sequencer-1", "batcher-0")
GWEI = 10**9


def safe(world: World) -> int:
    return world.height("sequencer-0", Label.SAFE)


async def becomes_safe(world: World, *, more: int = 1, within: float) -> None:
    wanted = safe(world) + more
    await world.until(lambda: safe(world) >= wanted, within=within, what=f"block {wanted} safe")


def in_small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.roles.batcher.build_channel", partial(build_channel, frame_bytes=300))


def test_channels_of_several_frames_become_safe_everywhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_frames(monkeypatch)

    async def story(world: World) -> None:
        await becomes_safe(world, more=12, within=20)
        posted = world.records("stat", "batcher-0", name="batch-posted")
        assert any(record.fields["frames"] > 2 for record in posted)
        await world.settle(1)
        assert world.head("sequencer-1", Label.SAFE) == world.head("sequencer-0", Label.SAFE)
        assert not world.problems()

    run(story, *NODES)


def test_a_batcher_killed_in_mid_channel_does_not_stall_the_safe_head(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some frames of a channel are on L1 and the others nowhere; the next channel takes its place."""
    in_small_frames(monkeypatch)

    async def story(world: World) -> None:
        await becomes_safe(world, within=12)
        await world.rule("batcher-0", "l1-0", LinkRule(delay_ms=100))
        pool = world.roles["l1-0"].chain.pool
        await world.until(lambda: len(pool) == 0, within=4)
        await world.until(lambda: len(pool) == 1, within=8, step=0.001)
        posted = world.roles["batcher-0"]._posted
        await world.kill("batcher-0")
        assert len(posted.frames) > 2
        await world.settle(4)
        assert len(pool) == 0, "the half of a channel is on L1"
        before = safe(world)
        await world.start("batcher-0")
        await becomes_safe(world, within=10)
        assert safe(world) > posted.tip > before

    run(story, *NODES)


def test_a_nonce_that_carries_a_frame_of_a_former_life_costs_one_turn(run: Run) -> None:
    """What the batcher offers under that nonce is refused and nowhere: it must not count as on its way."""

    async def story(world: World) -> None:
        await becomes_safe(world, within=12)
        l1 = world.roles["l1-0"].chain
        me = world.roles["batcher-0"]._account
        while not world.records("stat", "batcher-0", name="frame-refused"):
            height = l1.height
            await world.until(lambda height=height: l1.height > height, within=4, step=0.0001)
            if len(l1.pool) == 0:
                l1.pool.add(
                    sign_transaction(
                        me.key, chain_id=L1_CHAIN_ID, nonce=l1.pool.nonces[me.address], gas=100_000,
                        to=world.stage.deployment["batch_inbox"], max_fee=100 * GWEI,
                    )
                )  # fmt: skip
            await world.settle(1)
            assert world.now < 60, "the batcher was never refused"
        await becomes_safe(world, more=6, within=9)

    run(story, *NODES)


def test_a_channel_that_never_becomes_safe_is_posted_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Derivation drops one channel, and then all that stand on it, until the batcher begins at the safe head again."""
    import harness.roles.batcher as batcher

    spoilt: list[int] = []
    true_build = batcher.build_channel

    def build(blocks: Any, tip: Any, finalization: bytes, first: int) -> Any:
        if first > 4 and not spoilt:
            spoilt.append(first)
            finalization = b"{}"
        return true_build(blocks, tip, finalization, first)

    monkeypatch.setattr(batcher, "build_channel", build)

    async def story(world: World) -> None:
        await world.until(lambda: spoilt, within=15)
        await world.until(lambda: safe(world) >= spoilt[0], within=40)
        timeout = world.plan.profile.channel_timeout_l1_blocks * world.plan.profile.l1_block_ms / 1000
        starts = [(r.t, r.fields["first"]) for r in world.records("stat", "batcher-0", name="batch-posted")]
        times = [t for t, first in starts if first == spoilt[0]]
        assert len(times) == 2
        assert timeout <= times[1] - times[0] <= timeout + 9

    run(story, *NODES)


def dear(*knots: tuple[float, int]) -> Any:
    def change(plan: Plan) -> Plan:
        return replace(plan, l1_base_fee=tuple(Knot(round(at * 1e9), gwei * GWEI) for at, gwei in knots))

    return change


def test_a_twentyfold_base_fee_is_met_with_a_higher_offer_under_the_same_nonce(run: Run) -> None:
    """What waits in the L1 pool is offered again after four L1 blocks, for strictly more, and nothing overtakes it."""

    async def story(world: World) -> None:
        await world.until(lambda: world.now > 13, within=14)
        stuck = safe(world)
        batcher = world.roles["batcher-0"]
        channel = batcher._posted
        assert channel.missing(world.roles["l1-0"].chain.pool.nonces[batcher._account.address])
        offered = channel.fee
        await world.until(lambda: safe(world) > stuck, within=20)
        (repriced,) = world.records("stat", "batcher-0", name="batch-repriced")
        assert int(repriced.fields["fee_wei"]) > offered
        # Not before the fourth L1 block, and not much later.
        assert 9 + 12 <= repriced.t <= 9 + 12 + 6
        await becomes_safe(world, more=10, within=15)

    run(story, *NODES, change=dear((0, 1), (11.9, 20)))


def test_a_fee_that_rises_again_and_again_is_followed(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.now > 40, within=45)
        before = safe(world)
        await world.until(lambda: safe(world) > before + 10, within=30)
        assert len(world.records("stat", "batcher-0", name="batch-repriced")) >= 2

    run(story, *NODES, change=dear((0, 1), (11.9, 20), (23.9, 400), (47.9, 1)))


def test_frames_lost_with_the_pool_of_l1_are_offered_again(run: Run) -> None:
    """The builder's pool does not survive a crash; the nonce tells that they never landed."""

    async def story(world: World) -> None:
        await becomes_safe(world, within=12)
        pool = world.roles["l1-0"].chain.pool
        await world.until(lambda: len(pool) == 0, within=4)
        await world.until(lambda: len(pool) == 1, within=8, step=0.001)
        await world.kill("l1-0")
        await world.start("l1-0")
        await becomes_safe(world, more=6, within=30)

    run(story, *NODES)


def test_a_batcher_asks_another_node_when_one_is_out_of_reach(run: Run) -> None:
    async def story(world: World) -> None:
        await becomes_safe(world, within=12)
        await world.kill("replica-0")
        await becomes_safe(world, more=10, within=20)

    run(story, *NODES, "replica-0")
