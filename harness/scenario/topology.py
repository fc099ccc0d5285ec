"""The roles of a run: their names, accounts, regions, and which nodes each of them talks to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from harness.evm import accounts
from harness.plan import RoleKind, RoleSpec
from harness.ports import Random
from harness.scenario import schema
from harness.scenario.bridging import relayers_of
from harness.scenario.errors import did_you_mean
from harness.scenario.regions import REGIONS
from harness.scenario.selectors import Selectors, UnknownRole

# The same role has the same address in every run; the table is that of evm/accounts.py.
_ACCOUNT_FIRST: dict[RoleKind, int] = {
    "admin": accounts.OWNER, "batcher": accounts.BATCHER, "maker": accounts.MAKER, "keeper": accounts.KEEPERS.start,
    "reporter": accounts.REPORTERS.start, "sequencer": accounts.SEQUENCERS.start, "trader": accounts.TRADERS.start,
    "searcher": accounts.SEARCHERS.start, "relayer": accounts.RELAYERS.start,
}  # fmt: skip
GATEWAYS_MAX = 4


def build_roles(
    scenario: schema.Scenario, random: Random, seats: Sequence[Seat] = ()
) -> tuple[RoleSpec, ...]:
    """Every role in a fixed order: L1, sequencers, replicas, clients, the project's actors. Raises RegionProblem.

    Without a market there is no venue, and without products nobody trades on it.
    """
    network = scenario.network
    l1_nodes = [f"l1-{index}" for index in range(network.l1.followers + 1)]
    sequencers = [f"sequencer-{index}" for index in range(network.l2.sequencers)]
    replicas = [f"replica-{index}" for index in range(network.l2.replicas)]

    def role(kind: RoleKind, index: int, name: str, l1: str | None, gateways: Sequence[str] = ()) -> RoleSpec:
        account = _ACCOUNT_FIRST[kind] + index if kind in _ACCOUNT_FIRST else None
        return RoleSpec(name, kind, index, network.region, l1, tuple(gateways), account)

    def drawn(name: str, nodes: Sequence[str]) -> list[str]:
        return sorted(nodes, key=lambda node: random.bits("gateway", name, node))

    # Nodes of one kind take turns over the L1 nodes, so that a lagging L1 view never takes the whole set with it.
    roles = [role("l1-builder", 0, "l1-0", None)]
    roles += [role("l1-follower", index, f"l1-{index}", None) for index in range(1, network.l1.followers + 1)]
    roles += [role("sequencer", i, name, l1_nodes[i % len(l1_nodes)]) for i, name in enumerate(sequencers)]
    roles += [role("replica", i, name, l1_nodes[(i + 1) % len(l1_nodes)]) for i, name in enumerate(replicas)]

    def clients(kind: RoleKind, count: int, nodes: Sequence[str]) -> list[RoleSpec]:
        made = []
        for index in range(count):
            name = f"{kind}-{index}"
            l1 = drawn(name, l1_nodes)[0]
            made.append(role(kind, index, name, l1, drawn(name, nodes)[:GATEWAYS_MAX]))
        return made

    # The batcher sends to the builder's pool and reads the chain from replicas before it troubles a voter.
    sources = [*drawn("batcher-0", replicas), *drawn("batcher-0", sequencers)]
    roles.append(role("batcher", 0, "batcher-0", "l1-0", sources))
    if scenario.market:
        roles += clients("reporter", network.oracles, sequencers)
    if scenario.products:
        roles += clients("keeper", network.keepers, sequencers)
        roles += clients("maker", 1, sequencers)
        roles += clients("trader", scenario.workload.traders, sequencers)
    if scenario.market:
        roles += clients("admin", 1, sequencers)
    if scenario.spot is not None:
        roles += clients("searcher", scenario.spot.searchers, sequencers)
    roles += clients("relayer", relayers_of(scenario), sequencers)
    for seat in seats:
        name = f"{seat.name}-{seat.index}"
        made = role("actor", seat.index, name, drawn(name, l1_nodes)[0], drawn(name, sequencers)[:GATEWAYS_MAX])
        roles.append(replace(made, account=seat.account))
    return _placed(roles, network, random)


class Seat(Protocol):
    """A role of the user's own that wants a place."""

    @property
    def name(self) -> str: ...

    @property
    def index(self) -> int: ...

    @property
    def account(self) -> int: ...


class RegionProblem(ValueError):
    """A region or the selector of one is unknown; `location` is where, below `network`."""

    def __init__(self, location: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.location = location


def _placed(roles: Sequence[RoleSpec], network: schema.Network, random: Random) -> tuple[RoleSpec, ...]:
    selectors = Selectors(roles, random, key="regions")
    region = {role.name: network.region for role in roles}
    _known_region(("region",), network.region)
    for word, name in network.regions.items():
        _known_region(("regions", word), name)
        try:
            chosen = selectors.resolve([word])
        except UnknownRole as error:
            raise RegionProblem(("regions", word), str(error)) from None
        region.update(dict.fromkeys(chosen, name))
    return tuple(replace(role, region=region[role.name]) for role in roles)


def _known_region(location: tuple[str, ...], name: str) -> None:
    if name not in REGIONS:
        hint = did_you_mean(name, REGIONS) or f"; known: {', '.join(REGIONS)}"
        raise RegionProblem(location, f'unknown region "{name}"{hint}')
