"""A replica commits what the set finalized, however it hears of it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from certified import QUORUM, certificate
from world import L1, SET, Run, World

from harness.consensus.messages import Certificate, VoteKind, to_json
from harness.ports import LinkRule
from harness.roles.sequencer import Sequencer
from harness.rollup.blocks import Hash

pytestmark = pytest.mark.node

NODES = (*L1, "l1-1", *SET, "replica-0")
FAKE = Hash("0x" + "ab" * 32)


async def level(world: World) -> None:
    wanted = world.height("sequencer-0")
    await world.until(lambda: world.height("replica-0") >= wanted, within=4)


def test_a_replica_that_lost_the_pushes_pulls(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is ever pushed here."""
    monkeypatch.setattr(Sequencer, "_push", lambda *_: None)

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 8, within=10)
        await level(world)
        assert world.agree()

    run(story, *NODES)


def test_a_replica_catches_up_after_total_loss_in_small_pages(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.roles.node.BLOCKS_PER_REPLY_MAX", 3)

    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0") >= 2, within=10)
        await world.rule("sequencer-*", "replica-0", LinkRule(loss=1.0))
        await world.settle(1)
        stuck = world.height("replica-0")
        await world.until(lambda: world.height("sequencer-0") >= stuck + 14, within=12)
        assert world.height("replica-0") == stuck
        await world.heal()
        await level(world)
        assert world.agree()
        assert not world.problems()

    run(story, *NODES)


def test_a_push_above_a_gap_has_the_gap_fetched_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for its next pull, which never comes here."""
    monkeypatch.setattr("harness.roles.replica.PULL_INTERVAL_S", 10_000)

    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0") >= 2, within=10)
        await world.rule("sequencer-*", "replica-0", LinkRule(loss=1.0))
        await world.settle(4)
        await world.heal()
        await level(world)

    run(story, *NODES)


def test_one_fetch_takes_as_many_pages_as_there_are(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.roles.node.BLOCKS_PER_REPLY_MAX", 3)

    async def story(world: World) -> None:
        await world.isolate("replica-0", "sequencer-*")
        await world.until(lambda: world.height("sequencer-0") >= 11, within=12)
        await world.rule("sequencer-1", "replica-0", None)
        await world.rule("replica-0", "sequencer-1", None)
        wanted = world.height("sequencer-1")
        assert await world.node("replica-0").fetch_committed("sequencer-1") is True
        assert world.height("replica-0") >= wanted

    run(story, *NODES)


def too_few(true: Certificate) -> Certificate:
    return replace(true, signatures=true.signatures[:2])


def one_twice(true: Certificate) -> Certificate:
    return replace(true, signatures=(*true.signatures[:2], true.signatures[1]))


def foreign(true: Certificate) -> Certificate:
    return certificate(true.kind, view=true.view, height=true.height, block=true.block_hash, signers=(0, 1, 40))


def of_another_hash(true: Certificate) -> Certificate:
    return replace(true, vote=replace(true.vote, block_hash=FAKE))


def notarization(true: Certificate) -> Certificate:
    """As many true signatures as a finalization has, and no promise that nothing else will be committed."""
    return certificate(VoteKind.NOTARIZE, view=true.view, height=true.height, block=true.block_hash, signers=QUORUM)


def signed_for_something_else(true: Certificate) -> Certificate:
    return replace(true, signatures=notarization(true).signatures)


FORGERIES = [too_few, one_twice, foreign, of_another_hash, notarization, signed_for_something_else]


@pytest.mark.parametrize("forge", FORGERIES)
def test_what_is_not_a_finalization_by_a_quorum_commits_nothing(
    run: Run, forge: Callable[[Certificate], Certificate]
) -> None:
    async def story(world: World) -> None:
        await world.isolate("replica-0", "sequencer-*")
        await world.until(lambda: world.height("sequencer-0") >= 4, within=10)
        blocks = world.node("sequencer-0").blocks_page(1)["blocks"][:3]
        name = Hash(blocks[-1]["hash"])
        true = certificate(VoteKind.FINALIZE, view=9, height=3, block=name)
        await world.ask("l1-1", "replica-0", "committed", {"blocks": blocks, "certificate": to_json(forge(true))})
        assert world.height("replica-0") == 0
        await world.ask("l1-1", "replica-0", "committed", {"blocks": blocks, "certificate": to_json(true)})
        assert world.height("replica-0") == 3

    run(story, *NODES)


def test_blocks_that_execute_to_another_hash_are_reported_and_not_committed(run: Run) -> None:
    """The whole set may sign it: what this node's own execution says goes first."""

    async def story(world: World) -> None:
        await world.isolate("replica-0", "sequencer-*")
        await world.until(lambda: world.height("sequencer-0") >= 3, within=10)
        blocks = world.node("sequencer-0").blocks_page(1)["blocks"][:2]
        lie = [blocks[0], {**blocks[1], "hash": FAKE}]
        signed = to_json(certificate(VoteKind.FINALIZE, view=9, height=2, block=FAKE))
        await world.ask("l1-1", "replica-0", "committed", {"blocks": lie, "certificate": signed})
        assert world.height("replica-0") == 0
        assert [p.fields["what"] for p in world.problems()] == [f"block 2 is not {FAKE} here"]

    run(story, *NODES)


def test_a_peer_that_repeats_an_old_page_does_not_hold_a_replica_up(run: Run) -> None:
    """Every page it sends is true, and none brings anything: the next peer must get its turn."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0") >= 3, within=10)
        old = world.node("sequencer-0").blocks_page(1)
        asked = 0

        def repeat(start: int) -> object:
            nonlocal asked
            asked += 1
            assert asked < 50, "asked again and again"
            return old

        world.node("sequencer-1").blocks_page = repeat  # type: ignore[method-assign, assignment]
        assert await world.node("replica-0").fetch_committed("sequencer-1") is False

    run(story, *NODES)
