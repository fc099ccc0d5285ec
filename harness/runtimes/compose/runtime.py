"""The compose runtime: a plan's roles as containers, each alone with the proxy on a network of its own."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from docker.errors import DockerException, ImageNotFound

from harness.plan import Plan
from harness.proxy.config import PROXY, USER, ProxyConfig
from harness.roles.context import RoleFactory
from harness.runtimes.compose import layout as names
from harness.runtimes.compose.cargo import Cargo, in_containers
from harness.runtimes.compose.compose_file import FILE, container_user
from harness.runtimes.compose.container_faults import ContainerFaults
from harness.runtimes.compose.engine import DockerEngine, EngineGone, EngineRefused
from harness.runtimes.compose.folder import clear, collected, furnish
from harness.runtimes.compose.images import ensure_image
from harness.runtimes.compose.layout import Layout, lay_out, project_name, subnets_wanted
from harness.runtimes.compose.netadmin import HelperFailure
from harness.runtimes.compose.ownership import Owner, remove_dead
from harness.runtimes.compose.stack import AddressesTaken, Stack
from harness.runtimes.compose.subnets import block_for, routed_here, subnets_of
from harness.runtimes.compose.usage import usage_of
from harness.runtimes.compose.vigil import Vigil
from harness.runtimes.compose.volumes import put_store, take_store
from harness.runtimes.failure import Problem
from harness.runtimes.local.saved_stores import SavedStores
from harness.runtimes.local.world import EngineFactory, World
from harness.runtimes.process_control import BootFailure, Member
from harness.runtimes.processes import RUNNER, Address

READY_TIMEOUT_S = 90.0
SHUTDOWN_TIMEOUT_S = 180.0  # more than figures, logs and a removal that needs all of its time
END_TIMEOUT_S = 9.0         # below what a fault may take over one call
BLOCKS_TRIED_MAX = 8
LOG_LINES_MAX = 2000
FIGURES_TIMEOUT_S = 10.0


class ComposeRuntime(ContainerFaults):
    """`async with ComposeRuntime(...) as runtime:` boots on entry and leaves no container, network or volume behind."""

    ready_timeout_s = READY_TIMEOUT_S
    shutdown_timeout_s = SHUTDOWN_TIMEOUT_S
    end_timeout_s = END_TIMEOUT_S

    def __init__(
        self,
        plan: Plan,
        factory: RoleFactory,
        *,
        folder: Path,
        genesis_timestamp: int,
        engines: EngineFactory | None = None,
        deployment: Mapping[str, str] | None = None,
        accounts: Mapping[str, str] | None = None,
        keys: Mapping[str, bytes] | None = None,
        links: Sequence[tuple[str, str]] | None = None,
        keeps_history: bool = True,
        saved: SavedStores | None = None,
        rpc_ports: Mapping[str, int] | None = None,
        fault_api_port: int | None = None,
        network: str | None = None,
        narrate: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`folder` gets the Compose file and what it mounts, and `nodes/` with a log per container.

        `factory` and `engines` must be picklable by reference to modules that are in the image: those of the harness.
        `rpc_ports` names the nodes that answer JSON-RPC on a port of 127.0.0.1, which is a front door of the proxy's;
        `fault_api_port` is where Toxiproxy's API is; 0 is a port of the engine's choice. `network` is what people call
        it; it need not be unlike others.
        """
        super().__init__(
            plan, logs=folder / "nodes", genesis_timestamp=genesis_timestamp, keeps_history=keeps_history, saved=saved
        )
        role_names = [spec.name for spec in plan.roles]
        if links is None:
            links = [(src, dst) for src in role_names for dst in role_names if src != dst]
        self._folder = folder.absolute()
        self._network = network or plan.scenario
        self._narrate = narrate
        self._world = World(
            plan=plan,
            factory=factory,
            engines=engines,
            genesis_timestamp=genesis_timestamp,
            deployment=dict(deployment or {}),
            accounts=dict(accounts or {}),
            keys=dict(keys or {}),
            temporary=self._folder,
            logs=self._folder,
            proxy=ProxyConfig(
                seed=plan.seed,
                links=tuple(links),
                latencies=plan.latencies,
                fronts=tuple((role, names.FRONT_PORT + number) for number, role in enumerate(rpc_ports or {})),
                api_port=None if fault_api_port is None else names.FAULT_API_PORT,
            ),
            keeps_history=keeps_history,
            rpc_ports=dict(rpc_ports or {}),
        )
        self._publish = {inside: (rpc_ports or {})[role] for role, inside in self._world.proxy.fronts}
        if fault_api_port is not None:
            self._publish[names.FAULT_API_PORT] = fault_api_port
        self._engine: DockerEngine | None = None
        self._owner: Owner | None = None
        self._stack: Stack | None = None
        self._vigil: Vigil | None = None
        self._addresses: dict[int, Address] = {}
        self._proxy_is_up = asyncio.Event()
        self._engine_is_lost = False
        self._usage: dict[str, Mapping[str, float]] = {}
        self.fault_api: Address | None = None
        self._boot: dict[str, float] = {}
        self._began = time.monotonic()

    # -- what a runtime of processes asks for

    async def _prepare(self) -> None:
        began = time.monotonic()
        engine = self._engine = await asyncio.to_thread(DockerEngine)
        self._owner = Owner.take()
        removed = await engine.call("list what dead harnesses left", remove_dead, engine.client)
        if len(removed) or removed.failures:
            self._narrate(f"of harnesses that were killed: {removed}")
        image = await asyncio.to_thread(ensure_image, engine.client, self._narrate)
        self._note("image", began)
        await self._create(engine, image)
        if self._saved is not None:
            await asyncio.gather(*[self._put_store(self._saved, member.name) for member in self._members.values()])
        self._note("created", began)
        self._vigil = await asyncio.to_thread(self._keep_vigil, asyncio.get_running_loop())
        await self._running_stack().start(PROXY)
        for port in self._layout.published():
            self._addresses[port] = await self._running_stack().published(port)
        self._note("proxy", began)
        self._began = began

    async def _create(self, engine: DockerEngine, image: str) -> None:
        """Networks, volumes and containers, at addresses that nobody has."""
        assert self._owner is not None
        project, secret = project_name(self._network), secrets.token_hex(16)
        for attempt in range(BLOCKS_TRIED_MAX):
            known = await engine.call("list networks", engine.api.networks)
            block = block_for(
                subnets_wanted(self.plan), [*subnets_of(known), *routed_here()], first=secrets.randbelow(1 << 16)
            )
            layout = lay_out(self.plan, project=project, network=self._network, owner=self._owner.name, block=block,
                             publish=self._publish)  # fmt: skip
            self._seat_at(self._reached(layout), secret)
            cargo = Cargo(in_containers(self._world, self._layout), self._layout, secret)
            self._stack = await self._furnished(engine, cargo, image)
            try:
                await self._stack.create()
                return
            except AddressesTaken as refusal:
                if attempt == BLOCKS_TRIED_MAX - 1:
                    raise
                self._narrate(f"{refusal}; looking for another block")
            except EngineRefused as refusal:
                if not isinstance(refusal.__cause__, ImageNotFound):
                    raise
                self._narrate(f"{image} was removed meanwhile")
                await self._stack.remove()
                image = await asyncio.to_thread(ensure_image, engine.client, self._narrate)

    def _reached(self, layout: Layout) -> Layout:
        """How its places are reached: here, by the addresses that they were given."""
        return layout

    async def _furnished(self, engine: DockerEngine, cargo: Cargo, image: str) -> Stack:
        """The stack, with everything written that it is made from."""
        furnish(self._folder, self._logs, cargo, image)
        return Stack(engine, self._layout, self._folder, (self._folder / FILE).read_text())

    def _keep_vigil(self, loop: asyncio.AbstractEventLoop) -> Vigil:
        return Vigil(loop, self._layout.project, on_event=self._seen, on_engine_lost=self._lost_engine)

    async def _start_proxy(self) -> None:
        await super()._start_proxy()
        self._peers[USER] = {role: self._addresses[inside] for role, inside in self._world.proxy.fronts}
        self.fault_api = self._addresses.get(names.FAULT_API_PORT)
        self._proxy_is_up.set()
        self._note("proxy_up", self._began)

    def _switchboard(self) -> Address:
        return self._addresses[names.SWITCHBOARD_PORT]

    def _control(self) -> Address:
        return self._addresses[names.CONTROL_PORT]

    def _rpc_address_of(self, member: Member, port: int) -> Address:
        return self._peers[USER][member.name]

    async def _take_stores(self, saved: SavedStores) -> None:
        engine = self._answering_engine()
        await asyncio.gather(*[
            engine.call(f"copy the store of {name}", take_store, engine.api, self.container_of(name), saved.folder)
            for name in self._members
        ])  # fmt: skip

    async def _put_store(self, saved: SavedStores, role: str) -> None:
        engine = self._answering_engine()
        await engine.call(f"put the store of {role}", put_store, engine.api, self.container_of(role), role,
                          saved.folder, owner=container_user())  # fmt: skip

    async def _launch(self, member: Member) -> None:
        self._hush(member)
        member.is_running = True  # before it is, for it may end before we hear that it began
        try:
            await self._running_stack().start(member.name)
            self._note("started", self._began)
            await self._namespace_begins(member.name)
        except BaseException:
            member.is_running = False
            raise
        async with asyncio.timeout(self.ready_timeout_s):
            await self._proxy_is_up.wait()
        await self._call(member)

    async def _kill(self, member: Member) -> None:
        await self._namespace_ends(member.name)
        await self._docker("kill", member, lambda api, container: api.kill(container, "SIGKILL"))

    async def _freeze(self, member: Member) -> None:
        await self._docker("pause", member, lambda api, container: api.pause(container))

    async def _thaw(self, member: Member) -> None:
        if member.is_paused:
            await self._docker("unpause", member, lambda api, container: api.unpause(container))

    async def _docker(self, what: str, member: Member, do: Callable[[Any, str], Any]) -> None:
        """A call that is done already if the engine says that it is: faults are idempotent."""
        engine, container = self._answering_engine(), self.container_of(member.name)
        try:
            await engine.call(f"{what} {member.name}", do, engine.api, container)
        except EngineRefused as refusal:
            said = str(refusal)
            if not any(words in said for words in ("is not running", "is already paused", "is not paused")):
                raise

    # -- what happens to containers, as the engine tells it

    def _seen(self, service: str, what: str, attributes: Mapping[str, str]) -> None:
        if what != "die":
            return
        how = f"ended with code {attributes.get('exitCode', '?')}"
        if service == PROXY:
            self._proxy_has_ended(how)
        elif (member := self._members.get(service)) is not None and member.is_running:
            self._hush(member)
            self._has_ended(member, how)

    def _lost_engine(self) -> None:
        self._engine_is_lost = True
        for member in self._members.values():
            self._hush(member)
            member.is_running = False
            member.ended.set()
            if member.ready is not None and not member.ready.done():
                member.ready.set_exception(BootFailure("the Docker engine is gone"))
        if not self._ending:
            detail = "the Docker engine stopped answering, and the network with it; histories and logs are kept"
            self._fail(Problem("engine", "exit", detail))

    # -- the end

    async def _end(self) -> None:
        with contextlib.suppress(TimeoutError, EngineGone, EngineRefused):
            async with asyncio.timeout(FIGURES_TIMEOUT_S):
                await self._measure()
        await super()._end()

    async def _measure(self) -> None:
        """What each container has used, as the engine counts it, while they are there to be counted."""
        if self._stack is None or self._engine is None or self._engine_is_lost:
            return
        api = self._engine.api
        running = [PROXY, *[member.name for member in self._members.values() if member.is_running]]
        seen = await asyncio.gather(*[
            self._engine.call(f"measure {name}", api.stats, self.container_of(name), stream=False, one_shot=True)
            for name in running if name in self._stack.ids
        ])  # fmt: skip
        self._usage = {name: usage_of(stats) for name, stats in zip(running, seen, strict=False)}

    async def _release(self) -> None:
        await self._hang_up()
        if self._vigil is not None:
            self._vigil.close()
        try:
            await self._save_evidence()
        finally:
            try:
                if self._stack is not None:
                    await self._stack.remove()
            except (EngineGone, EngineRefused) as error:
                # Nothing more can be done now; the next run finds it by its owner, who is dead then.
                self.left_behind = str(error)
                self._narrate(f"not everything could be removed: {error}; the next run does, or: harness heal --stale")
            finally:
                if self._engine is not None:
                    self._engine.close()
                if self._owner is not None:
                    self._owner.release()

    async def _save_evidence(self) -> None:
        """What can be had of it: that some can not is no reason to leave containers behind."""
        try:
            await self._kernel.close()
            if self._stack is not None and self._engine is not None:
                await self._engine.settle()
                await self._stack.fetch_evidence(self._logs)
                await self._collect_logs(self._engine, self._stack)
        except (EngineGone, EngineRefused, HelperFailure, DockerException, OSError) as error:
            # The engine is gone, or the folder is, or its disk is full.
            self._narrate(f"logs could not be collected: {error}")

    async def _collect_logs(self, engine: DockerEngine, stack: Stack) -> None:
        """One log per container: what it wrote, or if it never came to write, what the engine heard from it."""
        for service in self._layout.services():
            if not collected(self._logs, service) and not self._engine_is_lost and service in stack.ids:
                with contextlib.suppress(EngineGone, EngineRefused):
                    heard = await engine.call(
                        f"read the log of {service}", engine.api.logs, stack.ids[service], tail=LOG_LINES_MAX
                    )
                    (self._logs / f"{service}.log").write_bytes(heard)
            if not self._keeps_history:
                clear(self._logs, service)

    def write_history(self, into: Path) -> str:
        digest = super().write_history(into)
        for service in (PROXY, *self._members):
            clear(self._logs, service)
        return digest

    def _history_of(self, name: str) -> Path:
        return super()._history_of(name) if name == RUNNER else self._logs / name / f"{name}.history.jsonl"

    def _log_of(self, name: str) -> Path:
        final = super()._log_of(name)
        return final if final.exists() else self._logs / name / f"{name}.log"

    def _note(self, milestone: str, began: float) -> None:
        """When the boot got so far, in seconds; of several that reach it, the last."""
        if self._epoch.monotonic_ns is None:
            self._boot[milestone] = round(time.monotonic() - began, 2)

    def figures(self) -> Mapping[str, Any]:
        return {"boot": dict(self._boot), "containers": dict(self._usage)}

    # -- for faults, tests and measurements

    def pids(self) -> dict[str, int]:
        """None: a container's processes are the engine's, which may be on another machine."""
        return {}

    @property
    def layout(self) -> Layout:
        return self._layout

    @property
    def engine(self) -> DockerEngine:
        return self._answering_engine()

    def container_of(self, service: str) -> str:
        """The id of a role's container, or of the proxy's."""
        return self._running_stack().ids[service]

    def _running_stack(self) -> Stack:
        assert self._stack is not None, "containers exist once the runtime has prepared"
        return self._stack

    def _answering_engine(self) -> DockerEngine:
        if self._engine is None or self._engine_is_lost:
            raise EngineGone("the Docker engine is gone")
        return self._engine
