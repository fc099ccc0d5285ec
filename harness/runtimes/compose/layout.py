"""Where everything of one network is: services, addresses, ports and names; decided before anything is created.

Every role has a container and an internal network of its own, on which there is one other: the proxy. So nothing can
be reached but through it, and no two roles share a fate that the scenario did not give them. The proxy has one more
network, the edge, whose ports are published on this machine's 127.0.0.1.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.plan import CHAIN_OF_KIND, Plan
from harness.proxy.config import PROXY

EDGE = "edge"
NETWORK_PORT = 7001       # of a role: messages of its peers, which the proxy brings
SWITCHBOARD_PORT = 7100   # of the proxy: on each role's network for the role to call, on the edge for the harness
CONTROL_PORT = 7101       # of the proxy, on the edge: the fault proxy's control API
RPC_PORT = 8545           # of a node: JSON-RPC, which the proxy's front door brings
FAULT_API_PORT = 8474     # of the proxy, on the edge: Toxiproxy's API
FRONT_PORT = 20_000       # of the proxy, on the edge: the first of the front doors, one for each node
SUBNET_BITS = 29          # the network, the engine's gateway, the proxy, the role; two to spare
_GATEWAY, _PROXY, _ROLE = 1, 2, 3
NAME_MAX = 40             # of a project, so that container names stay host names

WORLD = "/run/harness"             # what every role is born with; read-only
EVIDENCE = "/var/log/harness"      # log and history: they survive whatever happens to the container
STORES = "/var/lib/harness"        # durable rows; they survive the container's crashes
HELD_DISKS = "/mnt"                # where the proxy holds disks that a fault will fill
SMALL_DISK_BYTES = 48 * 2**20

BEGIN = "HARNESS_BEGIN"            # who tells the roles to begin:
ALONE, HARNESS = "alone", "harness"

SWARM_IS_PUBLIC = (
    "Docker Swarm publishes ports on every address of a machine: whoever reaches this one reaches the network's nodes "
    "and its fault controls, so run it where nobody else does, or behind a firewall"
)

EDGE_BY_NAME = "proxy-at-edge"     # in a swarm, where nobody has a fixed address; the proxy finds out what it is

LABEL = "harness"
PROJECT_LABEL = f"{LABEL}.project"
NETWORK_LABEL = f"{LABEL}.network"
OWNER_LABEL = f"{LABEL}.owner"
KIND_LABEL = f"{LABEL}.kind"
ROLE_LABEL = f"{LABEL}.role"
INDEX_LABEL = f"{LABEL}.index"
REGION_LABEL = f"{LABEL}.region"
PORTS_LABEL = f"{LABEL}.ports"


@dataclass(frozen=True, slots=True)
class Seat:
    """A role's place: its own network, and what the two on it are called by."""

    role: str
    kind: str
    index: int
    region: str
    has_node: bool
    has_small_disk: bool       # a fault will fill it: it is a file system of its own, which the proxy keeps mounted
    subnet: str
    address: str
    proxy_address: str


@dataclass(frozen=True, slots=True)
class Layout:
    """One network's containers. `project` is unlike any other's; `network` is what people call it."""

    project: str
    network: str
    owner: str
    """Names the lock that the owning harness holds; whoever finds it free may remove what carries it."""
    seats: tuple[Seat, ...]
    edge_subnet: str
    edge_address: str
    block: str
    """The range that all subnets are cut from."""
    publish: Mapping[int, int] = field(default_factory=dict)
    """More ports of the proxy's edge: port there → port on 127.0.0.1, 0 for any."""

    def seat(self, role: str) -> Seat:
        """KeyError if there is none."""
        for seat in self.seats:
            if seat.role == role:
                return seat
        raise KeyError(role)

    def container(self, service: str) -> str:
        """Its name, which is also the one that Compose gives it."""
        return f"{self.project}-{service}-1"

    def services(self) -> Sequence[str]:
        return (PROXY, *[seat.role for seat in self.seats])

    def published(self) -> Mapping[int, int]:
        return {SWITCHBOARD_PORT: 0, CONTROL_PORT: 0, **self.publish}


def project_name(network: str) -> str:
    """A Compose project name for a network that nobody else has."""
    readable = re.sub(r"[^a-z0-9-]+", "-", network.lower()).strip("-")[: NAME_MAX - 16]
    return f"harness-{readable or 'network'}-{secrets.token_hex(3)}"


def disks_to_fill(plan: Plan) -> frozenset[str]:
    """The roles whose disks a fault of the plan may fill; whoever may lead is among them where it is the leader's."""
    targets = {target for fault in plan.faults if fault.kind == "disk-full" for target in fault.targets}
    if "leader" in targets:
        targets |= {spec.name for spec in plan.of_kind("sequencer")}
    return frozenset(targets)


def role_address(subnet: ipaddress.IPv4Network) -> str:
    """A role's own address on its network."""
    return str(subnet[_ROLE])


def subnets_wanted(plan: Plan) -> int:
    return len(plan.roles) + 1


def lay_out(
    plan: Plan, *, project: str, network: str, owner: str, block: ipaddress.IPv4Network,
    publish: Mapping[int, int] | None = None,
) -> Layout:  # fmt: skip
    """Give every role of a plan its seat in a block of addresses that has room for it."""
    small = disks_to_fill(plan)
    subnets = block.subnets(new_prefix=SUBNET_BITS)
    edge = next(subnets)
    seats = [
        Seat(
            role=spec.name,
            kind=spec.kind,
            index=spec.index,
            region=spec.region,
            has_node=spec.kind in CHAIN_OF_KIND,
            has_small_disk=spec.name in small,
            subnet=str(subnet),
            address=role_address(subnet),
            proxy_address=str(subnet[_PROXY]),
        )
        for spec, subnet in zip(plan.roles, subnets, strict=False)
    ]
    assert len(seats) == len(plan.roles), f"{block} has no room for {len(plan.roles)} roles"
    return Layout(
        project=project,
        network=network,
        owner=owner,
        seats=tuple(seats),
        edge_subnet=str(edge),
        edge_address=str(edge[_PROXY]),
        block=str(block),
        publish=dict(publish or {}),
    )
