"""A sequencer: a node that takes part in Simplex, building blocks when it leads and judging them when it does not.

The state machine of `harness.consensus` decides; this role carries out its effects in order. Nothing between an
input and its effects awaits, so a vote is durable before it leaves and effects of two inputs never interleave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import orjson

from harness.consensus.effects import (
    Broadcast,
    BuildBlock,
    Effect,
    EnterView,
    Equivocation,
    ExecuteBlock,
    Finalized,
    Notarized,
    PersistCertificate,
    PersistVote,
    RequestBlocks,
    RequestCertificates,
    SetTimer,
)
from harness.consensus.messages import Certificate, certified_vote, from_json, signed_vote_from_json, to_json
from harness.consensus.signing import sign
from harness.consensus.simplex import Head, Simplex, Timing
from harness.evm.accounts import account
from harness.plan import L2_CHAIN_ID
from harness.ports import Json, PortError, Refused, Unreachable
from harness.roles.building import Builder
from harness.roles.context import RoleContext
from harness.roles.jsonrpc.opening import serve_l2
from harness.roles.node import SYNC_TIMEOUT_S, Node
from harness.roles.wire import (
    NUMBER_MAX,
    WireError,
    address,
    block_from_json,
    block_to_json,
    certificate_from_json,
    field,
    inputs_from_json,
    inputs_to_json,
    items,
    number,
    parse_hash,
    text,
)
from harness.rollup.blocks import BlockInputs, Hash, InvalidBlock

VOTES = "votes"
LIFE = "life"
CONSENSUS_CERTIFICATES = "consensus_certificates"
ORIGIN_WAIT_S = 1.0
RANGE_PAGE_MAX = 100


class Sequencer:
    """One member of the sequencer set."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.node = Node(context)
        self.builder = Builder(context, self.node)
        assert context.spec.account is not None, "a sequencer votes with an account"
        self._me = account(context.spec.account)
        self._peers = [s.name for s in context.plan.of_kind("sequencer") if s.name != context.name]
        self._replicas = [r.name for r in context.plan.of_kind("replica")]
        self._simplex: Simplex | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._timers: list[asyncio.Task[None]] = []
        self._engine_turn = asyncio.Lock()
        self._vote_rows: list[tuple[int, str]] = []
        self._certificate_rows: list[tuple[int, str]] = []
        self._refused_on: Hash | None = None
        """The parent on which this leader last could not build."""
        self._blind_until = 0
        """The highest view of which this life may have missed votes: those cast before it began."""

    @property
    def simplex(self) -> Simplex:
        assert self._simplex is not None, "consensus runs after recovery"
        return self._simplex

    # -- life

    async def run(self) -> None:
        pending = await self.node.recover()
        self.context.network.serve(self._handle)
        votes = [signed_vote_from_json(row) for _, row in self.context.store.scan(VOTES)]
        certificates = [certificate_from_json(row) for _, row in self.context.store.scan(CONSENSUS_CERTIFICATES)]
        floor = 0
        has_voted = self.context.store.get(LIFE, "voted") is not None
        if has_voted:
            await self._catch_up()
            floor = await self._floor_from_peers(is_needed=not votes)
        committed = self.node.chain.heads.committed
        finalization = self.node.certificate_at(committed.number)
        profile = self.context.plan.profile
        self._simplex = Simplex(
            chain_id=L2_CHAIN_ID,
            validators=self.node.validators.addresses,
            me=self._me.address,
            sign=partial(sign, key=self._me.key),
            timing=Timing(profile.l2_block_ms * 1_000_000, profile.network_bound_ms * 1_000_000),
            finalized=Head(0 if finalization is None else finalization.view, committed.number, committed.hash),
            votes=votes,
            certificates=certificates,
            floor_view=floor,
        )
        self._blind_until = self.simplex.view + 1 if has_voted else 0
        public = serve_l2(self.node)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            if public is not None:
                tasks.create_task(public.run())
            tasks.create_task(self.node.derive_forever())
            if self.node.observer is not None:
                tasks.create_task(self.node.observer.watch_forever())
            self._perform(self.simplex.start(self._now()))
            for block in pending:
                self._perform(
                    self.simplex.on_block_executed(
                        height=block.number, block_hash=block.hash, parent_hash=block.inputs.parent, now=self._now()
                    )
                )

    async def _catch_up(self) -> None:
        for peer in self._peers:
            with suppress(PortError):
                await self.node.fetch_committed(peer)

    async def _floor_from_peers(self, *, is_needed: bool) -> int:
        """1 + the highest view any peer saw signed by me. Where my vote rows are gone, q − 1 peers must answer."""
        while True:
            seen: list[int] = []
            for peer in self._peers:
                try:
                    request = {"voter": self._me.address}
                    reply = await self.context.network.request(peer, "signed_view", request, timeout=SYNC_TIMEOUT_S)
                    # Without rows of my own, what a peer cannot know any more has to count as signed.
                    seen.append(max(number(reply, "view"), number(reply, "blind") if is_needed else 0))
                except PortError:
                    continue
            if not is_needed or len(seen) + 1 >= self.node.validators.quorum:
                return 1 + max(seen, default=-1)
            await self.context.clock.sleep(SYNC_TIMEOUT_S)

    def _now(self) -> int:
        return self.context.clock.monotonic()

    def _spawn(self, coroutine: asyncio._CoroutineLike[None]) -> asyncio.Task[None]:
        assert self._tasks is not None, "effects are carried out while the role runs"
        try:
            return self._tasks.create_task(coroutine)
        except RuntimeError as error:  # another task of the group has failed, and with it this role
            coroutine.close()
            raise Unreachable(f"{self.context.name} is ending") from error

    # -- effects

    def _perform(self, effects: Sequence[Effect]) -> None:
        """Carry out effects in order. Only starts what takes time; its result comes back as a new input."""
        finalized: list[Finalized] = []
        for effect in effects:
            match effect:
                case PersistVote(vote):
                    key = f"{vote.vote.view:012d}:{vote.vote.kind.name.lower()}"
                    self.context.store.put(VOTES, key, to_json(vote))
                    self.context.store.put(LIFE, "voted", True)
                    self.context.store.flush()
                    self._vote_rows.append((vote.vote.view, key))
                case PersistCertificate(certificate):
                    key = f"{certificate.view:012d}:{certificate.kind.name.lower()}"
                    self.context.store.put(CONSENSUS_CERTIFICATES, key, to_json(certificate))
                    self._certificate_rows.append((certificate.view, key))
                case Broadcast(message):
                    payload = to_json(message)
                    for peer in self._peers:
                        self.context.network.send(peer, "consensus", payload)
                case EnterView():
                    for timer in self._timers:
                        timer.cancel()
                    self._timers.clear()
                case SetTimer(view, kind, after_ns):
                    self._timers.append(self._spawn(self._fire(view, kind, after_ns)))
                case BuildBlock():
                    self._spawn(self._build(effect))
                case ExecuteBlock():
                    self._spawn(self._execute(effect))
                case RequestBlocks():
                    self._spawn(self._fetch(effect))
                case RequestCertificates(views):
                    for peer in self._peers:
                        self._spawn(self._fetch_certificates(peer, views))
                case Notarized(block_hash):
                    self.node.chain.notarized(block_hash)
                case Finalized():
                    self.node.committed(effect.block_hash, effect.certificate)
                    finalized.append(effect)
                case Equivocation(first, second):
                    evidence = [to_json(first), to_json(second)]
                    self.context.record.record("problem", what=f"{effect.voter} equivocated", detail=evidence)
        if finalized:
            self._prune_rows(finalized[-1].view)
            self.node.chain.flush()
            self._push(finalized)

    def _prune_rows(self, below_view: int) -> None:
        """Delete rows no restart needs; the newest vote row stays always."""
        newest = self._vote_rows[-1:]
        for table, rows in ((VOTES, self._vote_rows), (CONSENSUS_CERTIFICATES, self._certificate_rows)):
            dead = [row for row in rows if row[0] < below_view and row not in newest]
            for _, key in dead:
                self.context.store.delete(table, key)
            rows[:] = [row for row in rows if row not in dead]

    def _push(self, finalized: Sequence[Finalized]) -> None:
        """Tell the replicas: the leader of the view and the next one do, so that one of them may be cut off."""
        last, leader = finalized[-1], self.node.validators.leader
        if self.context.name not in (leader(last.view), leader(last.view + 1)):
            return
        blocks = self.node.chain.committed_range(finalized[0].height, last.height)
        payload = {
            "blocks": [block_to_json(block) for block in blocks],
            "certificate": to_json(last.certificate),
        }
        for replica in self._replicas:
            self.context.network.send(replica, "committed", payload)

    async def _fire(self, view: int, kind: object, after_ns: int) -> None:
        await self.context.clock.sleep(after_ns / 1e9)
        self._perform(self.simplex.on_timeout(view, kind, self._now()))  # type: ignore[arg-type]  # TimerKind

    async def _build(self, effect: BuildBlock) -> None:
        await self.context.clock.sleep((effect.not_before_ns - self._now()) / 1e9)
        if self.simplex.view != effect.view:
            return
        async with self._engine_turn:
            block = await self.builder.build(effect.parent_hash, effect.height)
        if block is None:
            if effect.parent_hash == self._refused_on:
                # Nothing was built since I last refused: nobody can. Views then pass at the pace of blocks, and not
                # as fast as nullify votes travel, which without anybody to wait for (n = 1) is infinitely fast.
                await self.context.clock.sleep(self.context.plan.profile.l2_block_ms / 1000)
            self._refused_on = effect.parent_hash
            self._perform(self.simplex.on_build_refused(effect.view, self._now()))
            return
        payload = orjson.dumps(inputs_to_json(block.inputs))
        self._perform(
            self.simplex.on_block_built(
                effect.view, parent_hash=effect.parent_hash, block_hash=block.hash, payload=payload, now=self._now()
            )
        )

    async def _execute(self, effect: ExecuteBlock) -> None:
        proposal = effect.proposal
        try:
            inputs = inputs_from_json(orjson.loads(proposal.payload))
        except (WireError, orjson.JSONDecodeError):
            self._executed(effect, executed=False, refusal="malformed payload")
            return
        if (inputs.parent, inputs.number, inputs.chain_id, inputs.base_fee) != (
            proposal.parent_hash,
            proposal.height,
            L2_CHAIN_ID,
            0,
        ):
            self._executed(effect, executed=False, refusal="payload does not belong to the proposal")
            return
        held = self.node.chain.get(proposal.block_hash)
        if held is None:
            try:
                async with self._engine_turn:
                    held = await self.node.chain.execute(inputs)
            except InvalidBlock:
                held = None
        executed = held is not None and held.hash == proposal.block_hash
        if not executed or effect.certified:
            self._executed(effect, executed=executed, refusal=None if executed else "another hash")
            return
        refusal = await self.builder.refusal(inputs)
        self._executed(effect, executed=True, refusal=refusal)
        if refusal is not None:
            await self._vote_late(effect, inputs)

    async def _vote_late(self, effect: ExecuteBlock, inputs: BlockInputs) -> None:
        """What is not known yet (an L1 origin, a clock ahead of mine) may be in a moment: look again, then abstain."""
        step = ORIGIN_WAIT_S / 4
        for _ in range(4):
            if not self.builder.may_pass_later(inputs):
                return
            await self.context.clock.sleep(step)
            if await self.builder.refusal(inputs) is None:
                self._executed(effect, executed=True, refusal=None)
                return

    def _executed(self, effect: ExecuteBlock, *, executed: bool, refusal: str | None) -> None:
        proposal = effect.proposal
        self._perform(
            self.simplex.on_executed(
                proposal.view, proposal.block_hash, executed=executed, refusal=refusal, now=self._now()
            )
        )

    async def _fetch(self, effect: RequestBlocks) -> None:
        """Fetch a branch in pages from the first peer that has it, execute it upward, report each block."""
        names = [self.node.validators.roles[peer] for peer in effect.peers]
        for peer in [name for name in names if name != self.context.name] or self._peers:
            try:
                if await self._fetch_from(peer, effect):
                    return
            except (PortError, WireError, InvalidBlock):
                continue

    async def _fetch_from(self, peer: str, effect: RequestBlocks) -> bool:
        start = effect.from_height
        while start <= effect.tip_height:
            request = {"from": start, "tip": effect.tip_hash}
            page = await self.context.network.request(peer, "branch", request, timeout=SYNC_TIMEOUT_S)
            blocks = items(page, "blocks")
            if not blocks:
                return False
            for item in blocks:
                name, inputs = block_from_json(item)
                if inputs.number != start:
                    raise WireError(f"{peer} sent block {inputs.number} of a branch where {start} is due")
                async with self._engine_turn:
                    block = await self.node.execute_certified(inputs, name)
                if block is None:
                    return False
                self._perform(
                    self.simplex.on_block_executed(
                        height=block.number, block_hash=block.hash, parent_hash=inputs.parent, now=self._now()
                    )
                )
                start = inputs.number + 1
            certificate = field(page, "certificate")
            if certificate is not None:
                self._perform(self.simplex.on_certificate(certificate_from_json(certificate), self._now()))
        return True

    async def _fetch_certificates(self, peer: str, views: Sequence[int]) -> None:
        try:
            request = {"views": list(views)}
            reply = await self.context.network.request(peer, "certificates", request, timeout=SYNC_TIMEOUT_S)
            found = [certificate_from_json(row) for row in items(reply, "certificates")]
        except PortError:
            return
        for certificate in found:
            self._perform(self.simplex.on_certificate(certificate, self._now()))

    # -- answering

    async def _handle(self, sender: str, kind: str, payload: Json) -> Json:
        match kind:
            case "misbehave":
                return self.builder.orders.obey(sender, kind, payload, self._now())
            case "consensus" | "signed_view" | "certificates" if self._simplex is None:
                raise Refused("recovering")
            case "consensus":
                try:
                    vote = certified_vote(payload)
                    if vote is not None and self.simplex.holds(vote):
                        return None  # most certificates: each validator sends the one it formed
                    message = from_json(payload)
                except ValueError as error:
                    raise Refused(f"malformed consensus message: {error}") from error
                self._perform(self.simplex.on_message(message, self._now()))
                return None
            case "signed_view":
                view = self.simplex.highest_view_signed_by(address(payload, "voter"))
                return {"view": view, "blind": self._blind_until}
            case "certificates":
                views = [view for view in items(payload, "views") if type(view) is int]
                return {"certificates": [to_json(each) for each in self.simplex.certificates_for(views)]}
            case "branch":
                return self._branch(number(payload, "from"), parse_hash(text(payload, "tip")))
            case _:
                return await self.node.answer(kind, payload)

    def _branch(self, start: int, tip: Hash) -> Json:
        """Blocks from a height up to a tip, which need not be committed; the first page of them."""
        uncommitted = self.node.chain.uncommitted(tip)
        committed = self.node.chain.committed_range(start, min(start + RANGE_PAGE_MAX, NUMBER_MAX))
        blocks = [block for block in (*committed, *uncommitted) if block.number >= start][:RANGE_PAGE_MAX]
        certificate: Certificate | None = None
        for block in reversed(blocks):
            certificate = certificate or self.node.certificate_at(block.number)
        return {
            "blocks": [block_to_json(block) for block in blocks],
            "certificate": None if certificate is None else to_json(certificate),
        }
