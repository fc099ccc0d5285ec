"""The runtime's side of the proxy's control API."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson

from harness.ports import LinkCounters, LinkRule
from harness.proxy.control import rules_to_json

TIMEOUT_S = 10.0


class ProxyFailure(Exception):
    """The proxy did not do what it was asked, or is gone."""


class ProxyClient:
    """Talks to one proxy over its control socket. Every call ends within `TIMEOUT_S` or raises `ProxyFailure`."""

    def __init__(self, control: Path | tuple[str, int]) -> None:
        """`control` is its socket's path, or its address."""
        over_tcp = isinstance(control, tuple)
        self._base = f"http://{control[0]}:{control[1]}" if isinstance(control, tuple) else "http://proxy"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector() if over_tcp else aiohttp.UnixConnector(str(control)),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def ports(self) -> dict[str, dict[str, int]]:
        """Where each source reaches each of its peers: src → dst → port on 127.0.0.1."""
        ports: dict[str, dict[str, int]] = await self._ask("GET", "/ports")
        return ports

    async def api_port(self) -> int | None:
        """Where Toxiproxy's API is served on 127.0.0.1; None where it is not."""
        port: int | None = await self._ask("GET", "/api")
        return port

    async def set_targets(self, targets: Mapping[str, tuple[str, int] | None]) -> None:
        """Where these roles listen now; None for one that does not."""
        await self._ask("PUT", "/targets", _addresses(targets))

    async def set_fronts(self, targets: Mapping[str, tuple[str, int] | None]) -> None:
        """Where the public servers of these roles listen now; None for one that does not."""
        await self._ask("PUT", "/fronts", _addresses(targets))

    async def set_rules(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
        await self._ask("PUT", f"/links/{src}/{dst}/rules", rules_to_json(rules))

    async def counters(self, src: str, dst: str) -> LinkCounters:
        return LinkCounters(**await self._ask("GET", f"/links/{src}/{dst}/counters"))

    async def reset(self) -> None:
        """Lift every fault rule."""
        await self._ask("POST", "/reset")

    async def _ask(self, method: str, path: str, value: Any = None) -> Any:
        try:
            async with self._session.request(method, f"{self._base}{path}", data=orjson.dumps(value)) as reply:
                answer = orjson.loads(await reply.read())
                status = reply.status
        except (aiohttp.ClientError, OSError) as error:
            raise ProxyFailure(f"the fault proxy did not answer {method} {path}: {type(error).__name__}: {error}; "
                               "is its process alive?") from error
        if status != 200:
            raise ProxyFailure(f"the fault proxy refused {method} {path}: {answer['error']}")
        return answer


def _addresses(targets: Mapping[str, tuple[str, int] | None]) -> dict[str, Any]:
    return {
        role: None if address is None else {"host": address[0], "port": address[1]}
        for role, address in targets.items()
    }
