"""Slow questions to a node keep out of the way of its blocks, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from harness.roles.jsonrpc.service import NO_SESSION
from harness.roles.jsonrpc.slow_lane import SlowLane
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.clock import SimClock
from harness.runtimes.sim.loop import VirtualLoop, run_virtual

INTERVAL_MS = 250


def on_a_chain(
    work: Callable[[SlowLane, SimClock], Coroutine[Any, Any, None]], *, blocks_until_ms: int = 100_000
) -> None:
    """Run it beside a chain with a block every 250 ms, the first at 0, until then."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        clock = SimClock(loop, genesis_ns=0)
        lane = SlowLane(clock, INTERVAL_MS * 1_000_000)

        async def blocks() -> None:
            while clock.monotonic() <= blocks_until_ms * 1_000_000:
                lane.block_seen()
                await clock.sleep(INTERVAL_MS / 1000)

        chain = asyncio.create_task(blocks())
        await asyncio.sleep(0)
        await work(lane, clock)
        chain.cancel()

    run_virtual(main(), KeyedRandom(1))


async def ask(lane: SlowLane, clock: SimClock, took_ms: int) -> int:
    """Through the lane; the ms at which it started."""
    async with lane.turn(NO_SESSION):
        began = clock.monotonic()
        await clock.sleep(took_ms / 1000)
        lane.note(began, clock.monotonic() - began, was_shared=False)
    return began // 1_000_000


def shared(lane: SlowLane, clock: SimClock, took_ms: int) -> None:
    lane.note(clock.monotonic() - took_ms * 1_000_000, took_ms * 1_000_000, was_shared=True)


def test_quick_questions_never_see_the_lane() -> None:
    async def work(lane: SlowLane, clock: SimClock) -> None:
        shared(lane, clock, 10)
        assert not lane.is_in_use
        shared(lane, clock, 11)
        assert lane.is_in_use
        await clock.sleep(0.251)
        assert not lane.is_in_use

    on_a_chain(work)


def test_a_slow_question_starts_only_where_it_is_over_before_the_next_block() -> None:
    async def work(lane: SlowLane, clock: SimClock) -> None:
        shared(lane, clock, 60)
        await clock.sleep(0.185)                              # 65 ms before a block: room for 60
        assert await ask(lane, clock, 60) == 185
        await clock.sleep(0.200 - 0.055)                      # it rested as long as it took: 305 + 145 = 450
        assert await ask(lane, clock, 60) == 500              # 50 ms before the block would not do

    on_a_chain(work)


def test_no_block_waits_for_one_of_a_crowd_of_slow_ones() -> None:
    async def work(lane: SlowLane, clock: SimClock) -> None:
        shared(lane, clock, 60)
        starts = await asyncio.gather(*[ask(lane, clock, 60) for _ in range(20)])
        assert sorted(starts) == starts
        assert all(start % INTERVAL_MS + 60 <= INTERVAL_MS for start in starts), starts
        assert starts[-1] < 20 * INTERVAL_MS // 2 + INTERVAL_MS, "two fit between two blocks, with the rest after each"

    on_a_chain(work)


def test_one_longer_than_the_interval_still_gets_its_turn_right_after_a_block() -> None:
    async def work(lane: SlowLane, clock: SimClock) -> None:
        shared(lane, clock, 400)
        await clock.sleep(0.100)
        assert await ask(lane, clock, 400) == INTERVAL_MS

    on_a_chain(work)


def test_a_chain_that_stands_still_takes_them_as_they_come() -> None:
    async def work(lane: SlowLane, clock: SimClock) -> None:
        shared(lane, clock, 60)
        await clock.sleep(0.240)
        assert await ask(lane, clock, 60) == INTERVAL_MS * 3 // 2
        assert await ask(lane, clock, 60) == INTERVAL_MS * 3 // 2 + 2 * 60

    on_a_chain(work, blocks_until_ms=0)
