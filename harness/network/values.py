"""What a running network says of itself: plain values that travel over the control socket as JSON, both ways."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from harness.ports import Json

YOU = "you"
"""The owner of an account that no role touches."""

RoleState = Literal["running", "paused", "dead"]
NetworkState = Literal["booting", "ready", "failed", "ending"]
FaultPhase = Literal["on", "healing", "healed", "not-healed"]


class NetworkFailure(Exception):
    """The network could not do what it was asked: a role did not start, a snapshot was not written. Exit code 4."""


class NetworkMisuse(Exception):
    """What was asked of a network makes no sense: an unknown role, word, fault or snapshot. Exit code 2."""


@dataclass(frozen=True, slots=True)
class _Value:
    def to_json(self) -> dict[str, Json]:
        """A plain mapping of the fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`; lists become the tuples they were."""
        return cls(**{name: tuple(item) if isinstance(item, list) else item for name, item in value.items()})


@dataclass(frozen=True, slots=True)
class Endpoint(_Value):
    """Where one node answers JSON-RPC: HTTP and WebSocket on one port of 127.0.0.1."""

    role: str
    kind: str          # as in `RoleSpec.kind`
    chain: str         # l1 | l2
    chain_id: int
    http: str          # http://127.0.0.1:9545
    ws: str            # ws://127.0.0.1:9545


@dataclass(frozen=True, slots=True)
class NamedAccount(_Value):
    """One of the "test … junk" accounts, and who uses it."""

    index: int
    address: str       # lower-case 0x-hex
    key: str           # 0x-hex, 32 bytes; publicly known
    owner: str         # a role's name, or `you` for an account no role touches


@dataclass(frozen=True, slots=True)
class Contract(_Value):
    name: str          # Vault
    key: str           # vault: its name in `Deployment`, and in deployments.json
    address: str
    chain: str         # l1 | l2
    chain_id: int


@dataclass(frozen=True, slots=True)
class RoleStatus(_Value):
    name: str
    kind: str
    state: RoleState
    pid: int | None


@dataclass(frozen=True, slots=True)
class HandFault(_Value):
    """One fault put on by hand. `felt` is what was measured: per link or role, before and during, in ms or None."""

    id: str            # h1, h2, … never used again in this network
    word: str          # as in scenario files
    text: str          # the words it was given in
    target: str
    phase: FaultPhase
    began_s: float     # of the network's clock
    until_s: float | None   # None: until it is healed
    bit: bool | None   # None while it is on
    felt: tuple[dict[str, Any], ...] = ()   # {"link" or "role", "before_ms", "during_ms", "after_ms"}
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot(_Value):
    name: str
    network: str       # which one it was taken of
    taken: str         # ISO 8601, UTC
    clock_s: float     # of the network's clock
    l1_block: int
    l2_block: int      # committed
    bytes: int


@dataclass(frozen=True, slots=True)
class NetworkStatus(_Value):
    name: str
    runtime: str
    state: NetworkState
    pid: int           # the process that owns it
    folder: str
    clock_s: float     # seconds since genesis, by the network's clock
    l1_block: int
    l2_block: int      # committed
    leader: str | None
    roles: tuple[RoleStatus, ...]
    faults: tuple[HandFault, ...]     # those that are on
    problems: tuple[str, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{
            **value,
            "roles": tuple(RoleStatus.from_json(item) for item in value["roles"]),
            "faults": tuple(HandFault.from_json(item) for item in value["faults"]),
            "problems": tuple(value["problems"]),
        })


@dataclass(frozen=True, slots=True)
class Description(_Value):
    """All that a user needs to know to use a network."""

    name: str
    runtime: str
    folder: str
    endpoints: tuple[Endpoint, ...]
    accounts: tuple[NamedAccount, ...]
    contracts: tuple[Contract, ...]
    fault_api: str | None    # http://127.0.0.1:8474

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{
            **value,
            "endpoints": tuple(Endpoint.from_json(item) for item in value["endpoints"]),
            "accounts": tuple(NamedAccount.from_json(item) for item in value["accounts"]),
            "contracts": tuple(Contract.from_json(item) for item in value["contracts"]),
        })
