"""What a proxy process is born with; read by those who start one, who need nothing of how it works."""

from __future__ import annotations

from dataclasses import dataclass

from harness.plan import BaseLatency

PROXY = "proxy"
"""What the process is called among those of the roles."""

USER = "user"
"""Who opens connections to the front doors: whoever is outside the network."""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """What a proxy process is born with."""

    seed: int
    links: tuple[tuple[str, str], ...]
    latencies: tuple[BaseLatency, ...] = ()
    """Part of the world, and never counted as a fault."""
    hosts: tuple[tuple[str, str], ...] = ()
    """(source, address to listen at for its links), where that is not 127.0.0.1; of `user`, for fronts and API."""
    fronts: tuple[tuple[str, int], ...] = ()
    """(role, port): public front doors, on 127.0.0.1; port 0 lets the system choose."""
    api_port: int | None = None
    """Where Toxiproxy's API is served, on 127.0.0.1; 0 lets the system choose, None serves none."""
