"""The links of a network, and what users put beside them, as Toxiproxy sees them: named proxies with toxics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.proxy.connection import Connection
from harness.proxy.door import HOST, Door
from harness.proxy.link import Link
from harness.proxy.server import ProxyServer
from harness.proxy.toxics import TOXICS_PER_PROXY_MAX, Toxic, ToxicError, changed_toxic, new_toxic
from harness.runtimes.random import KeyedRandom

PROXIES_MAX = 1000
LOOPBACK = ("", HOST, "localhost")


@dataclass(slots=True)
class NamedProxy:
    """One proxy. Those of the network (`own` is False) are listed and take toxics; where they lead is its business."""

    name: str
    link: Link
    door: Door
    own: bool
    upstream: str = ""
    closed_listen: str = field(default="", repr=False)
    """Where a proxy that was never enabled would listen."""

    @property
    def listen(self) -> str:
        return f"{self.door.host}:{self.door.port}" if self.door.port else self.closed_listen

    @property
    def enabled(self) -> bool:
        return self.door.is_open

    def to_json(self) -> dict[str, Any]:
        upstream = self.upstream
        if not self.own:
            upstream = "" if self.link.target is None else "{}:{}".format(*self.link.target)
        return {
            "name": self.name, "listen": self.listen, "upstream": upstream, "enabled": self.enabled,
            "toxics": self.toxics_json(),
        }  # fmt: skip

    def toxics_json(self) -> list[dict[str, Any]]:
        """Upstream toxics first, as Toxiproxy lists them."""
        return [toxic.to_json() for toxic in sorted(self.link.toxics, key=lambda toxic: toxic.stream != "upstream")]

    def toxic(self, name: str) -> Toxic:
        """Raises `ToxicError`."""
        for toxic in self.link.toxics:
            if toxic.name == name:
                return toxic
        raise ToxicError("toxic not found", 404)

    def add_toxic(self, body: Any) -> Toxic:
        toxic = new_toxic(body)
        if any(toxic.name == other.name for other in self.link.toxics):
            raise ToxicError("toxic already exists", 409)
        if len(self.link.toxics) >= TOXICS_PER_PROXY_MAX:
            raise ToxicError(f"proxy {self.name} has {TOXICS_PER_PROXY_MAX} toxics already; remove some first", 400)
        self.link.set_toxics([*self.link.toxics, toxic])
        return toxic

    def change_toxic(self, name: str, body: Any) -> Toxic:
        before = self.toxic(name)
        changed = changed_toxic(before, body)
        self.link.set_toxics([changed if toxic is before else toxic for toxic in self.link.toxics])
        return changed

    def remove_toxic(self, name: str) -> None:
        gone = self.toxic(name)
        self.link.set_toxics([toxic for toxic in self.link.toxics if toxic is not gone])

    async def enable(self) -> None:
        """Listen. Raises `ToxicError` where the port is taken."""
        await _listening(self.door, self.listen)

    def disable(self) -> None:
        """Stop listening and drop every connection; the network's own ports stay reserved for it."""
        if self.own:
            self.door.close()
        else:
            self.door.shut()
        for connection in self.link.opened():
            connection.reset()


class Proxies:
    """All proxies of one proxy server."""

    def __init__(self, server: ProxyServer, *, seed: int) -> None:
        self._server = server
        self._random = KeyedRandom(seed)
        self._own: dict[str, NamedProxy] = {}
        self._network: dict[str, NamedProxy] = {}

    def all(self) -> Sequence[NamedProxy]:
        for link in self._server.links():
            if link.port is not None and link.name not in self._network:
                self._network[link.name] = NamedProxy(link.name, link, self._server.door(link), own=False)
        return [*self._network.values(), *self._own.values()]

    def get(self, name: str) -> NamedProxy:
        """Raises `ToxicError`."""
        found = next((proxy for proxy in self.all() if proxy.name == name), None)
        if found is None:
            raise ToxicError("proxy not found", 404)
        return found

    async def create(self, name: str, listen: str, upstream: str, *, enabled: bool) -> NamedProxy:
        """A proxy of the user's own. Raises `ToxicError`; nothing is left of one that could not be made."""
        if any(proxy.name == name for proxy in self.all()):
            raise ToxicError("proxy already exists", 409)
        if len(self._own) >= PROXIES_MAX:
            raise ToxicError(f"there are {PROXIES_MAX} proxies already; delete some first", 400)
        proxy = self._made(name, listen, upstream)
        if enabled:
            await _listening(proxy.door, listen)
        self._own[name] = proxy
        return proxy

    async def create_or_replace(self, name: str, listen: str, upstream: str, *, enabled: bool) -> NamedProxy:
        """The proxy of that name, left alone where it is the same already. Raises `ToxicError`."""
        existing = next((proxy for proxy in self.all() if proxy.name == name), None)
        if existing is not None:
            if _same_listen(existing, listen) and existing.to_json()["upstream"] == upstream:
                return existing
            self.remove(name)
        return await self.create(name, listen, upstream, enabled=enabled)

    async def change(self, proxy: NamedProxy, listen: str, upstream: str, *, enabled: bool) -> None:
        """Move a proxy, which drops its connections, and open or shut it. Raises `ToxicError`."""
        if not (_same_listen(proxy, listen) and proxy.to_json()["upstream"] == upstream):
            if not proxy.own:
                raise _of_network(proxy, "cannot be moved")
            target = _address(upstream)
            _address(listen, is_listen=True)
            proxy.disable()
            proxy.upstream, proxy.closed_listen, proxy.door.port = upstream, listen, 0
            proxy.link.target = target
        if enabled and not proxy.enabled:
            await proxy.enable()
        elif not enabled and proxy.enabled:
            proxy.disable()

    def remove(self, name: str) -> None:
        """Raises `ToxicError`, also for a link of the network."""
        proxy = self.get(name)
        if not proxy.own:
            raise _of_network(proxy, "cannot be deleted")
        proxy.disable()
        del self._own[name]

    async def reset(self) -> None:
        """Open every proxy and remove every toxic. A scenario's faults are no toxics. Raises `ToxicError`."""
        for proxy in self.all():
            proxy.link.set_toxics(())
            if not proxy.enabled:
                await proxy.enable()

    def close(self) -> None:
        for proxy in self._own.values():
            proxy.disable()
        self._own.clear()

    def _made(self, name: str, listen: str, upstream: str) -> NamedProxy:
        _address(listen, is_listen=True)
        link, reverse = Link(name, "upstream", self._random), Link("upstream", name, self._random)
        link.target = _address(upstream)
        loop = self._server.loop
        return NamedProxy(
            name, link, Door(lambda: Connection(link, reverse, loop).source), own=True, upstream=upstream,
            closed_listen=listen,
        )  # fmt: skip


async def _listening(door: Door, listen: str) -> None:
    port = _address(listen, is_listen=True)[1]
    try:
        await door.open(port)
    except OSError as error:
        raise ToxicError(f"listen tcp {HOST}:{port}: {error.strerror or error}", 500) from error


def _same_listen(proxy: NamedProxy, listen: str) -> bool:
    return listen == proxy.listen or _address(listen, is_listen=True) == _address(proxy.listen, is_listen=True)


def _of_network(proxy: NamedProxy, what: str) -> ToxicError:
    return ToxicError(
        f"proxy {proxy.name} is a link of the running network and {what}; disable it, give it toxics, "
        "or create a proxy of your own", 403,
    )  # fmt: skip


def _address(text: str, *, is_listen: bool = False) -> tuple[str, int]:
    """(host, port) of `host:port`. Raises `ToxicError`; a proxy listens on this machine's loopback and nowhere else."""
    if is_listen and not text:
        return HOST, 0
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ToxicError(f"address {text[:80]}: missing port in address", 500)
    if not (port.isascii() and port.isdigit() and int(port) <= 65535) or (not is_listen and int(port) == 0):
        raise ToxicError(f"address {text[:80]}: invalid port {port[:20]!r}", 500)
    host = host.removeprefix("[").removesuffix("]")
    if not is_listen:
        return host or HOST, int(port)
    if host not in LOOPBACK:
        raise ToxicError(f"listen address {text[:80]} is not on {HOST}; proxies are for this machine alone", 400)
    return HOST, int(port)
