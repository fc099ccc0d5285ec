"""What faults may do to roles that are processes: `FaultControl` over their members, channels and the proxy."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.faults.rpc import rpc_rules_to_json
from harness.faults.rules import RpcCounters, RpcRule
from harness.ports import Json, LinkCounters, LinkRule, Refused, Unreachable
from harness.proxy.client import ProxyClient
from harness.proxy.config import USER
from harness.runtimes.failure import RuntimeFailure
from harness.runtimes.local.clock import Epoch
from harness.runtimes.local.control_channel import ChannelClosed, ControlChannel

ASK_TIMEOUT_S = 3.0
PROBE_SLACK_S = 0.5
_QUESTION = b'{"jsonrpc":"2.0","id":1,"method":"net_version","params":[]}'
_KNOCK = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_QUESTION), _QUESTION
)


class BootFailure(RuntimeFailure):
    """A role or the machinery under it did not come up."""


@dataclass(slots=True)
class Member:
    """One role, across its incarnations."""

    name: str
    is_running: bool = False
    channel: ControlChannel | None = None
    ready: asyncio.Future[int] | None = None   # its port
    rpc_port: int | None = None                # of its public JSON-RPC interface, where it has one and runs
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    is_expected_to_end: bool = False
    is_paused: bool = False
    rpc: dict[str, RpcRule] = field(default_factory=dict)
    skew: dict[str, Any] = field(default_factory=lambda: {"offset_ms": 0.0, "drift_ppm": 0.0, "since_ns": 0})


class ProcessControl:
    """A runtime adds how a process is killed, frozen and thawed, and how one is started (`_begin`)."""

    ask_timeout_s = ASK_TIMEOUT_S
    """For a role to answer its runtime."""

    end_timeout_s = ASK_TIMEOUT_S
    """Until one hears that a killed process is gone."""

    def __init__(self, names: Sequence[str], epoch: Epoch) -> None:
        self._members = {name: Member(name) for name in names}
        self._epoch = epoch
        self._proxy: ProxyClient | None = None

    # -- what a runtime adds

    async def _kill(self, member: Member) -> None:
        """SIGKILL it and all that it has started; `_has_ended` is called when it is gone."""
        raise NotImplementedError

    async def _freeze(self, member: Member) -> None:
        raise NotImplementedError

    async def _thaw(self, member: Member) -> None:
        raise NotImplementedError

    async def _begin(self, member: Member) -> None:
        """Start the role again and let it work. Raises `BootFailure`."""
        raise NotImplementedError

    # -- FaultControl

    def roles(self) -> Sequence[str]:
        return tuple(self._members)

    async def set_link(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
        await self._booted_proxy().set_rules(src, dst, rules)

    async def link_counters(self, src: str, dst: str) -> LinkCounters:
        return await self._booted_proxy().counters(src, dst)

    async def probe(self, src: str, dst: str, *, timeout: float) -> float | None:
        if src == USER:
            return await self._knock(dst, timeout)
        source = self._member(src)
        self._member(dst)
        if not source.is_running or source.is_paused or source.channel is None:
            return None
        try:
            answer = await source.channel.ask("probe", timeout=timeout + PROBE_SLACK_S, to=dst, within_s=timeout)
        except (TimeoutError, ChannelClosed):
            return None
        return None if answer is None else float(answer)

    async def kill(self, role: str) -> None:
        member = self._member(role)
        if not member.is_running:
            return
        member.is_expected_to_end = True
        await self._kill(member)
        async with asyncio.timeout(self.end_timeout_s):
            await member.ended.wait()

    async def start(self, role: str) -> None:
        """Raises `BootFailure` if the role does not come up."""
        member = self._member(role)
        if member.is_running:
            return
        await self._begin(member)

    async def pause(self, role: str) -> None:
        member = self._member(role)
        if member.is_running:
            member.is_paused = True
            await self._freeze(member)

    async def resume(self, role: str) -> None:
        member = self._member(role)
        if member.is_running:
            await self._thaw(member)
            member.is_paused = False

    async def skew(self, role: str, *, offset_ms: float, drift_ppm: float = 0.0) -> None:
        """A role that is paused takes the skew when it is resumed, one that is dead when it is started."""
        member = self._member(role)
        member.skew = {"offset_ms": offset_ms, "drift_ppm": drift_ppm, "since_ns": self._epoch.elapsed_ns()}
        if member.is_running and member.channel is not None:
            with contextlib.suppress(TimeoutError if member.is_paused else ChannelClosed, ChannelClosed):
                timeout = PROBE_SLACK_S if member.is_paused else self.ask_timeout_s
                await member.channel.ask("skew", timeout=timeout, skew=member.skew)

    async def set_rpc(self, role: str, rules: Mapping[str, RpcRule]) -> None:
        """A role that is paused takes the rules when it is resumed, one that is dead when it is started."""
        member = self._member(role)
        member.rpc = dict(rules)
        if member.is_running and member.channel is not None:
            with contextlib.suppress(TimeoutError if member.is_paused else ChannelClosed, ChannelClosed):
                timeout = PROBE_SLACK_S if member.is_paused else self.ask_timeout_s
                await member.channel.ask("rpc", timeout=timeout, rules=rpc_rules_to_json(rules))

    async def rpc_counters(self, role: str) -> Mapping[str, RpcCounters]:
        member = self._member(role)
        if not member.is_running or member.is_paused or member.channel is None:
            return {}
        try:
            counted = await member.channel.ask("rpc_counters", timeout=self.ask_timeout_s)
        except ChannelClosed:
            return {}
        return {fault: RpcCounters(**counters) for fault, counters in counted.items()}

    async def order(self, role: str, kind: str, payload: Json, *, timeout: float) -> Json:
        member = self._member(role)
        if not member.is_running or member.is_paused or member.channel is None:
            raise Unreachable(f"{role} does not run")
        try:
            reply = await member.channel.ask("order", timeout=timeout, kind=kind, payload=payload)
        except TimeoutError:
            raise Unreachable(f"{role} did not carry out {kind!r} within {timeout:g} s") from None
        except ChannelClosed as error:
            raise Unreachable(str(error)) from error
        if "refused" in reply:
            raise Refused(reply["refused"])
        if "unreachable" in reply:
            raise Unreachable(reply["unreachable"])
        return reply["answer"]

    async def is_alive(self, role: str) -> bool:
        return self._member(role).is_running

    def states(self) -> dict[str, Literal["running", "paused", "dead"]]:
        """What each role's process is doing."""
        return {
            name: "dead" if not member.is_running else "paused" if member.is_paused else "running"
            for name, member in self._members.items()
        }

    async def clock_offset(self, role: str) -> float:
        """Raises TimeoutError or `ChannelClosed` when the role can not be asked."""
        return float(await self._channel_of(role).ask("clock", timeout=self.ask_timeout_s))

    async def stats(self, role: str) -> dict[str, int]:
        """Messages the role lost by itself, without a fault. Raises as `clock_offset` does."""
        return dict(await self._channel_of(role).ask("stats", timeout=self.ask_timeout_s))

    # -- inside

    async def _knock(self, role: str, timeout: float) -> float | None:
        """Round trip in ms of a request at the role's public front door, as a wallet makes it; None if none came back.

        Raises KeyError for a role without a front door.
        """
        host, port = self._front_of(role)
        sent = time.monotonic_ns()
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(_KNOCK)
                head = await reader.readuntil(b"\r\n\r\n")
            return (time.monotonic_ns() - sent) / 1e6 if head.startswith(b"HTTP/1.1 200") else None
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return None
        finally:
            if writer is not None:
                writer.transport.abort()

    def _front_of(self, role: str) -> tuple[str, int]:
        raise NotImplementedError

    def _member(self, role: str) -> Member:
        try:
            return self._members[role]
        except KeyError:
            raise KeyError(f"no role is called {role!r}; there are {', '.join(self._members)}") from None

    def _channel_of(self, role: str) -> ControlChannel:
        channel = self._member(role).channel
        if channel is None:
            raise ChannelClosed(f"{role} is not running")
        return channel

    def _booted_proxy(self) -> ProxyClient:
        assert self._proxy is not None, "links exist once the runtime has booted"
        return self._proxy
