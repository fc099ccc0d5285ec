"""Which public port each node gets: the ones everybody knows, unless they are taken or others are wanted."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.network.values import NetworkMisuse
from harness.plan import CHAIN_OF_KIND, Plan

HOST = "127.0.0.1"
L1 = 8545
L2 = 9545
FAULT_API = 8474
PORT_MAX = 65_535
CHOSEN_FROM = 20_000
SPAN_MIN = 1_000
OPTION = {"l1": "--l1-port", "l2": "--l2-port", "fault-api": "--fault-api-port"}


@dataclass(frozen=True, slots=True)
class Ports:
    """The first port of each chain's nodes, the others follow; 0 lets the system choose each."""

    l1: int = L1
    l2: int = L2
    fault_api: int = FAULT_API


ANY = Ports(0, 0, 0)


def rpc_ports(plan: Plan, ports: Ports) -> dict[str, int]:
    """Role → port of its JSON-RPC, 0 to choose: L1 nodes, sequencers, replicas, in this order.

    Raises `NetworkMisuse`.
    """
    chosen: dict[str, int] = {}
    for chain, first in (("l1", ports.l1), ("l2", ports.l2)):
        nodes = [role.name for role in plan.roles if CHAIN_OF_KIND.get(role.kind) == chain]
        if not 0 <= first <= PORT_MAX - len(nodes):
            raise NetworkMisuse(f"{OPTION[chain]} {first}: choose 1 to {PORT_MAX - len(nodes)}, or 0 for any free port")
        chosen |= {name: first + number if first else 0 for number, name in enumerate(nodes)}
    return chosen


def settled(rpc: Mapping[str, int], fault_api: int) -> tuple[dict[str, int], int]:
    """The same with a free port for every 0, where no other process will be given it by chance.

    The system hands out ports of its ephemeral range to every connection made; a network that goes on from a saved
    state must find its own again. Where all ports are ephemeral, 0 stays.
    """
    first, last = CHOSEN_FROM, _ephemeral_start() - 1
    span = last - first
    if span < SPAN_MIN:
        return dict(rpc), fault_api
    given = {port for port in (*rpc.values(), fault_api) if port}
    at = secrets.randbelow(span)

    def choose() -> int:
        nonlocal at
        for _ in range(span):
            at = (at + 1) % span
            port = first + at
            if port not in given and _is_free(port):
                given.add(port)
                return port
        return 0

    return {role: port or choose() for role, port in rpc.items()}, fault_api or choose()


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def refuse_taken(rpc: Mapping[str, int], fault_api: int) -> None:
    """Raises `NetworkMisuse` naming the first port that is taken, who wants it, and what to do."""
    if not 0 <= fault_api <= PORT_MAX:
        raise NetworkMisuse(f"{OPTION['fault-api']} {fault_api}: choose 1 to {PORT_MAX}, or 0 for any free port")
    seen: dict[int, str] = {}
    wanted = [(port, f"the JSON-RPC of {role}", "l1" if role.startswith("l1-") else "l2") for role, port in rpc.items()]
    for port, what, option in [*wanted, (fault_api, "the fault proxy's control API", "fault-api")]:
        if port == 0:
            continue
        if port in seen:
            raise NetworkMisuse(
                f"port {port} is wanted for {seen[port]} and for {what}; choose others with {OPTION[option]}"
            )
        seen[port] = what
        if not _is_free(port):
            raise NetworkMisuse(
                f"port {port} of {HOST} is taken, and {what} is to be there; end what listens on it, "
                f"or choose another with {OPTION[option]} (0 for any free one; --any-port for all)"
            )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)   # as the server will: TIME_WAIT does not matter
        try:
            trial.bind((HOST, port))
            trial.listen(1)
        except OSError:
            return False
        return True
