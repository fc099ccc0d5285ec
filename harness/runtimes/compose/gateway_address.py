"""Finds, inside a task of a swarm, the address at which its published ports arrive: on no network that we gave it."""

from __future__ import annotations

import dataclasses
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator

from harness.proxy.config import USER
from harness.runtimes.compose.cargo import Cargo
from harness.runtimes.compose.layout import EDGE_BY_NAME

_SIOCGIFADDR = 0x8915


def at_the_edge(cargo: Cargo) -> Cargo:
    """The proxy's cargo with its edge where users and drivers come in; as it is where that has an address already."""
    layout = cargo.layout
    if layout.edge_address != EDGE_BY_NAME:
        return cargo
    ours = [ipaddress.IPv4Network(subnet) for subnet in (layout.edge_subnet, *[seat.subnet for seat in layout.seats])]
    for address in _addresses():
        if not address.is_loopback and not any(address in subnet for subnet in ours):
            break
    else:
        raise OSError("this task has no address besides those of its networks, so its ports are published nowhere")
    proxy = dataclasses.replace(
        cargo.world.proxy,
        hosts=tuple((name, str(address) if name == USER else host) for name, host in cargo.world.proxy.hosts),
    )
    return dataclasses.replace(
        cargo, world=dataclasses.replace(cargo.world, proxy=proxy),
        layout=dataclasses.replace(layout, edge_address=str(address)),
    )  # fmt: skip


def _addresses() -> Iterator[ipaddress.IPv4Address]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has none
            yield ipaddress.IPv4Address(answer[20:24])
