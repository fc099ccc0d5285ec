"""What a runtime hands to a role when it starts it, and what it expects back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from harness.plan import Plan, RoleSpec
from harness.ports import Clock, Engine, Network, PublicRpc, Random, Recorder, Store


@dataclass(frozen=True, slots=True)
class RoleContext:
    """Everything one incarnation of a role may touch. A restart gets a new context over the same durable store."""

    name: str
    spec: RoleSpec
    plan: Plan
    clock: Clock
    network: Network
    engine: Engine | None           # None for roles that are not nodes
    store: Store
    random: Random
    record: Recorder
    deployment: Mapping[str, str]   # contract name → lower-case address
    accounts: Mapping[str, str]     # role name → lower-case address, for roles that sign
    genesis_timestamp: int          # seconds since the Unix epoch; monotonic 0 of an unskewed clock
    public: PublicRpc | None = None  # where a node's clients reach its JSON-RPC interface; None where nobody may
    key: bytes | None = field(default=None, repr=False)  # the role's own signing key; None where it signs nothing


class Role(Protocol):
    """One role of the testnet, between its start and its end."""

    async def run(self) -> None:
        """Do the role's work until cancelled. Returning early means the work is done; raising fails the run."""
        ...


RoleFactory = Callable[[RoleContext], Role]
