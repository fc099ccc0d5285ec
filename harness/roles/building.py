"""Building the next L2 block, and judging one that somebody else built, against this node's view of L1."""

from __future__ import annotations

from harness.evm.wallet import decode_transaction
from harness.ports import PortError
from harness.project_plan import ProjectCodec
from harness.roles.context import RoleContext
from harness.roles.forcing import Slot
from harness.roles.insider import SANDWICH, Insider
from harness.roles.node import Node
from harness.roles.orders import EVEN_FORCED, Orders
from harness.roles.recording import block_record
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, InvalidBlock
from harness.rollup.derivation import Derivation
from harness.rollup.origin import Stalled, Unknown, Wrong, judge, pick, seconds_too_early

REBUILDS_MAX = 8
"""Times a block is rebuilt without the transactions its node refused, before the view is given up."""


class Builder:
    """The leader's half (build) and the voter's half (refusal) of the same rules."""

    def __init__(self, context: RoleContext, node: Node) -> None:
        self.context = context
        self.node = node
        self._stalled = ""
        self.orders = Orders("censor", SANDWICH)
        self._insider = Insider(context, node, self.orders)
        self._project = ProjectCodec(context.plan.project)

    async def build(self, parent: Hash, height: int) -> ExecutedBlock | None:
        """A block on `parent` from the pool, executed here; None, with the reason recorded, when none can be built."""
        await self.node.wait_for_l1_at_first()
        derivation = self.node.derivation
        if derivation is None:
            self._stall("no L1 block has been seen yet")
            return None
        chain = self.node.chain
        picked = pick(
            chain.origin_of(parent, l1_genesis=self.node.l1_genesis),
            derivation.l1,
            parent_timestamp=chain.timestamp_of(parent),
            now_s=self.context.clock.now() // 1_000_000_000,
            confirmations=self.context.plan.profile.origin_confirmations_l1_blocks,
            drift_s=self.context.plan.profile.timestamp_drift_s,
        )
        if isinstance(picked, Stalled):
            self._stall(picked.reason)
            return None
        self._stalled = ""
        slot = Slot(height, parent, picked.timestamp, picked.origin)
        try:
            head = await self._head(slot, derivation)
        except PortError as error:
            self._stall(f"what the forced queue asks of block {height} cannot be told: {error}")
            return None
        ancestors = chain.uncommitted(parent)
        used = [decode_transaction(raw) for block in ancestors for raw in block.inputs.transactions]
        forced = [decode_transaction(raw) for raw in head]
        forced_gas = sum(transaction.gas_limit for transaction in forced)
        chosen = chain.pool.select(
            [*used, *forced], by_tip=self.context.plan.keeper_gas is not None, gas_taken=forced_gas
        )
        raws = await self._insider.arrange(
            self._censored(chosen), parent=parent, used=[*used, *forced], gas_taken=forced_gas
        )
        for _ in range(REBUILDS_MAX):
            try:
                block = await chain.execute(slot.holding([*head, *raws]))
            except InvalidBlock as invalid:
                mine = tuple(index - len(head) for index in invalid.missing if index >= len(head))
                if mine or not invalid.missing:
                    raws = self._without(raws, mine)
                if len(mine) < len(invalid.missing) or not raws:
                    head = await self._head(slot, derivation, tried=True)
                continue
            self.context.record.record("block", **block_record("l2", block, self.context.deployment, self._project))
            return block
        self._stall(f"block {height} could not be built in {REBUILDS_MAX} tries")
        return None

    async def _head(self, slot: Slot, derivation: Derivation, *, tried: bool = False) -> list[bytes]:
        """What L1 forces the block to begin with, less what this leader leaves out although nobody will vote for that.

        Raises:
            PortError: this node cannot read the parent's state.
        """
        find = self.node.forcing.without_refused if tried else self.node.forcing.due
        head = list((await find(slot, derivation=derivation, l1_genesis=self.node.l1_genesis)).head)
        return self._censored(head, forced=True)

    def _censored(self, raws: list[bytes], *, forced: bool = False) -> list[bytes]:
        """What is left when this leader passes over those it was ordered to; their later nonces then wait too.

        What L1 forces (`forced`) it passes over by an order of its own.
        """
        for fault, order in self.orders.of("censor"):
            if forced and order.how != EVEN_FORCED:
                continue
            victims = {self.context.accounts[name] for name in order.names if name in self.context.accounts}
            kept = [raw for raw in raws if decode_transaction(raw).sender not in victims]
            if len(kept) < len(raws):
                self.orders.acted(fault, len(raws) - len(kept))
            raws = kept
        return raws

    def _without(self, raws: list[bytes], missing: tuple[int, ...]) -> list[bytes]:
        """Drop what the node refused from the block and the pool; everything where it could not say."""
        refused = [raws[index] for index in missing] if missing else raws
        for raw in refused:
            self.node.chain.pool.drop(decode_transaction(raw).hash)
        return [raw for raw in raws if raw not in refused]

    def _stall(self, reason: str) -> None:
        """Record why no block can be built, once per reason: a stalled leader is asked again every view."""
        if reason != self._stalled:
            self._stalled = reason
            self.context.record.record("stat", name="leader-stalled", reason=reason)

    async def refusal(self, inputs: BlockInputs) -> str | None:
        """Why this node would not vote for a block it executed, or None to vote."""
        refusal = self._refusal(inputs)
        derivation = self.node.derivation
        if refusal is not None or derivation is None:
            return refusal
        try:
            return await self.node.forcing.why_refused(
                inputs, derivation=derivation, l1_genesis=self.node.l1_genesis
            )
        except PortError as error:
            return f"what the forced queue asks of block {inputs.number} cannot be told: {error}"

    def _refusal(self, inputs: BlockInputs) -> str | None:
        derivation = self.node.derivation
        if derivation is None or inputs.origin is None:
            return "no L1 view to judge the origin by" if derivation is None else "no L1 origin"
        chain = self.node.chain
        verdict = judge(
            chain.origin_of(inputs.parent, l1_genesis=self.node.l1_genesis),
            derivation.l1,
            parent_timestamp=chain.timestamp_of(inputs.parent),
            timestamp=inputs.timestamp,
            origin_number=inputs.origin.number,
            origin_hash=inputs.origin.hash,
            drift_s=self.context.plan.profile.timestamp_drift_s,
        )
        if isinstance(verdict, (Wrong, Unknown)):
            return verdict.reason
        if verdict.origin != inputs.origin:
            return f"L1 origin {inputs.origin.number} has timestamp {verdict.origin.timestamp} here"
        early = seconds_too_early(inputs.timestamp, now_s=self.context.clock.now() // 1_000_000_000)
        return f"timestamp {inputs.timestamp} is {early} s too far ahead of my clock" if early else None

    def may_pass_later(self, inputs: BlockInputs) -> bool:
        """Whether waiting can change the refusal: an L1 block not seen yet, or a clock that will catch up."""
        derivation = self.node.derivation
        if derivation is None or inputs.origin is None:
            return derivation is None
        is_unseen = inputs.origin.number > derivation.l1.head.number
        return is_unseen or seconds_too_early(inputs.timestamp, now_s=self.context.clock.now() // 1_000_000_000) > 0
