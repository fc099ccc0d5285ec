"""What a container has used, out of the engine's statistics: the same few figures from control groups 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MIB = 1 << 20


def usage_of(stats: Mapping[str, Any]) -> dict[str, float]:
    """Processor seconds, memory in MiB now and at its highest (where the kernel keeps that), and networks' bytes."""
    cpu = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0)
    memory = stats.get("memory_stats", {})
    held = memory.get("stats", {})
    # Of what the group has touched, files that could be dropped are no need of it.
    cache = held.get("total_inactive_file", held.get("inactive_file", 0))
    networks = (stats.get("networks") or {}).values()
    figures = {
        "cpu_s": round(cpu / 1e9, 3),
        "memory_mib": round(max(0, memory.get("usage", 0) - cache) / _MIB, 1),
        "received_bytes": sum(network.get("rx_bytes", 0) for network in networks),
        "sent_bytes": sum(network.get("tx_bytes", 0) for network in networks),
    }
    if "max_usage" in memory:
        figures["memory_mib_max"] = round(memory["max_usage"] / _MIB, 1)
    return figures
