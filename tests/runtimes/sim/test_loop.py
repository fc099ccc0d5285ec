"""The virtual loop keeps asyncio's promises, and the project's own on top of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.fences import FENCED, FenceError
from harness.runtimes.sim.loop import Deadlock, Livelock, run_virtual, virtual_loop
from harness.runtimes.sim.node import SimNode

RANDOM = KeyedRandom(1)


def test_sleep_takes_virtual_time_to_the_nanosecond() -> None:
    """Time is the sum of the sleeps, exactly, however many there were."""

    async def main() -> int:
        for _ in range(1000):
            await asyncio.sleep(0.100_000_001)
        return virtual_loop().now_ns

    assert run_virtual(main(), RANDOM) == 100_000_001_000


def test_time_in_seconds_names_every_nanosecond_after_a_week() -> None:
    """`loop.time()` and back is the identity, so `asyncio.timeout` cannot drift."""

    async def main() -> None:
        loop = virtual_loop()
        await asyncio.sleep(7 * 86_400)
        await asyncio.sleep(0.000_000_007)
        assert loop.now_ns == 7 * 86_400 * 10**9 + 7
        assert round(loop.time() * 1e9) == loop.now_ns

    run_virtual(main(), RANDOM)


def test_timeouts_groups_queues_events_and_wait_for_work() -> None:
    """The asyncio that roles use behaves as on the stock loop."""

    async def main() -> list[str]:
        seen: list[str] = []
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        event = asyncio.Event()

        async def produce() -> None:
            for number in range(3):
                await queue.put(number)
            event.set()

        async def consume() -> None:
            for _ in range(3):
                seen.append(str(await queue.get()))

        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            group.create_task(consume())
        await asyncio.wait_for(event.wait(), 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.5)
        seen.append(str(virtual_loop().now_ns))
        return seen

    assert run_virtual(main(), RANDOM) == ["0", "1", "2", "3000000000"]


def test_a_failing_task_cancels_its_group() -> None:
    """Structured concurrency holds on the virtual loop."""

    async def main() -> bool:
        cancelled = False

        async def waits() -> None:
            nonlocal cancelled
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                cancelled = True
                raise

        async def fails() -> None:
            await asyncio.sleep(1)
            raise ValueError("no")

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(waits())
                group.create_task(fails())
        return cancelled and virtual_loop().now_ns == 10**9

    assert run_virtual(main(), RANDOM)


def _orders(nodes: int, seeds: range) -> set[tuple[str, ...]]:
    """The orders in which nodes ran at one instant, over seeds."""

    async def main() -> tuple[str, ...]:
        loop = virtual_loop()
        seen: list[str] = []

        async def at_one_second(name: str) -> None:
            await asyncio.sleep(1)
            seen.append(name)

        tasks = []
        for index in range(nodes):
            node = loop.node(f"n{index}")
            tasks.append(loop.create_task(at_one_second(node.name), context=node.context.copy()))
        await asyncio.gather(*tasks)
        return tuple(seen)

    return {run_virtual(main(), KeyedRandom(seed)) for seed in seeds}


def test_nodes_due_at_one_instant_run_in_an_order_the_seed_draws() -> None:
    """Races between nodes are explored: 30 seeds give many of the 24 orders of 4 nodes."""
    assert len(_orders(4, range(30))) > 8


def test_one_seed_gives_one_order() -> None:
    """The order is drawn from the seed and nothing else."""
    assert _orders(4, range(7, 8)) == _orders(4, range(7, 8))


def test_inside_a_node_callbacks_run_first_in_first_out() -> None:
    """asyncio promises call order within a process; no seed may break it."""

    async def main() -> None:
        loop = virtual_loop()
        seen: dict[str, list[int]] = {"a": [], "b": []}
        for name in seen:
            context = loop.node(name).context
            for number in range(20):
                loop.call_at_ns(5, seen[name].append, number, context=context)
        await asyncio.sleep(1)
        assert seen == {"a": list(range(20)), "b": list(range(20))}

    for seed in range(10):
        run_virtual(main(), KeyedRandom(seed))


def test_a_crash_runs_no_finally_during_the_run() -> None:
    """A power cut is not a cancellation: cleanup must not tidy up what a crash leaves behind."""
    ran: list[str] = []

    async def victim() -> None:
        try:
            async with asyncio.timeout(50):
                await asyncio.sleep(100)
        finally:
            ran.append("cleanup")
            await asyncio.sleep(1)
            ran.append("slow cleanup")

    async def main() -> list[str]:
        loop = virtual_loop()
        node = loop.node("victim")
        loop.create_task(victim(), context=node.context.copy())
        await asyncio.sleep(1)
        loop.crash(node)
        await asyncio.sleep(500)
        return list(ran)

    assert run_virtual(main(), RANDOM) == []


def test_a_crash_drops_tasks_that_never_began() -> None:
    """A task created in the instant of the crash neither runs nor complains."""

    async def main() -> list[str]:
        loop = virtual_loop()
        node = loop.node("victim")
        ran: list[str] = []

        async def work() -> None:
            ran.append("ran")

        loop.create_task(work(), context=node.context.copy())
        loop.crash(node)
        await asyncio.sleep(1)
        return ran

    assert run_virtual(main(), RANDOM) == []


def test_a_paused_node_stands_still_and_then_catches_up_in_order() -> None:
    """Timers that fall due during a pause fire at the resume, oldest first."""

    async def main() -> list[tuple[int, str]]:
        loop = virtual_loop()
        node = loop.node("frozen")
        seen: list[tuple[int, str]] = []

        def note(word: str) -> None:
            seen.append((loop.now_ns // 10**9, word))

        for delay, word in ((1, "first"), (2, "second"), (9, "last")):
            loop.call_later(delay, note, word, context=node.context)
        loop.pause(node)
        await asyncio.sleep(5)
        assert seen == []
        loop.resume(node)
        await asyncio.sleep(5)
        return seen

    assert run_virtual(main(), RANDOM) == [(5, "first"), (5, "second"), (9, "last")]


def test_a_deadlock_is_told_with_the_stack_of_each_waiting_task() -> None:
    """A hang in virtual time is an error that says who waits where."""

    async def waits_for_nobody() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock) as caught:
        run_virtual(waits_for_nobody(), RANDOM)
    assert "waits_for_nobody at" in str(caught.value)
    assert "Event.wait at" in str(caught.value)


def test_a_deadlock_names_the_paused_nodes() -> None:
    """Somebody forgot to resume: say so."""

    async def main() -> None:
        loop = virtual_loop()
        loop.pause(loop.node("sequencer-3"))
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="paused: sequencer-3"):
        run_virtual(main(), RANDOM)


def test_a_loop_that_never_sleeps_is_a_livelock() -> None:
    """Yielding for ever without time passing ends with an error, not with a spinning process."""

    async def spin() -> None:
        while True:  # noqa: ASYNC110  # spinning is the point
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match="without time passing"):
        run_virtual(spin(), RANDOM)


def test_every_fence_raises_with_the_call_site() -> None:
    """A role that reaches past its ports is told what it did and where."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for name in FENCED:
            with pytest.raises(FenceError, match=rf"loop\.{name}\(\).*test_loop\.py"):
                getattr(loop, name)()
        with pytest.raises(FenceError, match="create_connection"):
            await asyncio.open_connection("127.0.0.1", 1)

    run_virtual(main(), RANDOM)


def test_a_foreign_thread_cannot_wake_the_loop() -> None:
    """When a thread finishes is the machine's choice, so it has no way in."""
    caught: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def intrude() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except FenceError as error:
                caught.append(error)

        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join(5)

    run_virtual(main(), RANDOM)
    assert len(caught) == 1


def test_executors_run_inline() -> None:
    """`to_thread` gives its result in no virtual time and without a thread."""

    async def main() -> tuple[int, int]:
        return await asyncio.to_thread(threading.get_ident), virtual_loop().now_ns

    assert run_virtual(main(), RANDOM) == (threading.get_ident(), 0)


def test_stubborn_nodes_do_not_keep_a_failing_run_alive() -> None:
    """When the run's main task fails, nodes that ignore cancellation or are frozen are dropped."""

    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

    async def main() -> None:
        loop = virtual_loop()
        nodes: list[SimNode] = [loop.node("stubborn"), loop.node("frozen")]
        for node in nodes:
            loop.create_task(stubborn(), context=node.context.copy())
        await asyncio.sleep(3)
        loop.pause(nodes[1])
        raise ValueError("the run failed")

    with pytest.raises(ValueError, match="the run failed"):
        run_virtual(main(), RANDOM)


def test_suspended_generators_are_closed_with_the_run() -> None:
    """An async generator left half-way runs its cleanup on the loop, as asyncio does."""
    closed: list[int] = []

    async def count() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            await asyncio.sleep(1)
            closed.append(1)

    async def main() -> None:
        generator = count()
        assert await anext(generator) == 0
        held.append(generator)

    held: list[AsyncIterator[int]] = []
    run_virtual(main(), RANDOM)
    assert closed == [1]


TRACE = '''
import asyncio, hashlib
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.loop import run_virtual, virtual_loop
digest = hashlib.sha256()
async def main():
    loop = virtual_loop()
    def note(*what): digest.update(repr((loop.now_ns, *what)).encode())
    async def child(name, n):
        try:
            await asyncio.sleep(0.001 * (n % 3))
            note("child", name, n)
            if n == 7: raise ValueError(n)
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            note("cancelled", name, n)
            raise
    async def run(name):
        done, pending = await asyncio.wait([asyncio.ensure_future(child(name, n)) for n in range(7)])
        for task in done: note("done", task.get_name())
        try:
            async with asyncio.TaskGroup() as group:
                for n in range(9): group.create_task(child(name, n))
        except* ValueError:
            note("group", name)
        for task in [asyncio.ensure_future(child(name, n)) for n in range(6)]: task.add_done_callback(lambda _: None)
    await asyncio.gather(*[loop.create_task(run(f"n{i}"), context=loop.node(f"n{i}").context.copy()) for i in range(5)])
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task(): note("left", task.get_name()); task.cancel()
    await asyncio.sleep(2)
run_virtual(main(), KeyedRandom(3))
print(digest.hexdigest())
'''


def test_one_seed_gives_one_trace_in_processes_with_different_hash_seeds() -> None:
    """Groups, `wait` and `all_tasks` walk sets of tasks; their order must not come from addresses or hash seeds."""
    root = Path(__file__).parents[3]
    traces = set()
    for hash_seed in range(6):
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        done = subprocess.run(
            [sys.executable, "-c", TRACE], env=environment, cwd=root, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        traces.add(done.stdout)
    assert len(traces) == 1
