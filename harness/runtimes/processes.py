"""What every runtime of real processes shares: its members and their channels, the fault controls, the history.

A runtime adds where processes live: how one is started, killed, frozen and thawed, and where it is reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from harness.faults.rpc import rpc_rules_to_json
from harness.plan import Plan
from harness.proxy.config import PROXY, USER
from harness.runtimes.failure import Problem, RuntimeFailure
from harness.runtimes.local.clock import Epoch, LocalClock
from harness.runtimes.local.control_channel import ChannelClosed, ControlChannel
from harness.runtimes.local.merging import OwnHistory, merge_and_remove
from harness.runtimes.local.saved_stores import SavedStores
from harness.runtimes.process_control import BootFailure, Member, ProcessControl
from harness.runtimes.shielded import finish_despite_cancellation

RUNNER = "run"
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 3.0
SHUTDOWN_TIMEOUT_S = 20.0
LOG_TAIL_BYTES = 2000

Address = tuple[str, int]


class ProcessRuntime(ProcessControl):
    """`async with` boots on entry and leaves nothing running on any exit.

    Roles begin together once all of them, their nodes and the proxy are up; that moment is the history's time 0.
    """

    ready_timeout_s = READY_TIMEOUT_S
    shutdown_timeout_s = SHUTDOWN_TIMEOUT_S

    def __init__(
        self,
        plan: Plan,
        *,
        logs: Path,
        genesis_timestamp: int,
        keeps_history: bool = True,
        saved: SavedStores | None = None,
    ) -> None:
        super().__init__([spec.name for spec in plan.roles], Epoch(genesis_timestamp * 10**9))
        self.plan = plan
        self._keeps_history = keeps_history
        self._saved = saved
        self.problems: list[Problem] = []
        self.failed = asyncio.Event()
        """Set with the first problem: nothing after it is worth waiting for."""
        self.watcher: Callable[[str, str, dict[str, Any]], None] | None = None
        """Sees (node, kind, fields) of the roles' notices, problems and blocks (of these only chain and number)."""
        self._logs = logs.absolute()
        self._peers: dict[str, dict[str, Address]] = {}
        """Where each role reaches each of its peers, through the proxy; of `user`, the public front doors."""
        self.fault_api: Address | None = None
        """Where Toxiproxy's API is served, once booted."""
        self.left_behind = ""
        """After `shutdown`: what of this could not be removed, and why; the empty string is the rule."""
        self.clock = LocalClock(self._epoch)
        """The run's own clock, never skewed; stands at 0 until all roles are up."""
        self._own_history = OwnHistory(self._history_of(RUNNER), now_ns=self._epoch.elapsed_ns)
        self._ending = False

    # -- what a runtime adds

    async def _prepare(self) -> None:
        """Everything that roles need before they can be started."""

    async def _start_proxy(self) -> None:
        """Bring up the fault proxy: sets `_proxy` and `_peers`."""
        raise NotImplementedError

    async def _launch(self, member: Member) -> None:
        """Start the role's process, and open its channel."""
        raise NotImplementedError

    def _address_of(self, member: Member, port: int) -> Address:
        """Where the proxy reaches the role, which says that it listens on this port."""
        raise NotImplementedError

    def _rpc_address_of(self, member: Member, port: int) -> Address:
        """Where this machine's programs reach the role's JSON-RPC interface, which says that it has this port."""
        return self._address_of(member, port)

    async def _take_stores(self, saved: SavedStores) -> None:
        """Copy the rows of roles that stand still. Raises OSError."""
        raise NotImplementedError

    def figures(self) -> Mapping[str, Any]:
        """What the runtime measured of itself, for `stats` in result.json."""
        return {}

    async def _freeze_all(self, members: Sequence[Member]) -> None:
        """Freeze several, as nearly at once as can be."""
        await asyncio.gather(*[self._freeze(member) for member in members])

    async def _thaw_all(self, members: Sequence[Member]) -> None:
        await asyncio.gather(*[self._thaw(member) for member in members])

    async def _release(self) -> None:
        """Give back everything; called once, last, whatever was prepared."""
        raise NotImplementedError

    def _history_of(self, name: str) -> Path:
        return self._logs / f"{name}.history.jsonl"

    def _log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    # -- the life of a run

    async def __aenter__(self) -> Self:
        try:
            await self.boot()
        except BaseException:
            await self.shutdown()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()

    async def boot(self) -> None:
        """Start the proxy and every role, and let them begin together. Call `shutdown` whatever comes of it.

        Raises:
            BootFailure: something did not come up; the message has the last lines of its log.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            await self._prepare()
            await asyncio.gather(self._start_proxy(), *[self._spawn(member) for member in self._members.values()])
            await self._connect(*self._members.values())
            self._epoch.begin(0 if self._saved is None else self._saved.clock_ns)
            await asyncio.gather(*[self._go(member) for member in self._members.values()])
        except BootFailure:
            raise
        except (RuntimeFailure, ChannelClosed, TimeoutError) as error:
            raise BootFailure(f"the network did not come up: {error}") from error

    async def shutdown(self) -> None:
        """End every process: wake it, ask it, wait a bounded time, kill it. Idempotent; not stopped by cancellation."""
        if not self._ending:
            self._ending = True
            await finish_despite_cancellation(self._end(), timeout=self.shutdown_timeout_s)

    async def _end(self) -> None:
        try:
            for member in self._members.values():
                member.is_expected_to_end = True
            with contextlib.suppress(RuntimeFailure, TimeoutError):
                await asyncio.gather(*[self._stop(member) for member in self._members.values()])
        finally:
            try:
                for member in self._members.values():
                    if member.channel is not None:
                        await member.channel.close()
                if self._proxy is not None:
                    await self._proxy.close()
            finally:
                try:
                    await self._release()
                finally:
                    self._own_history.close()

    async def stop(self, role: str, *, grace_s: float) -> None:
        """Ask a role to end, and kill it if it has not by then."""
        member = self._member(role)
        if member.is_running:
            member.is_expected_to_end = True
            await self._stop(member, grace_s=grace_s)
            async with asyncio.timeout(self.end_timeout_s):
                await member.ended.wait()

    async def _stop(self, member: Member, *, grace_s: float = STOP_TIMEOUT_S) -> None:
        if not member.is_running or member.channel is None:
            return
        if member.is_paused:   # to wake one that runs is a look through the whole process table
            await self._thaw(member)
        with contextlib.suppress(TimeoutError, ChannelClosed):
            async with asyncio.timeout(grace_s):
                await member.channel.ask("stop", timeout=grace_s)
                await member.ended.wait()
                return
        await self._kill(member)

    # -- the history

    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        """Add a record of the runner's own to the history; at any time before `write_history`."""
        if self._keeps_history:
            self._own_history.write(node, kind, fields)

    def write_history(self, into: Path) -> str:
        """Merge what everyone recorded into one file, in order of time, and remove the parts; returns its SHA-256.

        After `shutdown`.
        """
        self._own_history.close()
        return merge_and_remove([self._history_of(name) for name in (RUNNER, *self._members)], into)

    async def save_stores(self, into: Path) -> SavedStores:
        """Copy every role's durable rows as they are at one moment; the roles stand still meanwhile.

        It is what a power cut would leave, and what every role recovers from. Raises OSError.
        """
        running = [member for member in self._members.values() if member.is_running and not member.is_paused]
        try:
            for member in running:
                member.is_paused = True
            await self._freeze_all(running)
            saved = SavedStores(into, self._epoch.elapsed_ns())  # no row is from later than that
            await self._take_stores(saved)
            return saved
        finally:
            await self._thaw_all(running)
            for member in running:
                member.is_paused = False

    def rpc_endpoints(self) -> dict[str, Address]:
        """Where each running node that has a JSON-RPC interface answers its clients: HTTP and WebSocket on one port."""
        return {
            name: self._rpc_address_of(member, member.rpc_port)
            for name, member in self._members.items()
            if member.is_running and member.rpc_port is not None
        }

    # -- inside

    def _front_of(self, role: str) -> Address:
        try:
            return self._peers[USER][role]
        except KeyError:
            raise KeyError(f"{role} has no public front door") from None

    async def _begin(self, member: Member) -> None:
        try:
            await self._spawn(member)
            await self._connect(member)
            await self._go(member)
        except BootFailure:
            raise
        except (RuntimeFailure, ChannelClosed, TimeoutError) as error:
            raise BootFailure(f"{member.name} did not start: {error}{self._log_tail(member.name)}") from error

    async def _spawn(self, member: Member) -> None:
        """Start a process for the role, and return when it and its node are up."""
        if member.channel is not None:
            await member.channel.close()
        member.ended = asyncio.Event()
        member.is_expected_to_end = member.is_paused = False
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        member.ready = ready
        member.channel = ControlChannel(member.name, on_event=lambda event: self._heard(member, event))
        await self._launch(member)
        try:
            async with asyncio.timeout(self.ready_timeout_s):
                await ready
        except TimeoutError as error:
            raise BootFailure(
                f"{member.name} was not ready within {self.ready_timeout_s:g} s{self._log_tail(member.name)}"
            ) from error

    async def _connect(self, *members: Member) -> None:
        """Tell the proxy where these roles listen; from now on their peers reach them."""
        await self._booted_proxy().set_targets({
            member.name: self._address_of(member, member.ready.result())
            for member in members if member.ready is not None
        })  # fmt: skip
        fronts = {
            member.name: self._address_of(member, member.rpc_port)
            for member in members if member.rpc_port is not None and member.name in self._peers.get(USER, {})
        }  # fmt: skip
        if fronts:
            await self._booted_proxy().set_fronts(fronts)

    async def _go(self, member: Member) -> None:
        assert member.channel is not None
        await member.channel.ask(
            "go",
            timeout=self.ask_timeout_s,
            monotonic_ns=self._epoch.monotonic_ns,
            now_ns=time.monotonic_ns(),
            skew=member.skew,
            rpc=rpc_rules_to_json(member.rpc),
            peers=self._peers.get(member.name, {}),
        )

    def _heard(self, member: Member, event: dict[str, Any]) -> None:
        if event["event"] == "ready":
            if member.ready is not None and not member.ready.done():
                member.rpc_port = event["rpc"]
                member.ready.set_result(event["port"])
        elif event["event"] == "record":
            if self.watcher is not None:
                self.watcher(member.name, event["kind"], event["fields"])
        else:
            # The role has written the record itself.
            self._fail(Problem(member.name, event["what"], event["detail"]), is_recorded=True)

    def _has_ended(self, member: Member, how: str) -> None:
        """A role's process is gone; unless someone meant it to be, the run has failed. `how` as in "ended …"."""
        was_expected = member.is_expected_to_end
        member.is_running = member.is_paused = False
        member.ended.set()
        if not was_expected:
            detail = f"{member.name} {how} although nobody killed it{self._log_tail(member.name)}"
            if member.ready is not None and not member.ready.done():
                member.ready.set_exception(BootFailure(detail))
            else:
                self._fail(Problem(member.name, "exit", detail))

    def _proxy_has_ended(self, how: str) -> None:
        if not self._ending:
            self._fail(Problem(PROXY, "exit", f"the fault proxy {how}{self._log_tail(PROXY)}"))

    def _fail(self, problem: Problem, *, is_recorded: bool = False) -> None:
        self.problems.append(problem)
        self.failed.set()
        fields = {"what": problem.what, "detail": problem.detail, "fatal": True}
        if not is_recorded:
            self.write(problem.role, "problem", fields)
        if self.watcher is not None:
            self.watcher(problem.role, "problem", fields)

    def _log_tail(self, name: str) -> str:
        """The last lines of a process's log, as the end of a message."""
        try:
            data = self._log_of(name).read_bytes()[-LOG_TAIL_BYTES:]
        except OSError:
            return ""
        lines = data.decode(errors="replace").strip().splitlines()[-5:]
        return f"; last lines of {name}.log: " + " | ".join(line.strip() for line in lines) if lines else ""
