"""An asyncio event loop whose time is virtual: it jumps to the next timer, and one seed decides every tie.

- Time is an integer of nanoseconds since the loop began; `time()` is that in seconds, exact to the nanosecond for
  the first hundred days.
- Timers are ordered by (time, sequence). All that is ready at one instant runs in rounds: within a round callbacks are
  grouped by node, the order of the nodes is drawn from the stream `sched`, and inside a node it is first in, first
  out, as asyncio promises its own code.
- Nothing ready and no timer left is a `Deadlock`, told with the await stack of every task; not a hang.
- The world outside is fenced off (`fences.py`); executors run inline.
- A crash drops a node's tasks where they stand, without running their `finally`; see `crash`.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import sys
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar, TypeVarTuple

from harness.ports import Random
from harness.runtimes.sim.fences import outside_world
from harness.runtimes.sim.handles import SimHandle, SimTimer
from harness.runtimes.sim.node import CURRENT_NODE, NodeState, SimNode
from harness.runtimes.sim.plain_loop import PlainLoop
from harness.runtimes.sim.tasks import SimFuture, SimTask, await_stack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ROUNDS_PER_INSTANT_MAX = 100_000
"""More rounds than this without time passing is a livelock."""

ROUNDS_PER_HEARTBEAT = 4096
CANCELLED_TIMERS_MIN = 256
TASKS_TOLD_MAX = 50
CLOSE_ATTEMPTS_MAX = 16
GENERATORS_BEFORE_SWEEP = 64


class Deadlock(RuntimeError):
    """Every task waits for something that nothing left in the simulation can bring."""


class Livelock(RuntimeError):
    """Callbacks keep scheduling each other without time passing."""


class VirtualLoop(PlainLoop):
    """See the module. One thread; made by `new_loop`, mostly through `run_virtual`."""

    def __init__(self, random: Random, *, heartbeat: Callable[[int], None] | None = None) -> None:
        """`heartbeat(now_ns)` is called every few thousand rounds, for a watchdog of wall time to see us alive."""
        super().__init__()
        self.now_ns = 0
        self._random = random
        self._heartbeat = heartbeat
        self._ready: list[SimHandle | SimTimer] = []
        self._timers: list[tuple[int, int, SimTimer]] = []
        self._timer_number = 0
        self._cancelled_timers = 0
        self._future_number = 0
        self._rounds = 0
        self.callbacks = 0
        """How many callbacks have run; a measure of work, equal in equal runs."""
        self._stopping = False
        self._closed = False
        self._thread_id: int | None = None
        self._fallen: deque[Any] = deque()
        """Coroutines and generators of crashed nodes, kept so that nobody closes them before the run is over."""
        self._generators: list[tuple[weakref.ref[AsyncGenerator[Any, Any]], SimNode | None]] = []
        self._generators_sweep_at = GENERATORS_BEFORE_SWEEP
        self._nodes: dict[SimNode, None] = {}

    # -- time and callbacks

    def time(self) -> float:
        return self.now_ns / 1e9

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = SimHandle(callback, args, contextvars.copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if self._thread_id is not None and threading.get_ident() != self._thread_id:
            outside_world(f"loop.call_soon_threadsafe() from thread {threading.current_thread().name!r}")
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at_ns(self.now_ns + round(delay * 1e9), callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at_ns(round(when * 1e9), callback, *args, context=context)

    def call_at_ns(
        self,
        when_ns: int,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Like `call_at`, on the integer clock; a time in the past means now."""
        timer = SimTimer(
            max(when_ns, self.now_ns), callback, args, self._count_cancelled_timer,
            contextvars.copy_context() if context is None else context,
        )  # fmt: skip
        self._timer_number += 1
        heapq.heappush(self._timers, (timer.when_ns, self._timer_number, timer))
        return timer

    def _count_cancelled_timer(self) -> None:
        """A timer still in the heap will not fire; when most of the heap is such, sweep it."""
        self._cancelled_timers += 1
        if self._cancelled_timers > CANCELLED_TIMERS_MIN and 2 * self._cancelled_timers > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2]._cancelled]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0

    # -- running

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        wrapped: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]  # typeshed is narrower here
        wrapped.add_done_callback(self._stop_when_done)
        try:
            self.run_forever()
        except BaseException:
            if wrapped.done() and not wrapped.cancelled():
                wrapped.exception()
            raise
        finally:
            wrapped.remove_done_callback(self._stop_when_done)
        return wrapped.result()

    def run_forever(self) -> None:
        if self._closed:
            raise RuntimeError("this event loop is closed")
        if self._thread_id is not None or asyncio._get_running_loop() is not None:
            raise RuntimeError("an event loop is already running in this thread")
        hooks = sys.get_asyncgen_hooks()
        self._thread_id = threading.get_ident()
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(firstiter=self._generator_began, finalizer=self._generator_dropped)
        try:
            while not self._stopping:
                self._run_instant()
        finally:
            self._stopping = False
            self._thread_id = None
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def stop(self) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self._thread_id is not None

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Free what the run left. Only now do crashed coroutines unwind, in a world that no longer listens."""
        if self.is_running():
            raise RuntimeError("cannot close an event loop that is running")
        if self._closed:
            return
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        for node in self._nodes:
            node.held.clear()
        while self._fallen:
            _unwind(self._fallen.popleft())
        self._ready.clear()

    def _run_instant(self) -> None:
        """Move to the next instant at which something happens, and run it to its end."""
        ready = self._ready
        if not ready:
            while self._timers and self._timers[0][2]._cancelled:
                heapq.heappop(self._timers)
                self._cancelled_timers -= 1
            if not self._timers:
                raise Deadlock(self._deadlock_report())
            self.now_ns = self._timers[0][0]
        now_ns = self.now_ns
        timers = self._timers
        while timers and timers[0][0] <= now_ns:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._cancelled_timers -= 1
            else:
                ready.append(timer)
        rounds = 0
        while self._ready and not self._stopping:
            rounds += 1
            self._rounds += 1
            if rounds > ROUNDS_PER_INSTANT_MAX:
                raise Livelock(
                    f"{ROUNDS_PER_INSTANT_MAX} rounds of callbacks at {now_ns} ns without time passing; a loop that "
                    f"never sleeps? waiting tasks:\n{self._task_report()}"
                )
            if self._heartbeat is not None and self._rounds % ROUNDS_PER_HEARTBEAT == 0:
                self._heartbeat(now_ns)
            batch = self._ready
            self._ready = []
            self._run_batch(batch)

    def _run_batch(self, batch: list[SimHandle | SimTimer]) -> None:
        if len(batch) > 1:
            first = batch[0].node
            for handle in batch:
                if handle.node is not first:
                    batch = self._shuffled_by_node(batch)
                    break
        self.callbacks += len(batch)
        for handle in batch:
            if handle._cancelled:
                continue
            node = handle.node
            if node is not None and not node.running:
                if node.state is NodeState.PAUSED:
                    node.held.append(handle)
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.call_exception_handler(
                    {"message": f"callback {handle!r} raised", "exception": error, "handle": handle}
                )

    def _shuffled_by_node(self, batch: list[SimHandle | SimTimer]) -> list[SimHandle | SimTimer]:
        groups: dict[str, list[SimHandle | SimTimer]] = {}
        for handle in batch:
            name = "" if handle.node is None else handle.node.name
            group = groups.get(name)
            if group is None:
                groups[name] = [handle]
            else:
                group.append(handle)
        bits, now_ns, number = self._random.bits, self.now_ns, self._rounds
        order = sorted([(bits("sched", now_ns, number, name), name) for name in groups])
        return [handle for _, name in order for handle in groups[name]]

    def _stop_when_done(self, future: asyncio.Future[Any]) -> None:
        self.stop()

    # -- tasks, futures and nodes

    def create_future(self) -> asyncio.Future[Any]:
        self._future_number += 1
        return SimFuture(self._future_number, loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        if self._closed:
            raise RuntimeError("this event loop is closed")
        self._future_number += 1
        number = self._future_number
        node = CURRENT_NODE.get() if context is None else context.get(CURRENT_NODE)
        if name is None:
            name = f"{'run' if node is None else node.name}/{number}"
        task = SimTask(number, coro, loop=self, name=name, context=context)
        if node is not None:
            node.adopt(task)
        return task

    def node(self, name: str) -> SimNode:
        """A new node; run code in it with `create_task(..., context=node.context.copy())`."""
        node = SimNode(name)
        self._nodes[node] = None
        return node

    def pause(self, node: SimNode) -> None:
        """Freeze a node: nothing of it runs, what falls due is held."""
        if node.state is NodeState.RUNNING:
            node.set_state(NodeState.PAUSED)

    def resume(self, node: SimNode) -> None:
        """Thaw a node: what fell due while it was frozen runs now, in the order it fell due."""
        if node.state is NodeState.PAUSED:
            node.set_state(NodeState.RUNNING)
            # In front of what is ready anyway: it was due earlier.
            self._ready[:0] = node.held
            node.held.clear()

    def crash(self, node: SimNode) -> None:
        """Cut a node's power: its tasks stop where they stand and no `finally` of theirs runs in this run.

        Python can only drop a suspended coroutine by unwinding it. So they are kept as they are until `close`, when
        the run is over; the runtime's ports ignore a dead node, so that late unwinding changes nothing.
        """
        if node.state is NodeState.DEAD:
            return
        node.set_state(NodeState.DEAD)
        for task in node.pending_tasks():
            # `asyncio.Runner` would cancel and await every registered task at its end, and these never finish.
            asyncio.tasks._unregister_task(task)
            task.silence()
            self._fallen.append(task)
        node.forget_tasks()
        node.held.clear()
        self._nodes.pop(node, None)

    def crash_all(self) -> None:
        """Cut every node's power: the end of a run that did not shut its roles down itself."""
        for node in list(self._nodes):
            self.crash(node)

    # -- async generators

    def _generator_began(self, generator: AsyncGenerator[Any, Any]) -> None:
        if len(self._generators) >= self._generators_sweep_at:
            self._generators = [entry for entry in self._generators if entry[0]() is not None]
            self._generators_sweep_at = max(GENERATORS_BEFORE_SWEEP, 2 * len(self._generators))
        self._generators.append((weakref.ref(generator), CURRENT_NODE.get()))

    def _generator_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        node = CURRENT_NODE.get()
        if node is not None and node.state is NodeState.DEAD:
            self._fallen.append(generator)
        elif not self._closed:
            self.create_task(generator.aclose())

    async def shutdown_asyncgens(self) -> None:
        """Close the generators that are still suspended, oldest first, except those of crashed nodes."""
        for reference, node in self._generators:
            generator = reference()
            if generator is None:
                continue
            if node is not None and node.state is NodeState.DEAD:
                self._fallen.append(generator)
            else:
                await generator.aclose()
        self._generators.clear()

    # -- reports

    def _deadlock_report(self) -> str:
        frozen = [node.name for node in self._nodes if node.state is NodeState.PAUSED]
        paused = f" (paused: {', '.join(frozen)})" if frozen else ""
        return (
            f"deadlock at {self.now_ns} ns: nothing is ready and no timer is left{paused}, yet these tasks wait:\n"
            f"{self._task_report()}"
        )

    def _task_report(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=hash)
        told = "\n".join(await_stack(task) for task in tasks[:TASKS_TOLD_MAX])
        return told + (f"\n  and {len(tasks) - TASKS_TOLD_MAX} more" if len(tasks) > TASKS_TOLD_MAX else "")


def run_virtual(
    main: Coroutine[Any, Any, T], random: Random, *, heartbeat: Callable[[int], None] | None = None
) -> T:
    """Run `main` to its end on a fresh virtual loop and return its result."""
    with asyncio.Runner(loop_factory=lambda: new_loop(random, heartbeat=heartbeat)) as runner:
        try:
            return runner.run(main)
        finally:
            # The runner now cancels and awaits what is left; a frozen or stubborn node would keep it waiting for ever.
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            loop.crash_all()


def new_loop(random: Random, *, heartbeat: Callable[[int], None] | None = None) -> VirtualLoop:
    return VirtualLoop(random, heartbeat=heartbeat)  # type: ignore[abstract]  # the fences are set by name


def virtual_loop() -> VirtualLoop:
    """The running loop, which must be a virtual one."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise RuntimeError(f"this belongs to the simulation, but the running loop is a {type(loop).__name__}")
    return loop


def _unwind(fallen: Any) -> None:
    """Close a crashed task's coroutine, however it resists; its effects no longer matter, its memory does."""
    coroutine = fallen.get_coro() if isinstance(fallen, asyncio.Task) else fallen
    for _ in range(CLOSE_ATTEMPTS_MAX):
        try:
            if hasattr(coroutine, "close"):
                coroutine.close()
            return
        except BaseException:  # whatever a dead role's cleanup raises has nobody to go to
            continue
