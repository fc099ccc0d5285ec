"""What every role of a local run is born with; pickled once for the zygote, inherited by each fork."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from harness.anvil.adapters import ThreadedEngine
from harness.anvil.engine import AnvilEngine
from harness.anvil.spec import ChainSpec
from harness.plan import CHAIN_OF_KIND, Plan, RoleSpec
from harness.proxy.config import ProxyConfig
from harness.roles.context import Role, RoleContext, RoleFactory

LOOPBACK = "127.0.0.1"

EngineFactory = Callable[[RoleSpec, Path], ThreadedEngine | None]
"""`make(spec, home)` starts the role's execution node in that folder; None for a role that is not a node.

Like the role factory it must be picklable: a module's function, or a frozen dataclass with `__call__`.
"""


@dataclass(frozen=True, slots=True)
class AnvilEngines:
    """An Anvil of its own for every node of either chain."""

    l1: ChainSpec
    l2: ChainSpec
    binary: Path | None = None
    """An Anvil known to be accepted; without it every node's process looks for one and asks its version."""

    def __call__(self, spec: RoleSpec, home: Path) -> ThreadedEngine | None:
        name = CHAIN_OF_KIND.get(spec.kind)
        if name is None:
            return None
        chain = self.l1 if name == "l1" else self.l2
        return ThreadedEngine(lambda: AnvilEngine(chain, name=spec.name, home=home, binary=self.binary))


@dataclass(frozen=True, slots=True)
class ByName:
    """A role factory that is imported where roles are made: who only starts them need not import what they are."""

    module: str
    name: str

    def __call__(self, context: RoleContext) -> Role:
        made: Role = getattr(import_module(self.module), self.name)(context)
        return made


OUR_ROLES = ByName("harness.roles.registry", "make_role")


@dataclass(frozen=True, slots=True)
class World:
    """Equal for all roles of a run, and for every incarnation of a role."""

    plan: Plan
    factory: RoleFactory
    engines: EngineFactory | None
    genesis_timestamp: int
    deployment: Mapping[str, str]
    accounts: Mapping[str, str]
    keys: Mapping[str, bytes]
    temporary: Path   # sockets, stores, nodes; gone with the run
    logs: Path        # one log per process and one history per role; they survive whatever happens to the run
    proxy: ProxyConfig
    keeps_history: bool = True
    rpc_ports: Mapping[str, int] = field(default_factory=dict)
    """Node → port of its public JSON-RPC interface, 0 to choose one; a node that is not named has none."""
    rpc_host: str = LOOPBACK
    host: str = LOOPBACK          # where roles listen for their peers
    port: int = 0                 # and at which port; 0: the system chooses
    stores: Path | None = None    # durable rows, where they are kept elsewhere than in `temporary`

    def store_of(self, role: str) -> Path:
        return (self.stores or self.temporary) / f"{role}.sqlite"

    def node_home_of(self, role: str) -> Path:
        return self.temporary / role

    def log_of(self, role: str) -> Path:
        return self.logs / f"{role}.log"

    def history_of(self, role: str) -> Path:
        return self.logs / f"{role}.history.jsonl"
