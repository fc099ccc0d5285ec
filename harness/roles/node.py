"""What every L2 node does: execute, journal, follow L1, derive, hold its head labels and answer its clients.

Sequencers and replicas are nodes that learn of committed blocks in different ways; everything after that is here.
The journal in the store is the truth: after a crash the node replays it into its engine and goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from harness.consensus.messages import Certificate, VoteKind, to_json
from harness.plan import L2_CHAIN_ID
from harness.ports import Json, PortError
from harness.roles.chain import Chain
from harness.roles.context import RoleContext
from harness.roles.follower import L1Source
from harness.roles.forcing import Forcing
from harness.roles.gateway import Gateway
from harness.roles.observer import Observer
from harness.roles.validators import ValidatorSet
from harness.roles.wire import (
    behind,
    block_from_json,
    block_to_json,
    certificate_from_json,
    field,
    items,
    number,
)
from harness.rollup.acceptance import DerivationRules, SafeBlock
from harness.rollup.blocks import ZERO_HASH, BlockInputs, ExecutedBlock, Hash, InvalidBlock
from harness.rollup.derivation import Derivation, DerivationError, ReorgTooDeep
from harness.rollup.heads import Heads, Label

DERIVATION = "derivation"
BLOCKS_PER_REPLY_MAX = 100
SYNC_TIMEOUT_S = 1.0
FIRST_ASKS_PER_BOUND = 5
"""How often L1 is asked per Δ until it has answered once: at a boot it may serve later than its readers ask."""


class Node:
    """The common half of a sequencer and a replica."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.validators = ValidatorSet.of(context.plan, chain_id=L2_CHAIN_ID)
        self.chain = Chain(context)
        self.gateway = Gateway(context, self.chain)
        self.l1 = L1Source(context)
        self.forcing = Forcing(self.chain)
        is_observer = context.name == observer_of(context)
        self.observer = Observer(context, self.chain, self.validators) if is_observer else None
        self.l1_genesis = ZERO_HASH
        """Hash of L1 block 0; known once `derivation` is."""
        self.derivation: Derivation | None = None
        self._has_seen_l1 = asyncio.Event()
        self._has_waited = False
        self._certificates: dict[int, Certificate] = {}
        """Height → the certificate that finalizes exactly that block, where this node holds one."""

    # -- life

    async def recover(self) -> list[ExecutedBlock]:
        """Replay the journal and restore labels and certificates; the uncommitted blocks held, parents first."""
        pending = await self.chain.recover()
        for block in self.chain.committed_range(1, self.chain.heads.committed.number):
            self.gateway.on_committed(block)
        for _, row in self.context.store.scan("certificates"):
            certificate = certificate_from_json(row)
            if certificate.height <= self.chain.heads.committed.number:
                self._certificates[certificate.height] = certificate
        return pending

    async def derive_forever(self) -> None:
        """Follow L1 at a quarter of its block time and move the safe and finalized labels by what it carries."""
        interval = self.context.plan.profile.l1_block_ms / 4000
        at_first = min(interval, self.context.plan.profile.network_bound_ms / 1000 / FIRST_ASKS_PER_BOUND)
        while True:
            with suppress(PortError):  # L1 out of reach: the labels stay where they are, which is what is true
                await self._derive()
            await self.context.clock.sleep(at_first if self.derivation is None else interval)

    async def wait_for_l1_at_first(self) -> None:
        """Wait once, at most Δ, until this node has seen L1: a leader that refused to build would lose its view."""
        if self.derivation is None and not self._has_waited:
            self._has_waited = True   # L1 may be out of reach for long, and views must pass
            with suppress(TimeoutError):
                async with asyncio.timeout(self.context.plan.profile.network_bound_ms / 1000):
                    await self._has_seen_l1.wait()

    async def _derive(self) -> None:
        if self.derivation is None:
            self.l1_genesis = await self.l1.genesis_hash()
            self.derivation = self._start_derivation(self.l1_genesis)
            self._has_seen_l1.set()
        derivation = self.derivation
        before, blocks = await self.l1.blocks_from(derivation.l1_head.number + 1)
        if before is not None and before != derivation.l1_head.hash:
            self._follow_reorg(derivation, await self.l1.fork_with(derivation))
            return
        for block in blocks:
            try:
                derivation.feed(block)
            except DerivationError as broken:  # whatever that L1 node says, nothing is derived from it
                self.context.record.record("problem", what="L1 contradicts itself", detail=str(broken))
                return
            await self._drain(derivation)
            self._label(Label.FINALIZED, derivation.finalized(derivation.l1_head.number))
            self.context.store.put(DERIVATION, "state", derivation.to_json())
            self.chain.flush()

    def _follow_reorg(self, derivation: Derivation, fork: int) -> None:
        """L1 left the chain that was derived from, above `fork`: take back what rests on the blocks that are gone.

        Raises:
            ReorgTooDeep: what was finalized rests on them. This node halts, for nobody can undo that.
        """
        old, safe_before = derivation.l1_head, self.chain.heads.safe
        try:
            safe = derivation.rewind(fork)
        except ReorgTooDeep as alarm:
            self.context.record.record("problem", what="L1 reorged below finality", detail=str(alarm), fatal=True)
            raise
        self.context.record.record(
            "stat", name="l1-reorg-seen", fork=fork, depth=old.number - fork, old=old.hash,
            safe_from=safe_before.number, safe_to=min(safe.number, safe_before.number),
        )  # fmt: skip
        if safe.number < safe_before.number:
            self.chain.lower_safe(safe.number, safe.hash)
        self.context.store.put(DERIVATION, "state", derivation.to_json())
        self.chain.flush()

    def _start_derivation(self, l1_genesis: Hash) -> Derivation:
        rules = DerivationRules.of(
            self.context.plan.profile, chain_id=L2_CHAIN_ID, senders=self.validators.batch_senders
        )
        stored = self.context.store.get(DERIVATION, "state")
        if stored is not None:
            try:
                return Derivation.from_json(rules, stored, verify_finalization=self.validators.verify_finalization)
            except DerivationError:
                self.context.record.record("problem", what="stored derivation unreadable", detail="derived again")
        anchor = self.chain.anchor(l1_genesis)
        genesis = SafeBlock(0, self.chain.genesis_hash, self.context.genesis_timestamp, anchor, 0)
        return Derivation(rules, genesis, verify_finalization=self.validators.verify_finalization)

    async def _drain(self, derivation: Derivation) -> None:
        while (derived := derivation.next()) is not None:
            held = self.chain.get(derived.expected_hash)
            if held is None or not derived.is_confirmed_by(held):
                try:
                    held = await self.chain.execute(derived.inputs)
                except InvalidBlock as invalid:
                    derivation.on_invalid(derived.inputs.number, str(invalid))
                    continue
            refusal = await self.forcing.why_refused(held.inputs, derivation=derivation, l1_genesis=self.l1_genesis)
            if refusal is not None:
                derivation.on_invalid(derived.inputs.number, refusal)
                continue
            for safe in derivation.on_executed(derived.inputs.number, held.hash):
                self._label(Label.SAFE, safe)
            # Durable before anything is awaited: a restarted node must not show a lower label than it showed.
            self.chain.flush()

    def _label(self, label: Label, block: SafeBlock) -> None:
        """Move safe or finalized; a block this node had not committed yet is committed by being safe."""
        if block.number <= self.chain.heads.at(label).number:
            return
        if block.number > self.chain.heads.committed.number:
            self.committed(block.hash, None)
        self.chain.advance(label, block.hash)

    # -- committing

    def committed(self, tip: Hash, certificate: Certificate | None) -> None:
        """The set finalized `tip` (held and executed): move the label over every block up to it, and tell everyone.

        Rows are put and not flushed: the caller flushes once, when everything it knows is put.

        Raises:
            Divergence: `tip` does not stand on the committed head.
        """
        for block in self.chain.commit(tip):
            exact = certificate if certificate is not None and certificate.height == block.number else None
            if exact is not None:
                self._certificates[block.number] = exact
                self.context.store.put("certificates", f"{block.number:012d}", to_json(exact))
            self.gateway.on_committed(block)
            if self.observer is not None:
                self.observer.on_committed(block, certificate)

    def certificate_at(self, height: int) -> Certificate | None:
        """The certificate that finalizes exactly the committed block of a height, where this node holds one."""
        return self._certificates.get(height)

    async def adopt(self, sent: Sequence[Json], certificate: Certificate | None) -> bool:
        """Execute blocks a peer sent, check them against the certificate and commit them; False if a gap remains.

        Raises:
            WireError: what was sent is malformed.
            Divergence: certified blocks execute to another hash here, which must never happen.
        """
        # A notarization has q signatures too, and is no promise: its block may still lose to another one.
        if certificate is None or certificate.kind is not VoteKind.FINALIZE or not self.validators.verify(certificate):
            return False
        for item in sent:
            name, inputs = block_from_json(item)
            if inputs.number <= self.chain.heads.committed.number:
                continue
            if inputs.parent != self.chain.heads.committed.hash and self.chain.get(inputs.parent) is None:
                return False
            if await self.execute_certified(inputs, name) is None:
                return False
        tip = self.chain.get(certificate.block_hash)
        if tip is None or tip.number <= self.chain.heads.committed.number:
            return tip is not None
        self.committed(tip.hash, certificate)
        self.chain.flush()
        return True

    async def execute_certified(self, inputs: BlockInputs, name: Hash) -> ExecutedBlock | None:
        """Execute a block said to have this hash; None (and a recorded problem) when it has another."""
        held = self.chain.get(name)
        if held is not None:
            return held
        try:
            block = await self.chain.execute(inputs)
        except InvalidBlock as invalid:
            self._diverged(inputs, name, str(invalid))
            return None
        if block.hash != name:
            self._diverged(inputs, name, f"executed to {block.hash}")
            return None
        return block

    def _diverged(self, inputs: BlockInputs, name: Hash, detail: str) -> None:
        self.context.record.record("problem", what=f"block {inputs.number} is not {name} here", detail=detail)

    async def fetch_committed(self, peer: str) -> bool:
        """Ask a peer for what it committed above this node's head, page by page; True when level with it."""
        while True:
            level = self.chain.heads.committed.number
            reply = await self.context.network.request(peer, "blocks", {"from": level + 1}, timeout=SYNC_TIMEOUT_S)
            blocks = items(reply, "blocks")
            if not blocks:
                return True
            certificate = certificate_from_json(field(reply, "certificate"))
            # A peer may repeat what is old and true for ever: a page that brings nothing is the last one asked for.
            if not await self.adopt(blocks, certificate) or self.chain.heads.committed.number <= level:
                return False

    # -- answering

    def blocks_page(self, start: int) -> Json:
        """Committed blocks from a height up to a block this node holds a certificate for."""
        tip = max(
            (h for h in self._certificates if start <= h < start + BLOCKS_PER_REPLY_MAX),
            default=min((h for h in self._certificates if h >= start), default=0),
        )
        if not tip:
            return {"blocks": [], "certificate": None}
        blocks = self.chain.committed_range(start, tip)
        return {
            "blocks": [block_to_json(block) for block in blocks],
            "certificate": to_json(self._certificates[tip]),
        }

    def _heads(self, blocks_behind: int) -> Heads:
        heads = self.chain.heads
        if not blocks_behind:
            return heads
        return Heads(*[self.chain.behind(heads.at(label), blocks_behind) for label in Label])

    async def answer(self, kind: str, payload: Json) -> Json:
        """The part of the service every node shares."""
        if kind == "blocks":
            return self.blocks_page(number(payload, "from"))
        if kind == "heads":
            return self._heads(behind(payload)).to_json()
        return await self.gateway.answer(kind, payload)


def observer_of(context: RoleContext) -> str:
    """The one node that writes the venue's state into the history: the first replica, or the first sequencer."""
    replicas = context.plan.of_kind("replica")
    return (replicas or context.plan.of_kind("sequencer"))[0].name

