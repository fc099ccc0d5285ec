"""The local runtime: boots a plan's roles as processes, and is the `FaultControl` over them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from harness.history.recorder import HistoryWriter
from harness.plan import Plan
from harness.ports import LinkCounters, LinkRule
from harness.proxy.client import ProxyClient
from harness.proxy.process import ProxyConfig
from harness.roles.context import RoleFactory
from harness.runtimes.failure import Problem, RuntimeFailure
from harness.runtimes.local.clock import Epoch, LocalClock
from harness.runtimes.local.control_channel import ChannelClosed, ControlChannel
from harness.runtimes.local.http_network import HOST
from harness.runtimes.local.merging import merge_histories
from harness.runtimes.local.saved_stores import SavedStores
from harness.runtimes.local.world import EngineFactory, World
from harness.runtimes.local.zygote import PROXY
from harness.runtimes.local.zygote_client import ZygoteClient, ZygoteFailure, ZygoteProcess
from harness.runtimes.shielded import finish_despite_cancellation

RUNNER = "run"
READY_TIMEOUT_S = 30.0
ASK_TIMEOUT_S = 3.0
STOP_TIMEOUT_S = 3.0
SHUTDOWN_TIMEOUT_S = 20.0
PROBE_SLACK_S = 0.5
LOG_TAIL_BYTES = 2000


class BootFailure(RuntimeFailure):
    """A role or the machinery under it did not come up."""


@dataclass(slots=True)
class _Member:
    """One role, across its incarnations. `pid` is None while it is dead."""

    name: str
    pid: int | None = None
    channel: ControlChannel | None = None
    ready: asyncio.Future[int] | None = None   # its port
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    is_expected_to_end: bool = False
    is_paused: bool = False
    skew: dict[str, Any] = field(default_factory=lambda: {"offset_ms": 0.0, "drift_ppm": 0.0, "since_ns": 0})


class LocalRuntime:
    """`async with LocalRuntime(...) as runtime:` boots on entry and leaves nothing running on any exit.

    Roles begin together once all of them, their nodes and the proxy are up; that moment is the history's time 0.
    """

    def __init__(
        self,
        plan: Plan,
        factory: RoleFactory,
        *,
        logs: Path,
        genesis_timestamp: int,
        engines: EngineFactory | None = None,
        deployment: Mapping[str, str] | None = None,
        accounts: Mapping[str, str] | None = None,
        keys: Mapping[str, bytes] | None = None,
        links: Sequence[tuple[str, str]] | None = None,
        zygote: ZygoteProcess | None = None,
        keeps_history: bool = True,
        saved: SavedStores | None = None,
    ) -> None:
        """`logs` gets one file per process. `zygote` is one that was started earlier, to save its second of imports;
        it is this runtime's from now on. `links` are the directed links there are; None means between all roles.
        Without `keeps_history` nobody writes records, for a network without an end. `saved` is what `save_stores`
        gave: the roles start from it, and the clock goes on from its moment.

        `factory` and `engines` must be picklable by reference: functions of modules, or instances of module classes.
        """
        names = [spec.name for spec in plan.roles]
        if links is None:
            links = [(src, dst) for src in names for dst in names if src != dst]
        self.plan = plan
        self.problems: list[Problem] = []
        self.failed = asyncio.Event()
        """Set with the first problem: nothing after it is worth waiting for."""
        self._members = {name: _Member(name) for name in names}
        self._temporary = Path(tempfile.mkdtemp(prefix="harness-"))
        self._world = World(
            plan=plan,
            factory=factory,
            engines=engines,
            genesis_timestamp=genesis_timestamp,
            deployment=dict(deployment or {}),
            accounts=dict(accounts or {}),
            keys=dict(keys or {}),
            temporary=self._temporary,
            logs=logs.absolute(),
            proxy=ProxyConfig(seed=plan.seed, links=tuple(links), latencies=plan.latencies),
            keeps_history=keeps_history,
        )
        self._saved = saved
        self._zygote_process = zygote
        self._zygote: ZygoteClient | None = None
        self._proxy: ProxyClient | None = None
        self._proxy_pid: int | None = None
        self._ports: dict[str, dict[str, int]] = {}
        self._epoch = Epoch(genesis_timestamp * 10**9)
        self.clock = LocalClock(self._epoch)
        """The run's own clock, never skewed; stands at 0 until all roles are up."""
        self.watcher: Callable[[str, str, dict[str, Any]], None] | None = None
        """Sees (node, kind, fields) of the roles' notices, problems and blocks (of these only chain and number)."""
        self._history_stream: IO[bytes] | None = None
        self._history: HistoryWriter | None = None
        self._ending = False

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
        self._world.logs.mkdir(parents=True, exist_ok=True)
        if self._saved is not None:
            self._saved.put_into(self._temporary)
        process = self._zygote_process = self._zygote_process or ZygoteProcess()
        self._zygote = ZygoteClient(process, on_exit=self._exited, on_lost=self._zygote_lost)
        try:
            self._zygote.enter(self._world)
            await self._zygote.ready()
            await asyncio.gather(self._start_proxy(), *[self._spawn(member) for member in self._members.values()])
            await self._connect(*self._members.values())
            self._epoch.begin(0 if self._saved is None else self._saved.clock_ns)
            await asyncio.gather(*[self._go(member) for member in self._members.values()])
        except (ZygoteFailure, ChannelClosed, TimeoutError) as error:
            raise BootFailure(f"the network did not come up: {error}") from error

    async def shutdown(self) -> None:
        """End every process: wake it, ask it, wait a bounded time, kill it. Idempotent; not stopped by cancellation."""
        if not self._ending:
            self._ending = True
            await finish_despite_cancellation(self._end(), timeout=SHUTDOWN_TIMEOUT_S)

    async def _end(self) -> None:
        try:
            for member in self._members.values():
                member.is_expected_to_end = True
            with contextlib.suppress(ZygoteFailure, TimeoutError):
                await asyncio.gather(*[self._stop(member) for member in self._members.values()])
        finally:
            for member in self._members.values():
                if member.channel is not None:
                    await member.channel.close()
            if self._proxy is not None:
                await self._proxy.close()
            if self._zygote is not None:
                await self._zygote.end()
            elif self._zygote_process is not None:
                self._zygote_process.close()  # it was never used
            self._close_history()
            shutil.rmtree(self._temporary, ignore_errors=True)  # the zygote has; unless it was killed

    async def _stop(self, member: _Member) -> None:
        if member.pid is None or member.channel is None or self._zygote is None:
            return
        await self._zygote.signal(member.name, signal.SIGCONT)
        with contextlib.suppress(TimeoutError, ChannelClosed):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await member.channel.ask("stop", timeout=STOP_TIMEOUT_S)
                await member.ended.wait()
                return
        await self._zygote.signal(member.name, signal.SIGKILL)

    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        """Add a record of the runner's own to the history; at any time before `write_history`."""
        if not self._world.keeps_history:
            return
        if self._history is None:
            path = self._world.history_of(RUNNER)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._history_stream = path.open("ab", buffering=0)
            self._history = HistoryWriter(self._history_stream, now_ns=self._epoch.elapsed_ns)
        self._history.write(node, kind, fields)

    def _close_history(self) -> None:
        if self._history_stream is not None:
            self._history_stream.close()
        self._history = self._history_stream = None

    def write_history(self, into: Path) -> str:
        """Merge what everyone recorded into one file, in order of time, and remove the parts; returns its SHA-256.

        After `shutdown`.
        """
        self._close_history()
        parts = [self._world.history_of(name) for name in (RUNNER, *self._members)]
        digest = merge_histories(parts, into)
        for part in parts:
            part.unlink(missing_ok=True)
        return digest

    # -- FaultControl

    def roles(self) -> Sequence[str]:
        return tuple(self._members)

    async def set_link(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
        await self._booted_proxy().set_rules(src, dst, rules)

    async def link_counters(self, src: str, dst: str) -> LinkCounters:
        return await self._booted_proxy().counters(src, dst)

    async def probe(self, src: str, dst: str, *, timeout: float) -> float | None:
        source = self._member(src)
        self._member(dst)
        if source.pid is None or source.is_paused or source.channel is None:
            return None
        try:
            answer = await source.channel.ask("probe", timeout=timeout + PROBE_SLACK_S, to=dst, within_s=timeout)
        except (TimeoutError, ChannelClosed):
            return None
        return None if answer is None else float(answer)

    async def kill(self, role: str) -> None:
        member = self._member(role)
        if member.pid is None:
            return
        member.is_expected_to_end = True
        await self._signal(member, signal.SIGKILL)
        async with asyncio.timeout(ASK_TIMEOUT_S):
            await member.ended.wait()

    async def start(self, role: str) -> None:
        """Raises `BootFailure` if the role does not come up."""
        member = self._member(role)
        if member.pid is not None:
            return
        try:
            await self._spawn(member)
            await self._connect(member)
            await self._go(member)
        except (ZygoteFailure, ChannelClosed, TimeoutError) as error:
            raise BootFailure(f"{role} did not start: {error}{self._log_tail(role)}") from error

    async def pause(self, role: str) -> None:
        member = self._member(role)
        if member.pid is not None:
            member.is_paused = True
            await self._signal(member, signal.SIGSTOP)

    async def resume(self, role: str) -> None:
        member = self._member(role)
        if member.pid is not None:
            await self._signal(member, signal.SIGCONT)
            member.is_paused = False

    async def skew(self, role: str, *, offset_ms: float, drift_ppm: float = 0.0) -> None:
        """A role that is paused takes the skew when it is resumed, one that is dead when it is started."""
        member = self._member(role)
        member.skew = {"offset_ms": offset_ms, "drift_ppm": drift_ppm, "since_ns": self._epoch.elapsed_ns()}
        if member.pid is not None and member.channel is not None:
            with contextlib.suppress(TimeoutError if member.is_paused else ChannelClosed, ChannelClosed):
                timeout = PROBE_SLACK_S if member.is_paused else ASK_TIMEOUT_S
                await member.channel.ask("skew", timeout=timeout, skew=member.skew)

    async def is_alive(self, role: str) -> bool:
        return self._member(role).pid is not None

    async def clock_offset(self, role: str) -> float:
        """Raises TimeoutError or `ChannelClosed` when the role can not be asked."""
        channel = self._member(role).channel
        if channel is None:
            raise ChannelClosed(f"{role} is not running")
        return float(await channel.ask("clock", timeout=ASK_TIMEOUT_S))

    async def stats(self, role: str) -> dict[str, int]:
        """Messages the role lost by itself, without a fault. Raises as `clock_offset` does."""
        channel = self._member(role).channel
        if channel is None:
            raise ChannelClosed(f"{role} is not running")
        return dict(await channel.ask("stats", timeout=ASK_TIMEOUT_S))

    async def save_stores(self, into: Path) -> SavedStores:
        """Copy every role's durable rows as they are at one moment; the roles stand still meanwhile.

        It is what a power cut would leave, and what every role recovers from. Raises OSError.
        """
        running = [name for name, member in self._members.items() if member.pid is not None and not member.is_paused]
        try:
            await asyncio.gather(*[self.pause(name) for name in running])
            saved = SavedStores(into, self._epoch.elapsed_ns())  # no row is from later than that
            saved.take_from(self._temporary)
            return saved
        finally:
            await asyncio.gather(*[self.resume(name) for name in running])

    @property
    def temporary(self) -> Path:
        """Where sockets, stores and nodes are while this runs. Gone with it, unless all is killed at once."""
        return self._temporary

    def ports(self) -> dict[str, dict[str, int]]:
        """Where each role reaches each of its peers through the proxy on 127.0.0.1: src → dst → port."""
        return {src: dict(peers) for src, peers in self._ports.items()}

    def pids(self) -> dict[str, int]:
        """The running processes, the proxy among them; for measuring."""
        found = {name: member.pid for name, member in self._members.items() if member.pid is not None}
        return found if self._proxy_pid is None else {**found, PROXY: self._proxy_pid}

    # -- inside

    async def _start_proxy(self) -> None:
        assert self._zygote is not None
        path = self._temporary / "proxy.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            # Listening before the proxy exists: what is asked meanwhile waits in the backlog, so nobody polls.
            control.bind(str(path))
            control.listen()
            self._proxy_pid = await self._zygote.spawn(PROXY, control)
        self._proxy = ProxyClient(path)
        self._ports = await self._proxy.ports()

    async def _spawn(self, member: _Member) -> None:
        """Start a process for the role, and return when it and its node are up."""
        assert self._zygote is not None
        if member.channel is not None:
            await member.channel.close()
        member.ended = asyncio.Event()
        member.is_expected_to_end = member.is_paused = False
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        member.ready = ready
        member.channel = ControlChannel(member.name, on_event=lambda event: self._heard(member, event))
        ours, theirs = socket.socketpair()
        with theirs:
            member.pid = await self._zygote.spawn(member.name, theirs)
        await member.channel.open(ours)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await ready
        except TimeoutError as error:
            raise BootFailure(
                f"{member.name} was not ready within {READY_TIMEOUT_S:g} s{self._log_tail(member.name)}"
            ) from error

    async def _connect(self, *members: _Member) -> None:
        """Tell the proxy where these roles listen; from now on their peers reach them."""
        await self._booted_proxy().set_targets({
            member.name: (HOST, member.ready.result()) for member in members if member.ready is not None
        })

    async def _go(self, member: _Member) -> None:
        assert member.channel is not None
        await member.channel.ask(
            "go",
            timeout=ASK_TIMEOUT_S,
            monotonic_ns=self._epoch.monotonic_ns,
            skew=member.skew,
            ports=self._ports.get(member.name, {}),
        )

    async def _signal(self, member: _Member, number: int) -> None:
        assert self._zygote is not None
        await self._zygote.signal(member.name, number)

    def _heard(self, member: _Member, event: dict[str, Any]) -> None:
        if event["event"] == "ready":
            if member.ready is not None and not member.ready.done():
                member.ready.set_result(event["port"])
        elif event["event"] == "record":
            if self.watcher is not None:
                self.watcher(member.name, event["kind"], event["fields"])
        else:
            # The role has written the record itself.
            self._fail(Problem(member.name, event["what"], event["detail"]), is_recorded=True)

    def _exited(self, name: str, pid: int, code: int) -> None:
        """A process has ended; unless someone meant it to, the run has failed."""
        if name == PROXY:
            self._proxy_pid = None
            if not self._ending:
                self._fail(Problem(PROXY, "exit", f"the fault proxy ended with code {code}{self._log_tail(PROXY)}"))
            return
        member = self._members[name]
        if member.pid not in (pid, None):
            return
        was_expected = member.is_expected_to_end
        member.pid = None
        member.is_paused = False
        member.ended.set()
        if not was_expected:
            detail = f"{name} ended with code {code} although nobody killed it{self._log_tail(name)}"
            if member.ready is not None and not member.ready.done():
                member.ready.set_exception(BootFailure(detail))
            else:
                self._fail(Problem(name, "exit", detail))

    def _zygote_lost(self) -> None:
        for member in self._members.values():
            member.pid = None
            member.ended.set()
        self._proxy_pid = None
        if not self._ending:
            self._fail(Problem("zygote", "exit", "the process that all others come from is gone, and they with it"))

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
            data = self._world.log_of(name).read_bytes()[-LOG_TAIL_BYTES:]
        except OSError:
            return ""
        lines = data.decode(errors="replace").strip().splitlines()[-5:]
        return f"; last lines of {name}.log: " + " | ".join(line.strip() for line in lines) if lines else ""

    def _member(self, role: str) -> _Member:
        try:
            return self._members[role]
        except KeyError:
            raise KeyError(f"no role is called {role!r}; there are {', '.join(self._members)}") from None

    def _booted_proxy(self) -> ProxyClient:
        assert self._proxy is not None, "links exist once the runtime has booted"
        return self._proxy
