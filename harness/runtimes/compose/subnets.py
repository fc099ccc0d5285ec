"""Chooses a range of addresses that nothing on this machine uses, small subnets of which one network then takes.

The engine's own pools hold some thirty networks; one network of ours needs as many by itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.runtimes.compose.layout import SUBNET_BITS
from harness.runtimes.failure import RuntimeFailure

RANGE = ipaddress.IPv4Network("10.128.0.0/9")
"""Where we look: half of 10/8, away from where routers, VPNs and clusters mostly begin."""


class NoSubnet(RuntimeFailure):
    """Every candidate is in use."""


def block_for(subnets: int, taken: Iterable[ipaddress.IPv4Network], *, first: int) -> ipaddress.IPv4Network:
    """The first free block with room for so many subnets, looking from the `first`-th candidate on.

    Two harnesses that begin at different candidates seldom meet; when they do, the engine refuses the second one's
    networks, and it asks again.

    Raises `NoSubnet`.
    """
    prefix = SUBNET_BITS - (subnets - 1).bit_length()
    count = 2 ** (prefix - RANGE.prefixlen)
    used = [network for network in taken if network.overlaps(RANGE)]
    for step in range(count):
        base = int(RANGE.network_address) + ((first + step) % count) * 2 ** (32 - prefix)
        block = ipaddress.IPv4Network((base, prefix))
        if not any(block.overlaps(network) for network in used):
            return block
    raise NoSubnet(f"no {subnets} subnets are free in {RANGE}; remove networks that nobody needs: docker network prune")


def subnets_of(networks: Iterable[Mapping[str, Any]]) -> Iterator[ipaddress.IPv4Network]:
    """Of the engine's networks, as it lists them."""
    for network in networks:
        for config in (network.get("IPAM") or {}).get("Config") or ():
            subnet = ipaddress.ip_network(config.get("Subnet") or "::/128", strict=False)
            if isinstance(subnet, ipaddress.IPv4Network):
                yield subnet


def routed_here() -> Iterator[ipaddress.IPv4Network]:
    """What this machine has routes to besides the default; nothing where the system has no such file."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[index]), "little") for index in (1, 7))
        if mask:
            yield ipaddress.IPv4Network((destination, mask.bit_count()))
