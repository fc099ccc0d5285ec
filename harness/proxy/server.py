"""The proxy itself: a listening socket per directed link, the targets behind them, and the rules upon them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from harness.plan import BaseLatency
from harness.ports import LinkCounters, LinkRule
from harness.proxy.config import USER
from harness.proxy.connection import Connection
from harness.proxy.door import HOST, Door
from harness.proxy.link import Link
from harness.runtimes.random import KeyedRandom


class UnknownLink(LookupError):
    """A directed link that the proxy was not started with."""

    def __init__(self, src: str, dst: str) -> None:
        super().__init__(f"the proxy has no link {src} → {dst}; links are fixed when it starts")


class ProxyServer:
    """All directed links of a topology in one event loop. Only that loop may call it; `close` ends everything."""

    def __init__(self, *, seed: int) -> None:
        self._random = KeyedRandom(seed)
        self._links: dict[tuple[str, str], Link] = {}
        self._doors: dict[Link, Door] = {}

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

    async def open_front(self, role: str, port: int, *, host: str = HOST) -> int:
        """The front door of a role: the link from users outside to its public server, on a port of choice (0: any).

        Raises OSError when the port is taken.
        """
        for ends in ((USER, role), (role, USER)):  # JSON-RPC, over HTTP or a WebSocket, begins with a request
            self._links.setdefault(ends, Link(*ends, self._random, caller_speaks_first=True))
        return await self._listen(self._links[USER, role], host, port)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def _listen(self, link: Link, host: str, port: int = 0) -> int:
        loop = self.loop
        reverse = self._links[link.dst, link.src]
        door = self._doors[link] = Door(lambda: Connection(link, reverse, loop).source, host=host)
        link.port = await door.open(port)
        return link.port

    def door(self, link: Link) -> Door:
        """Where connections over a link with a port are accepted."""
        return self._doors[link]

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
            if link.dst == role and link.src != USER:
                link.target = address

    def set_front(self, role: str, address: tuple[str, int] | None) -> None:
        """Where the role's public server listens now. Raises `UnknownLink` for a role without a front door."""
        self.link(USER, role).target = address

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
        for door in self._doors.values():
            door.close()
        for link in self._links.values():
            for connection in list(link.connections):
                connection.abort()
        self._doors.clear()
