"""The two chains as sources: an L2 node's under its four heads, and an L1 node's under depths below its tip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.evm.wallet import transaction_hash
from harness.plan import L1_CHAIN_ID, L1_GAS_LIMIT, L2_CHAIN_ID
from harness.ports import Engine, Json, Refused
from harness.project_plan import ProjectCodec
from harness.roles.mempool import Mempool, Rejected
from harness.roles.recording import explain
from harness.rollup.blocks import ExecutedBlock, Hash
from harness.rollup.heads import Head, Label

if TYPE_CHECKING:  # they open their interface themselves
    from harness.roles.l1 import L1Chain
    from harness.roles.node import Node

SUBMIT_TIMEOUT_S = 2.0


class L2Source:
    """A sequencer's or a replica's chain."""

    layer = "l2"
    chain_id = L2_CHAIN_ID

    def __init__(self, node: Node) -> None:
        self._node = node
        self._chain = node.chain
        self._project = ProjectCodec(node.context.plan.project)

    @property
    def gas_limit(self) -> int:
        return self._chain.pool.gas_limit

    @property
    def block_interval_ns(self) -> int:
        return self._node.context.plan.profile.l2_block_ms * 1_000_000

    @property
    def genesis_hash(self) -> Hash:
        return self._chain.genesis_hash

    @property
    def engine(self) -> Engine:
        return self._chain.engine

    @property
    def pool(self) -> Mempool:
        return self._chain.pool

    def head(self, label: Label) -> Head:
        return self._chain.heads.at(label)

    def block(self, name: Hash) -> ExecutedBlock | None:
        return self._chain.get(name)

    def base_fee(self) -> int:
        return 0

    def when_changed(self, changed: Callable[[], None]) -> None:
        self._chain.when_changed.append(changed)

    async def submit(self, raw: bytes) -> str:
        name = self.pool.add(raw).hash
        self._node.gateway.pass_on(raw)
        return name

    def explain(self, revert_data: bytes) -> str:
        return explain(revert_data, self._project)

    def peers(self) -> int:
        return len(self._chain.context.plan.of_kind("sequencer", "replica")) - 1

    def status(self) -> Mapping[str, Json]:
        derivation = self._node.derivation
        if derivation is None:
            return {"current_l1": None}
        head = derivation.l1_head
        return {"current_l1": {"number": head.number, "hash": head.hash, "timestamp": head.timestamp}}


class L1Source:
    """An L1 node's chain; the builder's pool builds, a follower hands over what it is given."""

    layer = "l1"
    chain_id = L1_CHAIN_ID
    gas_limit = L1_GAS_LIMIT

    def __init__(self, chain: L1Chain, *, builder: str | None, base_fee: Callable[[], int]) -> None:
        """`builder` is the node whose pool builds blocks, None where this one does; `base_fee` the next block's."""
        self._chain = chain
        self._builder = builder
        self._project = ProjectCodec(chain.context.plan.project)
        self.base_fee = base_fee

    @property
    def block_interval_ns(self) -> int:
        return self._chain.context.plan.profile.l1_block_ms * 1_000_000

    @property
    def genesis_hash(self) -> Hash:
        return self._chain.engine.genesis_hash

    @property
    def engine(self) -> Engine:
        return self._chain.engine

    @property
    def pool(self) -> Mempool:
        return self._chain.pool

    def head(self, label: Label) -> Head:
        depth = self._chain.context.plan.profile.finality_depth_l1_blocks
        below = {Label.SAFE: (depth + 1) // 2, Label.FINALIZED: depth}.get(label, 0)
        number = max(self._chain.height - below, 0)
        return Head(number, self._chain.blocks[number - 1].hash if number else self.genesis_hash)

    def block(self, name: Hash) -> ExecutedBlock | None:
        return self._chain.held(name)

    def when_changed(self, changed: Callable[[], None]) -> None:
        self._chain.when_changed.append(changed)

    async def submit(self, raw: bytes) -> str:
        if self._builder is None:
            return self.pool.add(raw).hash
        network = self._chain.context.network
        try:
            await network.request(self._builder, "l1_submit", {"raw": raw.hex()}, timeout=SUBMIT_TIMEOUT_S)
        except Refused as refused:
            raise Rejected(str(refused.args[0])) from refused
        with suppress(Rejected):  # the builder has it, which is what counts
            self.pool.add(raw)  # so that it can be asked for here while it is pending
        return transaction_hash(raw)

    def explain(self, revert_data: bytes) -> str:
        return explain(revert_data, self._project)

    def peers(self) -> int:
        return len(self._chain.context.plan.of_kind("l1-builder", "l1-follower")) - 1

    def status(self) -> Mapping[str, Json]:
        return {}
