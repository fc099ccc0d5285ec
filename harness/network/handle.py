"""`Network`: the handle on a running network, the same for one in this process and for one behind a control socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.network.values import Contract, Endpoint, HandFault, NamedAccount, NetworkStatus, Snapshot


class Network(Protocol):
    """Every call blocks for a bounded time. Misuse raises `NetworkMisuse` and changes nothing; a network that can not
    do what it should raises `NetworkFailure`.
    """

    @property
    def name(self) -> str: ...

    @property
    def runtime(self) -> str:
        """sim | local | compose."""
        ...

    @property
    def folder(self) -> Path:
        """plan.json, deployments.json, abi/<Contract>.json and nodes/<role>.log; gone when the network ends well."""
        ...

    def status(self) -> NetworkStatus: ...

    def endpoints(self) -> tuple[Endpoint, ...]:
        """JSON-RPC of every node: L1 first, then sequencers, then replicas."""
        ...

    def accounts(self) -> tuple[NamedAccount, ...]:
        """The roles' accounts, and the funded ones that are nobody's but the user's."""
        ...

    def contracts(self) -> tuple[Contract, ...]: ...

    def fault(self, fault: Mapping[str, Any]) -> HandFault:
        """Put on one fault, in the words of a scenario file without `at` and `when`, and return when it is on.

        `{"latency": {"from": "reporter-*", "delay": "400ms"}, "for": "10s"}`; without `for` it stays until `heal`.
        """
        ...

    def faults(self) -> tuple[HandFault, ...]:
        """All so far, the healed ones too (of those the newest hundred), in the order they were put on."""
        ...

    def heal(self, fault: str | None = None) -> tuple[HandFault, ...]:
        """Heal one fault, or all that are on; returns them with what was measured, when they are healed."""
        ...

    def kill(self, role: str) -> None:
        """SIGKILL, until `start`. Not a fault: nothing is measured, and `heal` does not start it again."""
        ...

    def start(self, role: str) -> None: ...

    def restart(self, role: str) -> None:
        """Kill the role if it lives, and start it again from its store."""
        ...

    def pause(self, role: str) -> None: ...

    def resume(self, role: str) -> None: ...

    def log(self, role: str) -> Path:
        """The file a role's process writes to."""
        ...

    def save_snapshot(self, name: str) -> Snapshot:
        """Save the state of all nodes and stores at one moment. The network goes on."""
        ...

    def load_snapshot(self, name: str) -> Snapshot:
        """Bring a state back: every role restarts from it, and the network's clock goes on from its moment.

        Faults that are on are healed first.
        """
        ...

    def snapshots(self) -> tuple[Snapshot, ...]: ...

    def stop(self) -> None:
        """End the network and remove its folder. Idempotent."""
        ...
