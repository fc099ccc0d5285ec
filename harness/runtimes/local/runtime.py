"""The local runtime: a plan's roles as processes of this machine, forked from one zygote."""

from __future__ import annotations

import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.plan import Plan
from harness.proxy.client import ProxyClient, ProxyFailure
from harness.proxy.config import PROXY, USER, ProxyConfig
from harness.roles.context import RoleFactory
from harness.runtimes.failure import Problem
from harness.runtimes.local.saved_stores import SavedStores
from harness.runtimes.local.world import LOOPBACK, EngineFactory, World
from harness.runtimes.local.zygote_client import ZygoteClient, ZygoteProcess
from harness.runtimes.process_control import BootFailure, Member
from harness.runtimes.processes import Address, ProcessRuntime


class LocalRuntime(ProcessRuntime):
    """`async with LocalRuntime(...) as runtime:` boots on entry and leaves nothing running on any exit."""

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
        rpc_ports: Mapping[str, int] | None = None,
        fault_api_port: int | None = None,
    ) -> None:
        """`logs` gets one file per process. `zygote` is one that was started earlier, to save its second of imports;
        it is this runtime's from now on. `links` are the directed links there are; None means between all roles.
        Without `keeps_history` nobody writes records, for a network without an end. `saved` is what `save_stores`
        gave: the roles start from it, and the clock goes on from its moment. `rpc_ports` names the nodes that answer
        JSON-RPC on a port of 127.0.0.1; 0 is one of the system's choice. Those ports are the fault proxy's, the links
        `user->ROLE`. `fault_api_port` is where Toxiproxy's API is served; None serves none.

        `factory` and `engines` must be picklable by reference: functions of modules, or instances of module classes.
        """
        super().__init__(
            plan, logs=logs, genesis_timestamp=genesis_timestamp, keeps_history=keeps_history, saved=saved
        )
        names = [spec.name for spec in plan.roles]
        if links is None:
            links = [(src, dst) for src in names for dst in names if src != dst]
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
            proxy=ProxyConfig(
                seed=plan.seed, links=tuple(links), latencies=plan.latencies, fronts=tuple((rpc_ports or {}).items()),
                api_port=fault_api_port,
            ),
            keeps_history=keeps_history,
            rpc_ports=dict.fromkeys(rpc_ports or {}, 0),
        )
        self._zygote_process = zygote
        self._zygote: ZygoteClient | None = None
        self._pids: dict[str, int] = {}

    # -- what a runtime of processes asks for

    async def _prepare(self) -> None:
        if self._saved is not None:
            self._saved.put_into(self._temporary)
        process = self._zygote_process = self._zygote_process or ZygoteProcess()
        self._zygote = ZygoteClient(process, on_exit=self._exited, on_lost=self._zygote_lost)
        self._zygote.enter(self._world)
        await self._zygote.ready()

    async def _start_proxy(self) -> None:
        path = self._temporary / "proxy.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            # Listening before the proxy exists: what is asked meanwhile waits in the backlog, so nobody polls.
            control.bind(str(path))
            control.listen()
            self._pids[PROXY] = await self._ready_zygote().spawn(PROXY, control)
        self._proxy = ProxyClient(path)
        try:
            ports = await self._proxy.ports()
            api_port = await self._proxy.api_port()
        except ProxyFailure as error:
            raise BootFailure(f"the fault proxy did not come up{self._log_tail(PROXY)}") from error
        self.fault_api = None if api_port is None else (LOOPBACK, api_port)
        self._peers = {src: {dst: (LOOPBACK, port) for dst, port in peers.items()} for src, peers in ports.items()}

    async def _launch(self, member: Member) -> None:
        assert member.channel is not None
        ours, theirs = socket.socketpair()
        member.is_running = True  # before it is, for it may end before we hear that it began
        try:
            with theirs:
                pid = await self._ready_zygote().spawn(member.name, theirs)
        except BaseException:
            member.is_running = False
            ours.close()
            raise
        if member.is_running:
            self._pids[member.name] = pid
        await member.channel.open(ours)

    async def _kill(self, member: Member) -> None:
        await self._ready_zygote().signal(member.name, signal.SIGKILL)

    async def _freeze(self, member: Member) -> None:
        await self._ready_zygote().signal(member.name, signal.SIGSTOP)

    async def _thaw(self, member: Member) -> None:
        await self._ready_zygote().signal(member.name, signal.SIGCONT)

    async def _freeze_all(self, members: Sequence[Member]) -> None:
        await self._ready_zygote().signal_all([member.name for member in members], signal.SIGSTOP)

    async def _thaw_all(self, members: Sequence[Member]) -> None:
        await self._ready_zygote().signal_all([member.name for member in members], signal.SIGCONT)

    def _address_of(self, member: Member, port: int) -> Address:
        return LOOPBACK, port

    def _rpc_address_of(self, member: Member, port: int) -> Address:
        return self._peers[USER][member.name]

    async def _take_stores(self, saved: SavedStores) -> None:
        saved.take_from(self._temporary)

    async def _release(self) -> None:
        try:
            if self._zygote is not None:
                await self._zygote.end()
            elif self._zygote_process is not None:
                self._zygote_process.close()  # it was never used
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)  # the zygote has; unless it was killed

    @property
    def temporary(self) -> Path:
        """Where sockets, stores and nodes are while this runs. Gone with it, unless all is killed at once."""
        return self._temporary

    # -- for tests and measurements

    def ports(self) -> dict[str, dict[str, int]]:
        """Where each role reaches each of its peers through the proxy on 127.0.0.1: src → dst → port."""
        return {src: {dst: port for dst, (_, port) in peers.items()} for src, peers in self._peers.items()}

    def pids(self) -> dict[str, int]:
        """The running processes, the proxy among them; for measuring."""
        return dict(self._pids)

    # -- inside

    def _exited(self, name: str, pid: int, code: int) -> None:
        if self._pids.get(name, pid) != pid:
            return
        self._pids.pop(name, None)
        if name == PROXY:
            self._proxy_has_ended(f"ended with code {code}")
        else:
            self._has_ended(self._members[name], f"ended with code {code}")

    def _zygote_lost(self) -> None:
        for member in self._members.values():
            member.is_running = False
            member.ended.set()
        self._pids.clear()
        if not self._ending:
            self._fail(Problem("zygote", "exit", "the process that all others come from is gone, and they with it"))

    def _ready_zygote(self) -> ZygoteClient:
        assert self._zygote is not None, "the zygote is there once the runtime has prepared"
        return self._zygote
