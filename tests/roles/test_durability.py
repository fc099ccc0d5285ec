"""What was not flushed is gone after a crash, and what cannot be flushed ends the role: neither goes unnoticed."""

from __future__ import annotations

import asyncio

import pytest
from world import L1, SET, Run, World

from harness.ports import LinkRule, StoreFailure
from harness.roles.durability import WatchedStore
from harness.rollup.heads import Label
from harness.runtimes.sim.store import MemDisk

pytestmark = pytest.mark.node

NODES = (*L1, "l1-1", *SET, "replica-0")


@pytest.mark.parametrize("name", ["sequencer-1", "replica-0", "l1-1", "l1-0", "reporter-0"])
def test_a_full_store_ends_the_role_and_says_so(run: Run, name: str) -> None:
    """In a handler as in a loop: a role that goes on after a lost row may give away what it has given before."""

    async def story(world: World) -> None:
        await world.settle(0.05)
        world.disk(name).full = True
        deadline = world.now + 15
        while await world.runtime.is_alive(name):
            assert world.now < deadline, f"{name} goes on with a full disk"
            await asyncio.sleep(0.02)
        # Not the run: a full disk is a fault's doing, and to end is what the role is to do then.
        problem = world.records("problem", node=name)[0].fields
        assert (problem["what"], problem["fatal"]) == ("run", False)
        assert "the disk is full" in problem["detail"]

    run(story, *L1, "l1-1", "sequencer-0", "sequencer-1", "replica-0", "reporter-0", may_fail=True)


def test_no_vote_leaves_a_sequencer_whose_store_is_full(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-1") >= 3, within=10)
        disk = world.disk("sequencer-1")
        me = world.roles["sequencer-1"]._me.address
        disk.full = True
        await asyncio.sleep(3)
        await world.kill("sequencer-1")
        durable = max(int(key.partition(":")[0]) for key in disk.tables["votes"].rows)
        seen = max(world.roles[n].simplex.highest_view_signed_by(me) for n in SET if n != "sequencer-1")
        assert seen <= durable

    run(story, *NODES, may_fail=True)


def test_a_maker_whose_store_is_full_gives_no_quote_it_could_give_again(run: Run) -> None:
    """It fails in the handler of a request, whose errors the network forgives."""

    async def story(world: World) -> None:
        await world.until(lambda: world.roles["maker-0"]._index, within=20)
        world.disk("maker-0").full = True
        with pytest.raises(Exception, match="broke off"):
            await world.ask("l1-0", "maker-0", "quote", {"product": "ETH-F1", "size": "1000"})
        await asyncio.sleep(0.01)
        assert not await world.runtime.is_alive("maker-0")
        assert "the disk is full" in world.records("problem", node="maker-0")[0].fields["detail"]

    reporters = [f"reporter-{index}" for index in range(4)]
    run(story, *L1, "sequencer-0", "maker-0", *reporters, may_fail=True)


@pytest.mark.parametrize("name", ["replica-0", "sequencer-3"])
def test_a_crash_between_a_journal_row_and_its_flush_loses_the_row_and_nothing_else(run: Run, name: str) -> None:
    """Killed in the middle of catching up, with executed blocks that no flush has covered."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height(name) >= 3, within=10)
        await world.isolate(name)
        stuck = world.height(name)
        await world.until(lambda: world.height("sequencer-0") >= stuck + 10, within=12)
        await world.heal()
        disk = world.disk(name)

        def unflushed() -> int:
            return sum(table == "journal" for table, _ in disk.undo)

        await world.until(lambda: unflushed() >= 2, within=10, step=0.0005)
        rows = len(disk.tables["journal"].rows)
        lost = unflushed()
        await world.kill(name)
        assert len(disk.tables["journal"].rows) == rows - lost
        await world.start(name)
        wanted = world.height("sequencer-0")
        await world.until(lambda: world.height(name) >= wanted, within=6)
        assert world.agree()
        assert not world.problems()

    run(story, *NODES)


def test_a_journal_row_that_executes_to_another_block_is_cut_off_and_fetched_again(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0") >= 8, within=10)
        await world.kill("replica-0")
        table = world.disk("replica-0").tables["journal"]
        key = next(key for key in table.keys if key.startswith(f"{5:012d}"))
        table.rows[key] = table.rows[key].replace(b'"timestamp":', b'"timestamp":1')
        await world.start("replica-0")
        wanted = world.height("sequencer-0")
        await world.until(lambda: world.height("replica-0") >= wanted, within=6)
        assert [p.fields["what"] for p in world.problems()] == ["journal contradicts itself"]
        assert world.agree()

    run(story, *NODES)


def test_a_replica_shows_after_a_crash_the_labels_it_showed(run: Run) -> None:
    """It learns of safe blocks from L1 alone while no sequencer talks to it."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0", Label.SAFE) >= 3, within=15)
        await world.rule("sequencer-*", "replica-0", LinkRule(cut=True))
        before = world.height("replica-0", Label.SAFE)
        await world.until(lambda: world.height("replica-0", Label.SAFE) > before, within=10, step=0.001)
        shown = world.head("replica-0", Label.SAFE)
        await world.kill("replica-0")
        await world.start("replica-0")
        await world.settle(0.2)
        assert world.head("replica-0", Label.SAFE) == shown

    run(story, *NODES, "batcher-0")


def test_once_failed_a_store_makes_nothing_durable_any_more() -> None:
    """The disk may be freed a moment later: the row that was lost is lost, and the role is about to end."""
    disk = MemDisk()
    store = WatchedStore(disk.mount())
    store.put("votes", "1", True)
    store.flush()
    disk.full = True
    store.put("votes", "2", True)
    with pytest.raises(StoreFailure, match="full"):
        store.flush()
    disk.full = False
    store.put("votes", "3", True)
    with pytest.raises(StoreFailure, match="full"):
        store.flush()
    disk.lose_power()
    assert [key for key, _ in disk.mount().scan("votes")] == ["1"]
