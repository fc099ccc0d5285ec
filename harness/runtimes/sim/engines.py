"""The execution engines of the simulator's nodes: each node its own view, whoever really executes underneath."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.plan import CHAIN_OF_KIND, ChainName, RoleSpec
from harness.ports import Engine, EngineFailure, Json
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, InvalidBlock
from harness.runtimes.sim.execution import ExecutionCounts, SharedExecution, SyncEngine


@dataclass(frozen=True, slots=True)
class ExecutionCost:
    """Virtual time an engine takes: near what Anvil was measured to take (anvil.md §2), the same on every machine."""

    block_ns: int = 1_000_000
    transaction_ns: int = 300_000
    call_ns: int = 100_000

    def of_block(self, inputs: BlockInputs) -> int:
        return self.block_ns + self.transaction_ns * len(inputs.transactions)


class NodeEngine:
    """The `Engine` port of one node: it knows the blocks it executed itself, and no others."""

    def __init__(self, node: str, execution: SharedExecution, cost: ExecutionCost) -> None:
        self.head = self.genesis_hash = execution.genesis_hash
        self._node = node
        self._execution = execution
        self._cost = cost
        self._known: dict[Hash, None] = {self.genesis_hash: None}
        self._journal: dict[BlockInputs, ExecutedBlock] = {}
        self._one_at_a_time = asyncio.Lock()
        self._dropped = False

    async def execute(self, inputs: BlockInputs) -> ExecutedBlock:
        async with self._one_at_a_time:
            return await self._execute(inputs)

    async def call(self, to: str, data: bytes, *, at: Hash, sender: str | None = None) -> bytes:
        async with self._one_at_a_time:
            self._check_known(at)
            await self._take(self._cost.call_ns)
            return self._execution.call(to, data, at=at, sender=sender)

    async def query(self, method: str, params: Sequence[Json], *, at: Hash) -> Json:
        async with self._one_at_a_time:
            self._check_known(at)
            await self._take(self._cost.call_ns)
            return self._execution.query(method, params, at=at)

    async def replay(self, chain: Sequence[BlockInputs]) -> Sequence[ExecutedBlock]:
        async with self._one_at_a_time:
            blocks: list[ExecutedBlock] = []
            for inputs in chain:
                try:
                    blocks.append(await self._execute(inputs))
                except InvalidBlock:
                    break
            return blocks

    def drop(self) -> None:
        """The node lost power; what its role still asks for is not answered."""
        self._dropped = True
        self._known.clear()
        self._journal.clear()

    async def _execute(self, inputs: BlockInputs) -> ExecutedBlock:
        self._check_known(inputs.parent)
        block = self._journal.get(inputs)
        if block is None:
            await self._take(self._cost.of_block(inputs))
            block = self._execution.execute(inputs)
            self._journal[inputs] = block
            self._known[block.hash] = None
        self.head = block.hash
        return block

    async def _take(self, cost_ns: int) -> None:
        if cost_ns > 0:
            await asyncio.sleep(cost_ns / 1e9)
        if self._dropped:
            raise EngineFailure(f"node {self._node} lost power")

    def _check_known(self, block: Hash) -> None:
        if self._dropped:
            raise EngineFailure(f"node {self._node} lost power")
        if block not in self._known:
            raise EngineFailure(f"node {self._node} does not know block {block}; execute its ancestors first")


class SimEngines:
    """The `EngineHost` of a run: shared execution per chain, or with `shared=False` an Anvil of its own per node."""

    def __init__(
        self,
        make_engine: Callable[[ChainName, str], SyncEngine],
        *,
        shared: bool = True,
        cost: ExecutionCost = ExecutionCost(),
    ) -> None:
        """`make_engine(chain, name)` starts an engine, such as an `AnvilEngine`; it need not have booted yet."""
        self._make_engine = make_engine
        self._shared = shared
        self._cost = cost
        self._executions: dict[str, SharedExecution] = {}
        """By chain when shared, else by role."""
        self._views: dict[str, NodeEngine] = {}

    def open(self, spec: RoleSpec) -> Engine | None:
        chain = CHAIN_OF_KIND.get(spec.kind)
        if chain is None:
            return None
        self._views[spec.name] = view = NodeEngine(spec.name, self._execution(chain, spec.name), self._cost)
        return view

    def prepare(self, roles: Sequence[RoleSpec]) -> None:
        """Start the engines of these roles side by side, so that opening them waits once and not in turn."""
        for spec in roles:
            chain = CHAIN_OF_KIND.get(spec.kind)
            if chain is not None:
                self._execution(chain, spec.name)

    def drop(self, role: str) -> None:
        view = self._views.pop(role, None)
        if view is not None:
            view.drop()
        if not self._shared and role in self._executions:
            self._executions.pop(role).close()

    def close(self) -> None:
        for view in self._views.values():
            view.drop()
        self._views.clear()
        errors: list[Exception] = []
        while self._executions:
            _, execution = self._executions.popitem()
            try:
                execution.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise ExceptionGroup("engines did not close", errors)

    def heads(self) -> dict[str, Hash]:
        """Where the engines of each chain stand (of each role, when nothing is shared)."""
        return {name: execution.head for name, execution in self._executions.items()}

    def return_to(self, heads: Mapping[str, Hash]) -> None:
        """Go back to where they stood."""
        for name, head in heads.items():
            self._executions[name].return_to(head)

    def counts(self) -> dict[str, ExecutionCounts]:
        """Per chain, or per role when nothing is shared."""
        return {name: execution.counts for name, execution in self._executions.items()}

    def _execution(self, chain: ChainName, role: str) -> SharedExecution:
        key = chain if self._shared else role
        execution = self._executions.get(key)
        if execution is None:
            execution = SharedExecution(
                lambda name: self._make_engine(chain, name), chain=key, **({} if self._shared else {"lanes_max": 1})
            )
            self._executions[key] = execution
        return execution
