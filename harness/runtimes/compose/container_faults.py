"""What only containers let be done to a role: kernel rules on its links, its network taken, its processor squeezed.

Each is a call to the engine, or a helper's command in the role's namespace; nodes have no part in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from harness.ports import LinkCounters, LinkRule
from harness.proxy.config import PROXY
from harness.runtimes.compose.driving import DrivenRuntime
from harness.runtimes.compose.engine import DockerEngine, EngineRefused
from harness.runtimes.compose.kernel_links import KernelLinks, added, split
from harness.runtimes.compose.layout import HELD_DISKS, NETWORK_LABEL, OWNER_LABEL, PROJECT_LABEL
from harness.runtimes.compose.netadmin import Helper, helper_image, run_in
from harness.runtimes.process_control import ASK_TIMEOUT_S

_ROOM = "import os, sys; s = os.statvfs(sys.argv[1]); print(s.f_bavail * s.f_frsize)"
_FREE = "import os, sys; f = sys.argv[1] + '/.filler'; os.path.exists(f) and os.remove(f)"
_FILL = """
import sys
with open(sys.argv[1] + '/.filler', 'ab', buffering=0) as filler:
    for size in (1 << 20, 1 << 12, 1):
        try:
            while True:
                filler.write(bytes(size))
        except OSError:
            pass
"""
CPU_PERIOD_US = 100_000
"""The kernel's usual: a limit of 0.1 cores is 10 ms of each 100 ms."""


class ContainerFaults(DrivenRuntime):
    """A subclass says which container a role has, and which engine runs it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._kernel = KernelLinks(self._open_helper)
        self._by_kernel: dict[tuple[str, str], Mapping[str, LinkRule]] = {}

    def container_of(self, service: str) -> str:
        raise NotImplementedError

    def _answering_engine(self) -> DockerEngine:
        raise NotImplementedError

    # -- links

    @property
    def kernel_refusal(self) -> str:
        """Why the proxy had to stand in for the kernel, the last time that it had to."""
        return self._kernel.refusal

    async def set_link(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
        """Rules that ask for the kernel go to it; those it can not do, and all others, to the proxy."""
        wanted, for_proxy = split(rules)
        for_kernel = {fault: rule for fault, rule in wanted.items() if await self._kernel.can(src, rule)}
        for_proxy |= {fault: rule for fault, rule in wanted.items() if fault not in for_kernel}
        had = self._by_kernel.get((src, dst), {})
        if for_kernel or had:
            address, port = self._peers[src][dst]
            await self._kernel.set_rules(src, dst, address=address, port=port, rules=for_kernel)
            self._by_kernel[src, dst] = for_kernel
        await super().set_link(src, dst, for_proxy)

    async def link_counters(self, src: str, dst: str) -> LinkCounters:
        return added(await super().link_counters(src, dst), await self._kernel.counters(src, dst))

    async def _namespace_ends(self, role: str) -> None:
        """Before its container is killed."""
        await self._kernel.gone(role)

    async def _namespace_begins(self, role: str) -> None:
        """After its container has been started, or put back on its network."""
        await self._kernel.restarted(role)

    def _open_helper(self, role: str) -> Helper:
        """In a thread."""
        client = self._answering_engine().client
        image = str(client.api.inspect_container(self.container_of(role))["Image"])
        labels = {
            PROJECT_LABEL: self._layout.project, NETWORK_LABEL: self._layout.network, OWNER_LABEL: self._layout.owner,
        }  # fmt: skip
        return Helper(client, image=helper_image(client, image), target=self.container_of(role), labels=labels)

    # -- StopControl

    async def stop(self, role: str, *, grace_s: float) -> None:
        member = self._member(role)
        if not member.is_running:
            return
        member.is_expected_to_end = True
        await self._namespace_ends(role)
        if member.is_paused:
            await self.resume(role)
        await self._asked(
            f"stop {role}", lambda api, container: api.stop(container, timeout=max(1, round(grace_s))), role
        )
        async with asyncio.timeout(self.end_timeout_s):
            await member.ended.wait()

    # -- DisconnectControl

    async def disconnect(self, role: str) -> None:
        network = self._network_of(role)
        await self._asked(
            f"disconnect {role}",
            lambda api, container: api.disconnect_container_from_network(container, network, force=True), role,
            unless="is not connected",
        )  # fmt: skip

    async def connect(self, role: str) -> None:
        network, address = self._network_of(role), self._layout.seat(role).address
        await self._asked(
            f"connect {role}",
            lambda api, container: api.connect_container_to_network(container, network, ipv4_address=address), role,
            unless="already exists",
        )  # fmt: skip
        await self._namespace_begins(role)

    def _network_of(self, role: str) -> str:
        return f"{self._layout.project}_{role}"

    # -- CpuControl

    async def limit_cpu(self, role: str, cores: float | None) -> None:
        quota = -1 if cores is None else max(1000, round(cores * CPU_PERIOD_US))  # the kernel's least is 1 ms
        await self._asked(
            f"limit the processor of {role}",
            lambda api, container: api.update_container(container, cpu_period=CPU_PERIOD_US, cpu_quota=quota), role,
        )  # fmt: skip

    async def cpu_limit(self, role: str) -> float | None:
        seen = await self._asked(f"inspect {role}", lambda api, container: api.inspect_container(container), role)
        quota = int(seen["HostConfig"].get("CpuQuota") or 0)
        return None if quota <= 0 else quota / int(seen["HostConfig"].get("CpuPeriod") or CPU_PERIOD_US)

    async def cpu_throttled(self, role: str) -> int:
        seen = await self._asked(
            f"measure {role}", lambda api, container: api.stats(container, stream=False, one_shot=True), role
        )
        return int(seen["cpu_stats"].get("throttling_data", {}).get("throttled_periods", 0))

    # -- DiskControl

    async def fill_disk(self, role: str) -> None:
        member = self._member(role)
        if not self._layout.seat(role).has_small_disk:
            raise EngineRefused(f"{role} keeps its rows on this machine's own disk, which nobody should fill; only "
                                "what a scenario names in disk-full gets a small one of its own")
        member.is_expected_to_end = True
        if member.is_running and member.channel is not None:
            await member.channel.ask("excuse", timeout=ASK_TIMEOUT_S, value=True)
        await self._at_held_disk(role, _FILL)

    async def free_disk(self, role: str) -> None:
        await self._at_held_disk(role, _FREE)
        member = self._member(role)
        if member.is_running and member.channel is not None:  # it wrote nothing meanwhile, or it would have ended
            await member.channel.ask("excuse", timeout=ASK_TIMEOUT_S, value=False)
            member.is_expected_to_end = False

    async def disk_room(self, role: str) -> int:
        return int(await self._at_held_disk(role, _ROOM))

    async def _at_held_disk(self, role: str, program: str) -> str:
        """Run a few lines of Python in the proxy's container, which has the role's disk mounted too."""
        if not self._layout.seat(role).has_small_disk:
            return str(2**62)
        engine = self._answering_engine()
        command = ["python", "-I", "-S", "-c", program, f"{HELD_DISKS}/{role}"]
        return await engine.call(
            f"reach the disk of {role}", run_in, engine.client, self.container_of(PROXY), command
        )

    # -- inside

    async def _asked(self, what: str, do: Callable[[Any, str], Any], role: str, *, unless: str | None = None) -> Any:
        """A call to the engine about a role's container; it is done already where the refusal says `unless`."""
        self._member(role)
        engine = self._answering_engine()
        try:
            return await engine.call(what, do, engine.api, self.container_of(role))
        except EngineRefused as refusal:
            if unless is None or unless not in str(refusal):
                raise
        return None
