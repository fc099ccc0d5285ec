"""Drives roles that are reached through the switchboard, whoever started them and wherever that runs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from harness.plan import Plan
from harness.proxy.client import ProxyClient, ProxyFailure
from harness.proxy.config import USER
from harness.runtimes.compose.layout import Layout
from harness.runtimes.compose.switchboard import hello
from harness.runtimes.local.control_channel import ControlChannel
from harness.runtimes.process_control import BootFailure, Member
from harness.runtimes.processes import Address, ProcessRuntime

CALL_TIMEOUT_S = 5.0
ASK_TIMEOUT_S = 8.0         # a whole network may begin at once on two cores; below what a fault may take over one call
RETRY_S = 0.1
RECALLS_MAX = 10_000
"""How often a conversation that broke is taken up again, over a whole run."""


class DrivenRuntime(ProcessRuntime):
    """A subclass says where the switchboard and the proxy's control are, and how roles start and end."""

    ask_timeout_s = ASK_TIMEOUT_S

    def __init__(self, plan: Plan, **more: Any) -> None:
        """As `ProcessRuntime`."""
        super().__init__(plan, **more)
        self._recalls: dict[str, asyncio.Task[None]] = {}
        self._recalled = 0

    def _seat_at(self, layout: Layout, secret: str) -> None:
        self._layout = layout
        self._secret = secret

    def _switchboard(self) -> Address:
        raise NotImplementedError

    def _control(self) -> Address:
        raise NotImplementedError

    async def _start_proxy(self) -> None:
        """Wait for the proxy's answer, and learn where each role reaches each of its peers."""
        self._proxy = ProxyClient(self._control())
        try:
            async with asyncio.timeout(self.ready_timeout_s):
                while True:
                    try:
                        ports = await self._proxy.ports()
                        break
                    except ProxyFailure:
                        await asyncio.sleep(RETRY_S)  # its container is starting; the port is open before it is
        except TimeoutError as error:
            raise BootFailure(
                f"the fault proxy was not ready within {self.ready_timeout_s:g} s{self._log_tail('proxy')}"
            ) from error
        self._peers = {
            src: {dst: (self._layout.seat(src).proxy_address, port) for dst, port in peers.items()}
            for src, peers in ports.items()
            if src != USER
        }

    def _address_of(self, member: Member, port: int) -> Address:
        return self._layout.seat(member.name).address, port

    async def _connect(self, *members: Member) -> None:
        await super()._connect(*members)
        fronts = {member.name: self._address_of(member, member.rpc_port) for member in members if member.rpc_port}
        if fronts:
            await self._booted_proxy().set_fronts(fronts)

    async def _call(self, member: Member) -> None:
        """Open the member's channel: ask the switchboard for the role, which may be yet to call it."""
        assert member.channel is not None
        channel = member.channel
        channel.on_lost = lambda: self._lost(member, channel)
        await channel.open(await self._dial(member.name))

    async def _dial(self, role: str) -> socket.socket:
        """Raises OSError or TimeoutError: the switchboard is not there."""
        loop = asyncio.get_running_loop()
        ours = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            ours.setblocking(False)
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await loop.sock_connect(ours, self._switchboard())
                await loop.sock_sendall(ours, hello(self._secret, role))
        except BaseException:
            ours.close()
            raise
        return ours

    def _lost(self, member: Member, channel: ControlChannel) -> None:
        """It broke off: the role has ended, and we hear of it; or its network is cut, and it will call again."""
        if not self._ending and member.is_running and member.channel is channel:
            self._hush(member)
            self._recalls[member.name] = asyncio.get_running_loop().create_task(self._recall(member, channel))

    async def _recall(self, member: Member, channel: ControlChannel) -> None:
        while member.is_running and member.channel is channel and not self._ending and self._recalled < RECALLS_MAX:
            self._recalled += 1
            await asyncio.sleep(RETRY_S)
            with contextlib.suppress(OSError):  # TimeoutError is one
                await channel.open(await self._dial(member.name))
                return

    def _hush(self, member: Member) -> None:
        """No more calls to an incarnation that is over."""
        recall = self._recalls.pop(member.name, None)
        if recall is not None:
            recall.cancel()

    async def _hang_up(self) -> None:
        for recall in self._recalls.values():
            recall.cancel()
        self._recalls.clear()

