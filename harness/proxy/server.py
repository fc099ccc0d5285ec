"""The proxy itself: a listening socket per directed link, the targets behind them, and the rules upon them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence

from harness.plan import BaseLatency
from harness.ports import LinkCounters, LinkRule
from harness.proxy.connection import Connection
from harness.proxy.link import Link
from harness.runtimes.random import KeyedRandom

HOST = "127.0.0.1"
BACKLOG = 128


class UnknownLink(LookupError):
    """A directed link that the proxy was not started with."""

    def __init__(self, src: str, dst: str) -> None:
        super().__init__(f"the proxy has no link {src} → {dst}; links are fixed when it starts")


class ProxyServer:
    """All directed links of a topology in one event loop. Only that loop may call it; `close` ends everything."""

    def __init__(self, *, seed: int) -> None:
        self._random = KeyedRandom(seed)
        self._links: dict[tuple[str, str], Link] = {}
        self._listeners: list[asyncio.Server] = []

    async def open(
        self,
        links: Iterable[tuple[str, str]],
        *,
        latencies: Iterable[BaseLatency] = (),
        hosts: Mapping[str, str] | None = None,
    ) -> None:
        """Listen for every link, each on a port the system chooses; a link resets callers until its target is known.

        `hosts` are the addresses to listen at by source: where each source is on a network of its own.
        """
        base = {(latency.src, latency.dst): latency for latency in latencies}
        for src, dst in links:
            # Replies travel the reverse link, whether or not anyone opens connections over it.
            for ends in ((src, dst), (dst, src)):
                if ends not in self._links:
                    latency = base.get(ends, BaseLatency(*ends, delay_ms=0.0, jitter_ms=0.0))
                    self._links[ends] = Link(
                        *ends, self._random, delay_ms=latency.delay_ms, jitter_ms=latency.jitter_ms
                    )
            await self._listen(self._links[src, dst], (hosts or {}).get(src, HOST))

    async def _listen(self, link: Link, host: str) -> None:
        loop = asyncio.get_running_loop()
        reverse = self._links[link.dst, link.src]
        # A socket made here saves the loop the look-up of an address, which for hundreds of links is half the work.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.bind((host, 0))
            link.port = listener.getsockname()[1]
            server = await loop.create_server(
                lambda: Connection(link, reverse, loop).source, sock=listener, backlog=BACKLOG
            )
        except BaseException:
            listener.close()
            raise
        self._listeners.append(server)

    def link(self, src: str, dst: str) -> Link:
        """Raises `UnknownLink`."""
        try:
            return self._links[src, dst]
        except KeyError:
            raise UnknownLink(src, dst) from None

    def links(self) -> Sequence[Link]:
        return [self._links[key] for key in sorted(self._links)]

    def ports(self) -> dict[str, dict[str, int]]:
        """Where each source reaches each of its peers: src → dst → port."""
        table: dict[str, dict[str, int]] = {}
        for link in self.links():
            if link.port is not None:
                table.setdefault(link.src, {})[link.dst] = link.port
        return table

    def set_target(self, role: str, address: tuple[str, int] | None) -> None:
        """Where the role listens now; None while it does not. Open connections stay with the process they reached."""
        for link in self._links.values():
            if link.dst == role:
                link.target = address

    def set_rules(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
        """Replace a link's fault rules; its connections feel it before this returns. Raises `UnknownLink`."""
        self.link(src, dst).set_rules(rules)

    def counters(self, src: str, dst: str) -> LinkCounters:
        """Raises `UnknownLink`."""
        return self.link(src, dst).policy.counters()

    def reset(self) -> None:
        """Lift every fault rule; base latency stays."""
        for link in self._links.values():
            if link.policy.rules:
                link.set_rules({})

    async def close(self) -> None:
        """Stop listening and reset every connection."""
        for server in self._listeners:
            server.close()
        for link in self._links.values():
            for connection in list(link.connections):
                connection.abort()
        self._listeners.clear()
