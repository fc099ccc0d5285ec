"""Sequencers alone and in a set: they go on without one, stop without two, and never contradict themselves."""

from __future__ import annotations

import pytest
from world import L1, SET, Run, World

from harness.consensus.effects import RequestBlocks
from harness.ports import LinkRule
from harness.rollup.heads import Label

pytestmark = pytest.mark.node

NODES = (*L1, "l1-1", *SET)


async def committing(world: World, *names: str, more: int = 3, within: float = 10) -> None:
    """Each of these commits some more blocks."""
    wanted = max(world.height(name) for name in names) + more
    await world.until(lambda: all(world.height(n) >= wanted for n in names), within=within, what=f"block {wanted}")


def test_a_sequencer_alone_commits_and_its_blocks_become_safe_and_final(run: Run) -> None:
    """n = 1 is the same code with q = 1."""

    async def story(world: World) -> None:
        await committing(world, "sequencer-0", more=10)
        await world.until(lambda: world.height("sequencer-0", Label.SAFE) > 0, within=10)
        await world.until(lambda: world.height("sequencer-0", Label.FINALIZED) > 0, within=40)

    run(story, *L1, "sequencer-0", "batcher-0")


def test_views_without_a_buildable_block_pass_at_the_pace_of_blocks(run: Run) -> None:
    """A sequencer alone has nobody to wait for: without L1 it would nullify views as fast as it can count."""

    async def story(world: World) -> None:
        await world.isolate("l1-0")
        await world.settle(40)  # past the drift that a timestamp may have from its L1 origin
        assert world.roles["sequencer-0"].simplex.view < 100
        assert world.records("stat", "sequencer-0", name="leader-stalled")
        await world.heal()
        await committing(world, "sequencer-0")

    run(story, *L1, "sequencer-0")


def test_four_go_on_with_one_killed(run: Run) -> None:
    async def story(world: World) -> None:
        await committing(world, *SET)
        await world.kill("sequencer-2")
        await committing(world, "sequencer-0", "sequencer-1", "sequencer-3", more=8)
        await world.start("sequencer-2")
        await committing(world, *SET)
        assert world.agree()

    run(story, *NODES)


def test_four_stop_with_two_killed_and_resume_without_contradiction(run: Run) -> None:
    """Committed hashes are equal on all nodes, before and after (H4)."""

    async def story(world: World) -> None:
        await committing(world, *SET)
        await world.kill("sequencer-1", "sequencer-2")
        await world.settle(1)
        level = world.height("sequencer-0")
        await world.settle(10)
        assert world.height("sequencer-0") == world.height("sequencer-3") == level
        await world.start("sequencer-1", "sequencer-2")
        await committing(world, *SET, within=15)
        assert world.agree()
        assert len({world.head(name).hash for name in SET if world.height(name) == world.height("sequencer-0")}) == 1

    run(story, *NODES)


def test_all_killed_at_once_recover_a_notarized_block_from_their_journals(run: Run) -> None:
    """The block was voted for by all and committed by none; only the four journals have it."""

    async def story(world: World) -> None:
        await committing(world, *SET)
        # Finalizations take one message more than notarizations; the four die between the two.
        await world.rule("*", "*", LinkRule(delay_ms=60))
        await world.until(
            lambda: all(world.height(name, Label.UNSAFE) > world.height(name) for name in SET), within=5
        )
        lost = world.head("sequencer-0", Label.UNSAFE)
        assert lost.number not in world.committed()
        await world.kill(*SET)
        await world.heal()
        await world.settle(1)
        await world.start(*SET)
        await world.until(lambda: all(world.roles[n]._simplex is not None for n in SET), within=9)
        assert all(world.node(name).chain.get(lost.hash) is not None for name in SET)
        await committing(world, *SET)
        assert world.committed()[lost.number] == {lost.hash}
        assert world.agree()

    run(story, *NODES)


def test_a_restarted_node_shows_the_labels_it_had(run: Run) -> None:
    """Safe and finalized never fall, also when they rose while nothing was committed: the batcher posts on."""

    async def story(world: World) -> None:
        name = "sequencer-0"
        await world.until(lambda: world.height(name, Label.FINALIZED) > 0, within=40)
        await world.kill("batcher-0")
        await committing(world, *SET, more=10)
        await world.kill("sequencer-1", "sequencer-2")
        await world.settle(2)
        before = world.height(name, Label.SAFE)
        await world.start("batcher-0")
        await world.until(lambda: world.height(name, Label.SAFE) > before, within=12)
        labels = (Label.COMMITTED, Label.SAFE, Label.FINALIZED)
        shown = [world.head(name, label) for label in labels]
        await world.kill(name)
        await world.start(name)
        await world.settle(0.5)
        assert [world.head(name, label) for label in labels] == shown

    run(story, *NODES, "batcher-0")


def test_a_restarted_node_catches_up_over_many_pages(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of `blocks` are small here, so that what it missed takes several."""
    monkeypatch.setattr("harness.roles.node.BLOCKS_PER_REPLY_MAX", 3)

    async def story(world: World) -> None:
        await committing(world, *SET)
        await world.kill("sequencer-3")
        level = world.height("sequencer-0")
        await committing(world, *SET[:3], more=15, within=20)
        await world.start("sequencer-3")
        await world.until(lambda: world.height("sequencer-3") > level + 12, within=1.5)
        await committing(world, *SET)
        assert world.agree()
        assert not world.problems()

    run(story, *NODES)


def test_a_branch_is_fetched_over_many_pages_in_one_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What consensus asks for with RequestBlocks."""
    monkeypatch.setattr("harness.roles.sequencer.RANGE_PAGE_MAX", 3)

    async def story(world: World) -> None:
        await committing(world, *SET)
        await world.isolate("sequencer-3", "sequencer-*")
        await committing(world, *SET[:3], more=12, within=20)
        tip, behind = world.head("sequencer-0"), world.height("sequencer-3")
        request = RequestBlocks(behind + 1, tip.number, tip.hash, ())
        await world.rule("sequencer-0", "sequencer-3", None)
        await world.rule("sequencer-3", "sequencer-0", None)
        assert await world.roles["sequencer-3"]._fetch_from("sequencer-0", request) is True
        assert world.node("sequencer-3").chain.get(tip.hash) is not None
        await world.heal()
        await committing(world, *SET)
        assert world.agree()
        assert not world.problems()

    run(story, *NODES)


def test_a_branch_is_served_in_pages_across_the_committed_head(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed or not, the next page begins where the last one ended."""
    monkeypatch.setattr("harness.roles.sequencer.RANGE_PAGE_MAX", 2)

    async def story(world: World) -> None:
        await committing(world, *SET)
        # Notarizations pass and finalizations do not: hold back what makes `committed` move on sequencer-0.
        node = world.node("sequencer-0")
        monkeypatch.setattr(node, "committed", lambda *_: None)
        monkeypatch.setattr(world.roles["sequencer-0"], "_push", lambda *_: None)
        level = world.height("sequencer-0")
        await world.until(lambda: world.height("sequencer-0", Label.UNSAFE) >= level + 5, within=10)
        tip = world.head("sequencer-0", Label.UNSAFE)
        numbers: list[int] = []
        start = level - 1
        while start <= tip.number:
            page = await world.ask("sequencer-1", "sequencer-0", "branch", {"from": start, "tip": tip.hash})
            assert 0 < len(page["blocks"]) <= 2, f"page from {start} of {level} … {tip.number}"
            numbers += [item["inputs"]["number"] for item in page["blocks"]]
            start = numbers[-1] + 1
        assert numbers == list(range(level - 1, tip.number + 1))

    run(story, *NODES)


async def stuck_in_a_view(world: World) -> int:
    """sequencer-0 and sequencer-1 reach nobody else, and both have signed in a view without a quorum; the view."""
    await committing(world, *SET)
    for name in ("sequencer-2", "sequencer-3"):
        await world.isolate(name)
    await world.settle(6)
    zero, one = world.roles["sequencer-0"], world.roles["sequencer-1"]
    view = int(zero.simplex.view)
    assert one._vote_rows[-1][0] == zero.simplex.highest_view_signed_by(one._me.address) == view
    return view


def test_a_sequencer_that_lost_its_votes_sits_out_what_its_peers_saw_it_sign(run: Run) -> None:
    """It comes back into the very view it had signed in, and says nothing there."""

    async def story(world: World) -> None:
        view = await stuck_in_a_view(world)
        await world.kill("sequencer-1")
        forget(world, "sequencer-1")
        await world.rule("sequencer-1", "sequencer-3", None)
        await world.rule("sequencer-3", "sequencer-1", None)
        await world.start("sequencer-1")
        await world.settle(8)
        assert world.roles["sequencer-1"].simplex.view == view
        assert world.voted["sequencer-1"] == []
        await world.heal()
        await committing(world, *SET, within=20)
        assert min(world.voted["sequencer-1"]) == view + 1
        assert not world.problems()

    run(story, *NODES)


def test_a_sequencer_that_lost_its_votes_waits_for_a_quorum_of_memories(run: Run) -> None:
    """One peer may be the one that saw nothing: q − 1 have to answer before it votes at all."""

    async def story(world: World) -> None:
        await committing(world, *SET)
        await world.kill("sequencer-1")
        forget(world, "sequencer-1")
        for other in ("sequencer-2", "sequencer-3"):
            await world.isolate("sequencer-1", other)
        await world.start("sequencer-1")
        await world.settle(8)
        assert world.roles["sequencer-1"]._simplex is None
        await world.heal()
        await committing(world, *SET)
        assert world.roles["sequencer-1"]._vote_rows

    run(story, *NODES)


def test_peers_that_restarted_count_what_they_cannot_remember_as_signed(run: Run) -> None:
    """What it signed last is known to nobody any more: neither to itself nor to the peer that saw it."""

    async def story(world: World) -> None:
        view = await stuck_in_a_view(world)
        await world.kill("sequencer-0", "sequencer-1")
        forget(world, "sequencer-1")
        await world.rule("sequencer-1", "sequencer-3", None)
        await world.rule("sequencer-3", "sequencer-1", None)
        await world.start("sequencer-0")
        await world.settle(3)
        await world.start("sequencer-1")
        await world.settle(8)
        assert world.roles["sequencer-1"].simplex.view == view
        assert world.voted["sequencer-1"] == []
        await world.heal()
        await committing(world, *SET, within=25)
        assert min(world.voted["sequencer-1"]) > view
        assert not world.problems()

    run(story, *NODES)


def forget(world: World, name: str) -> None:
    """Empty the votes table of a dead node's disk."""
    disk = world.disk(name)
    assert disk.tables["votes"].rows
    del disk.tables["votes"]


@pytest.mark.parametrize("seconds", [10, -10])
def test_a_skewed_clock_neither_stops_the_chain_nor_bends_its_time(run: Run, seconds: int) -> None:
    """Timestamps are monotone, at most the drift ahead of their origin, and never 5 s ahead of most clocks."""

    async def story(world: World) -> None:
        await committing(world, *SET)
        await world.runtime.skew("sequencer-1", offset_ms=seconds * 1000)
        await committing(world, "sequencer-0", "sequencer-2", "sequencer-3", more=14, within=25)
        first = world.stage.genesis_timestamp
        blocks = world.node("sequencer-0").chain.committed_range(1, world.height("sequencer-0"))
        stamps = [block.inputs.timestamp for block in blocks]
        assert stamps == sorted(stamps)
        drift = world.plan.profile.timestamp_drift_s
        for block in blocks:
            assert block.inputs.origin is not None
            assert 0 <= block.inputs.timestamp - block.inputs.origin.timestamp <= drift
        assert stamps[-1] <= first + world.now + 5
        assert world.agree()

    run(story, *NODES)


def test_views_and_timestamps_of_a_set_of_one_follow_its_own_skewed_clock(run: Run) -> None:
    """Nobody is there to disagree; the drift bound and monotony still hold."""

    async def story(world: World) -> None:
        await committing(world, "sequencer-0")
        await world.runtime.skew("sequencer-0", offset_ms=-10_000)
        await committing(world, "sequencer-0", more=6)
        blocks = world.node("sequencer-0").chain.committed_range(1, world.height("sequencer-0"))
        stamps = [block.inputs.timestamp for block in blocks]
        assert stamps == sorted(stamps)

    run(story, *L1, "sequencer-0")

