"""The runtime's side of the proxy's control API.

It asks a few times at a boot and then when somebody puts a fault on, so each request has a connection of its own. An
HTTP library would be the third of what a network's owner imports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import orjson

from harness.ports import LinkCounters, LinkRule
from harness.proxy.control_values import rules_to_json

TIMEOUT_S = 10.0
_HEADERS_MAX = 1 << 16


class ProxyFailure(Exception):
    """The proxy did not do what it was asked, or is gone."""


class ProxyClient:
    """Talks to one proxy over its control socket. Every call ends within `TIMEOUT_S` or raises `ProxyFailure`."""

    def __init__(self, control: Path | tuple[str, int]) -> None:
        """`control` is its socket's path, or its address."""
        self._control = control

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing is held between requests."""

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
        body = orjson.dumps(value)
        head = f"{method} {path} HTTP/1.1\r\nHost: proxy\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status, answered = await self._exchange(head.encode() + body)
            answer = orjson.loads(answered)
        except TimeoutError as error:
            raise ProxyFailure(f"the fault proxy did not answer {method} {path} within {TIMEOUT_S:g} s; "
                               "is its process paused?") from error
        except (OSError, EOFError, ValueError) as error:
            raise ProxyFailure(f"the fault proxy did not answer {method} {path}: {type(error).__name__}: {error}; "
                               "is its process alive?") from error
        if status != 200:
            raise ProxyFailure(f"the fault proxy refused {method} {path}: {answer['error']}")
        return answer

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of one answer. Raises OSError, EOFError, ValueError."""
        if isinstance(self._control, tuple):
            reader, writer = await asyncio.open_connection(*self._control, limit=_HEADERS_MAX)
        else:
            reader, writer = await asyncio.open_unix_connection(str(self._control), limit=_HEADERS_MAX)
        try:
            writer.write(request)
            await writer.drain()
            status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            named = dict(header.lower().split(":", 1) for header in headers if header)
            return int(status.split()[1]), await reader.readexactly(int(named["content-length"]))
        except (asyncio.LimitOverrunError, LookupError) as error:
            raise ValueError(f"that was no HTTP answer: {error}") from error
        finally:
            writer.close()


def _addresses(targets: Mapping[str, tuple[str, int] | None]) -> dict[str, Any]:
    return {
        role: None if address is None else {"host": address[0], "port": address[1]}
        for role, address in targets.items()
    }
