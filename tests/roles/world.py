"""A small network of real roles on shared real Anvils in virtual time, that a test can break and look into."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any, Protocol

from harness.anvil import AnvilEngine
from harness.evm.accounts import account
from harness.evm.wallet import sign_transaction
from harness.history.recorder import NodeRecorder
from harness.plan import L2_CHAIN_ID, Plan, RoleSpec
from harness.ports import Json, LinkRule, Store
from harness.roles.client import ChainClient
from harness.roles.context import Role, RoleContext
from harness.roles.durability import WatchedStore
from harness.roles.node import Node
from harness.roles.registry import make_role
from harness.roles.sequencer import VOTES
from harness.rollup.blocks import Receipt
from harness.rollup.heads import Head, Label
from harness.runtimes.sim.engines import SimEngines
from harness.runtimes.sim.loop import virtual_loop
from harness.runtimes.sim.run import simulate
from harness.runtimes.sim.runtime import SimRuntime
from harness.runtimes.sim.store import MemDisk
from harness.scenario.planning import plan_from_file
from harness.scenario.stage import SIM_GENESIS_TIMESTAMP, Stage, set_stage

SCENARIO = """\
version: 1
name: roles
seed: 1
network:
  l1: {followers: 1}
  l2: {sequencers: 4, replicas: 1}
  oracles: 4
  keepers: 2
market:
  ETH: {knots: {0s: 200, 20s: 200}}
products:
  - {id: ETH-F1, kind: future, underlying: ETH, expires: 200s}
  - {id: ETH-C1, kind: call, underlying: ETH, strike: 200, expires: 200s}
venue: {grace: 4s}
workload: {traders: 2, rate: 1/s, leverage: [2, 8]}
storm: 250s
"""

L1 = ("l1-0",)
SET = ("sequencer-0", "sequencer-1", "sequencer-2", "sequencer-3")
"""The sequencers; even ones read the L1 builder, odd ones the follower `l1-1`."""
STEP_S = 0.02
CUT = {"test": LinkRule(cut=True)}
SILENT_TO = "0x" + "11" * 20
STRANGER = 9_000
"""Index of an account no role has."""


@dataclass(frozen=True, slots=True)
class StageSet:
    plan: Plan
    stage: Stage


def set_the_stage(file: Path) -> StageSet:
    file.write_text(SCENARIO, encoding="utf-8")
    plan = plan_from_file(file)
    return StageSet(plan, set_stage(plan, genesis_timestamp=SIM_GENESIS_TIMESTAMP))


class LastingEngines(SimEngines):
    """Outlive a run: a block's hash follows from its inputs alone, so what one run executed serves the next."""

    def __init__(self, stage_set: StageSet) -> None:
        stage = stage_set.stage
        super().__init__(lambda chain, name: AnvilEngine(stage.l1 if chain == "l1" else stage.l2, name=name))

    def close(self) -> None:
        for view in self._views.values():
            view.drop()
        self._views.clear()

    def end(self) -> None:
        super().close()


@dataclass(frozen=True, slots=True)
class Written:
    """One record of the history."""

    t: float
    node: str
    kind: str
    fields: dict[str, Any]


@dataclass(slots=True)
class World:
    """What a story is told with."""

    plan: Plan
    runtime: SimRuntime
    roles: dict[str, Any]
    """Role name → its newest incarnation."""
    history: list[Written]
    stage: Stage
    voted: dict[str, list[int]]
    """Sequencer → views its newest incarnation voted in, whether or not the rows were pruned."""

    # -- time

    @property
    def now(self) -> float:
        return self.runtime.loop.now_ns / 1e9

    async def until(
        self, condition: Callable[[], object], *, within: float, what: str = "", step: float = STEP_S
    ) -> None:
        """Wait in virtual time until the condition holds; a failed role or the deadline fails the test."""
        deadline = self.now + within
        while not condition():
            assert not self.runtime.problems, f"a role failed: {self.runtime.problems}"
            assert self.now < deadline, f"not within {within} s: {what or condition.__name__}; {self.levels()}"
            await asyncio.sleep(step)

    async def settle(self, seconds: float) -> None:
        """Let time pass; a role that fails meanwhile fails the test."""
        end = self.now + seconds
        await self.until(lambda: self.now >= end, within=seconds + 1)

    # -- breaking things

    async def kill(self, *names: str) -> None:
        for name in names:
            await self.runtime.kill(name)

    async def start(self, *names: str) -> None:
        for name in names:
            await self.runtime.start(name)
        await asyncio.sleep(0.0001)  # so that `roles` names the new incarnations

    async def rule(self, src: str, dst: str, rule: LinkRule | None) -> None:
        """Put one rule on every link between two patterns of names, in that direction; None heals."""
        for a, b in product(self._named(src), self._named(dst)):
            if a != b:
                await self.runtime.set_link(a, b, {} if rule is None else {"test": rule})

    async def isolate(self, name: str, others: str = "*") -> None:
        await self.rule(name, others, LinkRule(cut=True))
        await self.rule(others, name, LinkRule(cut=True))

    async def heal(self) -> None:
        await self.rule("*", "*", None)

    def _named(self, pattern: str) -> list[str]:
        return [name for name in self.runtime.roles() if fnmatchcase(name, pattern)]

    # -- looking

    def node(self, name: str) -> Node:
        node = self.roles[name].node
        assert isinstance(node, Node)
        return node

    def head(self, name: str, label: Label = Label.COMMITTED) -> Head:
        return self.node(name).chain.heads.at(label)

    def height(self, name: str, label: Label = Label.COMMITTED) -> int:
        return self.head(name, label).number

    def levels(self) -> dict[str, list[int]]:
        """Every L2 node's labels, for messages."""
        nodes = [name for name, role in self.roles.items() if hasattr(role, "node")]
        return {name: [self.height(name, label) for label in Label] for name in nodes}

    def disk(self, name: str) -> MemDisk:
        return self.runtime._machine(name).disk

    def records(self, kind: str, node: str = "*", **fields: Any) -> list[Written]:
        """Records of a kind, by nodes that match a pattern, with these values."""
        return [
            each
            for each in self.history
            if each.kind == kind
            and fnmatchcase(each.node, node)
            and all(each.fields.get(key) == value for key, value in fields.items())
        ]

    def problems(self) -> list[Written]:
        return self.records("problem")

    def committed(self) -> dict[int, set[str]]:
        """Height → the hashes that were ever committed at it, on any node, in any life (H4: one each)."""
        seen: dict[int, set[str]] = {}
        for record in self.records("head", label="committed"):
            seen.setdefault(int(record.fields["number"]), set()).add(str(record.fields["hash"]))
        return seen

    def agree(self) -> bool:
        return all(len(hashes) == 1 for hashes in self.committed().values())

    # -- talking

    async def ask(self, src: str, dst: str, kind: str, payload: Json, *, timeout: float = 1.0) -> Json:
        """A request in another role's name."""
        return await self.runtime.network_of(src).request(dst, kind, payload, timeout=timeout)

    def raw(self, nonce: int, *, sender: int = STRANGER, data: bytes = b"") -> bytes:
        """A signed L2 transaction of no effect."""
        key = account(sender).key
        return sign_transaction(key, chain_id=L2_CHAIN_ID, nonce=nonce, to=SILENT_TO, data=data, gas=200_000)

    def receipts(self) -> list[Receipt]:
        """Of the longest committed chain, in order."""
        node = self.node(max((n for n in self.roles if n in SET), key=self.height))
        return [r for b in node.chain.committed_range(1, node.chain.heads.committed.number) for r in b.receipts]

    def times_included(self, name: str | None) -> int:
        return sum(receipt.transaction_hash == name for receipt in self.receipts())

    def sent_by(self, role: str) -> list[Receipt]:
        return [receipt for receipt in self.receipts() if receipt.sender == self.stage.accounts[role]]

    def client(self, role: str, *gateways: str, patience_s: float = 4.0) -> ChainClient:
        """A client that speaks in an idle role's name, with an account of its own."""
        return ChainClient(
            self.runtime.network_of(role), self.runtime.clock, NodeRecorder(self, role),  # type: ignore[arg-type]
            account=account(STRANGER), chain_id=L2_CHAIN_ID, gateways=gateways, patience_s=patience_s,
        )  # fmt: skip

    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        self.history.append(Written(self.now, node, kind, fields))


class NotingVotes(WatchedStore):
    """Notes the views of the vote rows put into a store."""

    def __init__(self, store: Store, views: list[int]) -> None:
        super().__init__(store)
        self._views = views

    def put(self, table: str, key: str, value: Json) -> None:
        if table == VOTES:
            self._views.append(int(key.partition(":")[0]))
        super().put(table, key, value)


Story = Callable[[World], Awaitable[None]]


class Run(Protocol):
    """Boot the named roles (of the plan of `SCENARIO`), tell the story, end everything."""

    def __call__(
        self,
        story: Story,
        *roles: str,
        factory: Callable[[RoleContext], Role] = ...,
        change: Callable[[Plan], Plan] = ...,
        idle: Sequence[str] = (),
        may_fail: bool = False,
    ) -> None: ...


class Idle:
    """A role that does nothing, in whose name a test speaks."""

    async def run(self) -> None:
        await asyncio.Event().wait()


def run_world(
    stage_set: StageSet,
    engines: LastingEngines,
    story: Story,
    roles: Iterable[str],
    *,
    factory: Callable[[RoleContext], Role] = make_role,
    change: Callable[[Plan], Plan] = lambda plan: plan,
    idle: Sequence[str] = (),
    may_fail: bool = False,
) -> None:
    """See `Run`. `change` may alter the plan; `idle` roles do nothing; `may_fail` allows a role to fail."""
    plan = change(only(stage_set.plan, tuple(roles)))

    async def main() -> None:
        history: list[Written] = []
        playing: dict[str, Any] = {}
        voted: dict[str, list[int]] = {}

        def play(context: RoleContext) -> Role:
            voted[context.name] = []
            context = replace(context, store=NotingVotes(context.store, voted[context.name]))
            role = Idle() if context.name in idle else factory(context)
            playing[context.name] = getattr(role, "role", role)
            return role

        class History:
            def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
                history.append(Written(virtual_loop().now_ns / 1e9, node, kind, fields))

        stage = stage_set.stage
        runtime = SimRuntime(
            plan, play, History(), genesis_timestamp=stage.genesis_timestamp, engines=engines,
            deployment=stage.deployment, accounts=stage.accounts,
        )  # fmt: skip
        world = World(plan, runtime, playing, history, stage, voted)
        try:
            await runtime.boot()
            await asyncio.sleep(0.001)  # every role is made
            await story(world)
            assert may_fail or not runtime.problems, f"a role failed: {runtime.problems}"
            invoked = [each.fields["id"] for each in world.records("op", phase="invoke")]
            assert len(invoked) == len(set(invoked)), f"an operation was invoked twice: {sorted(invoked)}"
        finally:
            await runtime.shutdown()

    simulate(main, seed=plan.seed, pin=False)


def only(plan: Plan, names: Sequence[str]) -> Plan:
    """The plan with these roles alone; clients keep the gateways that are left."""
    kept = [plan.role(name) for name in names]

    def narrowed(spec: RoleSpec) -> RoleSpec:
        l1 = spec.l1 if spec.l1 in names else L1[0]
        return replace(
            spec, gateways=tuple(g for g in spec.gateways if g in names), l1=None if spec.l1 is None else l1
        )

    return replace(plan, roles=tuple(narrowed(spec) for spec in plan.roles if spec in kept), latencies=())
