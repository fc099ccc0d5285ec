"""The settlement chain: one builder that owns the mempool and the fee schedule, and followers that re-execute it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from harness.evm.wallet import decode_transaction
from harness.plan import L1_CHAIN_ID, L1_GAS_LIMIT, Knot
from harness.ports import OPERATOR, Json, PortError, Refused
from harness.roles.context import RoleContext
from harness.roles.jsonrpc.opening import serve_l1
from harness.roles.l1_bridge import answer_bridge
from harness.roles.mempool import Mempool, Rejected
from harness.roles.orders import MISBEHAVE, Orders, scaled
from harness.roles.recording import block_record
from harness.roles.wire import (
    WireError,
    address,
    behind,
    block_from_json,
    block_to_json,
    data,
    field,
    inputs_from_json,
    inputs_to_json,
    items,
    number,
)
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, InvalidBlock
from harness.rollup.forced import entry_to_json
from harness.venue.forced_queue import forced_entries

BLOCKS_PER_REPLY_MAX = 64
REPLY_BYTES_MAX = 8_000_000
"""About; a message that is twice as long would not be sent. A full L1 block has some 1.9 MB of transactions."""
JOURNAL = "l1_journal"


class L1Chain:
    """The L1 blocks one node holds, by height; the journal in its store is the truth after a crash."""

    def __init__(self, context: RoleContext) -> None:
        assert context.engine is not None, "an L1 role runs on an engine"
        self.context = context
        self.engine = context.engine
        self.blocks: list[ExecutedBlock] = []
        self._held: dict[Hash, ExecutedBlock] = {}
        self.pool = Mempool(chain_id=L1_CHAIN_ID, gas_limit=L1_GAS_LIMIT)
        self.when_changed: list[Callable[[], None]] = []
        """Called after the tip has moved."""

    @property
    def tip_hash(self) -> Hash:
        return self.blocks[-1].hash if self.blocks else self.engine.genesis_hash

    @property
    def height(self) -> int:
        return len(self.blocks)

    @property
    def tip_timestamp(self) -> int:
        return self.blocks[-1].inputs.timestamp if self.blocks else self.context.genesis_timestamp

    def held(self, name: Hash) -> ExecutedBlock | None:
        """A block this node executed, whether or not it is still on its chain."""
        return self._held.get(name)

    async def recover(self) -> None:
        """Replay the journal into the engine; rows that do not execute any more are dropped from there on."""
        rows = [inputs_from_json(row) for _, row in self.context.store.scan(JOURNAL)]
        for block in await self.engine.replay(rows):
            self._adopt(block)
        for lost in range(self.height + 1, len(rows) + 1):
            self.context.store.delete(JOURNAL, f"{lost:010d}")
        self.context.store.flush()

    async def append(self, inputs: BlockInputs) -> ExecutedBlock:
        """Execute the next block, make it durable, then hold it. Raises what `Engine.execute` raises."""
        block = await self.engine.execute(inputs)
        self.context.store.put(JOURNAL, f"{inputs.number:010d}", inputs_to_json(inputs))
        self.context.store.flush()
        self._adopt(block)
        return block

    def _adopt(self, block: ExecutedBlock) -> None:
        self._hold(block)
        for tell in self.when_changed:
            tell()

    def _hold(self, block: ExecutedBlock) -> None:
        self.blocks.append(block)
        self._held[block.hash] = block
        self.pool.commit(decode_transaction(raw) for raw in block.inputs.transactions)

    def replace(self, height: int, blocks: Sequence[ExecutedBlock]) -> list[bytes]:
        """Give up everything above a height for these blocks, which are executed; the transactions given up, in order.

        One step: nobody ever reads a chain in between, and a crash leaves the one or the other.
        """
        removed = self.blocks[height:]
        del self.blocks[height:]
        raws = [raw for block in removed for raw in block.inputs.transactions]
        self.pool.uncommit(map(decode_transaction, raws))
        for block in removed:
            self.context.store.delete(JOURNAL, f"{block.number:010d}")
        for block in blocks:
            self.context.store.put(JOURNAL, f"{block.number:010d}", inputs_to_json(block.inputs))
            self._hold(block)
        self.context.store.flush()
        for tell in self.when_changed:
            tell()
        return raws

    def _hash_at(self, number: int) -> Hash:
        return self.blocks[number - 1].hash if number else self.engine.genesis_hash

    def _page(self, blocks: Sequence[ExecutedBlock]) -> list[Json]:
        """The first of these that fit into one reply; one always does."""
        page: list[Json] = []
        size = 0
        for block in blocks:
            # In hex, and what was forced is there twice.
            size += 4 * sum(map(len, block.inputs.transactions))
            if page and size > REPLY_BYTES_MAX:
                break
            page.append(self._to_json(block))
        return page

    def _to_json(self, block: ExecutedBlock) -> Json:
        """A block of a page, with what joined the forced queue in it, which its logs tell and its inputs do not."""
        forced = forced_entries(block, self.context.deployment)
        found = block_to_json(block)
        return {**found, "forced": [entry_to_json(entry) for entry in forced]} if forced else found

    async def answer(self, kind: str, payload: Json) -> Json:
        """The read side every L1 node serves, and `l1_submit` on the builder's pool."""
        match kind:
            case "l1_blocks":
                start = max(1, number(payload, "from"))
                height = max(0, self.height - behind(payload))
                return {
                    "height": height,
                    "genesis": self.engine.genesis_hash,
                    "before": self._hash_at(start - 1) if start <= height + 1 else None,
                    "blocks": self._page(self.blocks[start - 1 : min(height, start - 1 + BLOCKS_PER_REPLY_MAX)]),
                }
            case "block-at":
                wanted = number(payload, "number")
                return {"hash": self._hash_at(wanted) if wanted <= self.height else None}
            case "l1_nonce":
                sender, hidden = address(payload, "address"), self.blocks[max(0, self.height - behind(payload)) :]
                used = sum(
                    decode_transaction(raw).sender == sender for block in hidden for raw in block.inputs.transactions
                )
                nonce = self.pool.nonces.get(sender, 0) - used
                return {"nonce": nonce, "height": self.height - len(hidden)}
            case _:
                return await answer_bridge(self, kind, payload)


class L1Builder:
    """Builds a block every T1 from its mempool, at the base fee the plan schedules for that moment."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.chain = L1Chain(context)
        self._orders = Orders("fee-spike")
        self._turn = asyncio.Lock()
        """Held while blocks are made: an order to reorg may come at any time."""

    async def run(self) -> None:
        await self.chain.recover()
        self.context.network.serve(self._handle)
        public = serve_l1(self.chain, builder=None, base_fee=self._base_fee)
        async with asyncio.TaskGroup() as tasks:
            if public is not None:
                tasks.create_task(public.run())
            tasks.create_task(self._build_forever())

    def _base_fee(self) -> int:
        fee = scheduled_value(self.context.plan.l1_base_fee, self.context.clock.monotonic())
        for _, order in self._orders.of("fee-spike"):
            fee = scaled(fee, order.amount)
        return fee

    async def _build_forever(self) -> None:
        interval_ns = int(self.context.plan.profile.l1_block_ms) * 1_000_000
        clock = self.context.clock
        due = clock.monotonic() + interval_ns
        while True:
            await clock.sleep((due - clock.monotonic()) / 1e9)
            async with self._turn:
                await self._build()
            # A builder that was paused resumes its cadence; it does not fire the blocks it missed.
            due = max(due + interval_ns, clock.monotonic() + interval_ns // 10)

    async def _build(self) -> None:
        base_fee = self._base_fee()
        chain = self.chain
        candidates = chain.pool.select(base_fee=base_fee)
        while True:
            inputs = BlockInputs(
                chain_id=chain.pool.chain_id,
                number=chain.height + 1,
                parent=chain.tip_hash,
                timestamp=max(chain.tip_timestamp, self.context.clock.now() // 1_000_000_000),
                base_fee=base_fee,
                transactions=tuple(candidates),
            )
            try:
                block = await chain.append(inputs)
                break
            except InvalidBlock as invalid:
                if not candidates:
                    raise  # an empty block is refused: dropping transactions will not help
                kept = without_missing(candidates, invalid.missing)
                for raw in candidates:
                    if raw not in kept:
                        chain.pool.drop(decode_transaction(raw).hash)
                candidates = kept
        for fault, _ in self._orders.of("fee-spike"):
            self._orders.acted(fault)
        self._announce(block)

    def _announce(self, block: ExecutedBlock) -> None:
        self.context.record.record("block", **block_record("l1", block, self.context.deployment))
        for follower in self.context.plan.of_kind("l1-follower"):
            self.context.network.send(follower.name, "l1_announce", {"height": block.number})

    async def _reorg(self, depth: int, *, drops: bool) -> Json:
        """Replace the newest blocks by empty ones; their transactions go back into the pool, or are lost."""
        chain = self.chain
        if not 1 <= depth <= chain.height:
            raise Refused(f"a reorg of {depth} blocks is not possible: L1 has {chain.height}")
        if why := self.context.plan.profile.why_no_reorg(depth):
            raise Refused(why)
        height = chain.height - depth
        old = chain.blocks[height:]
        parent = chain.blocks[height - 1].hash if height else chain.engine.genesis_hash
        new: list[ExecutedBlock] = []
        for block in old:
            # The slots stay; the first is a second later, or an empty block would be replaced by itself.
            timestamp = max(block.inputs.timestamp + (not new), new[-1].inputs.timestamp if new else 0)
            inputs = replace(block.inputs, parent=parent, timestamp=timestamp, transactions=())
            new.append(await chain.engine.execute(inputs))
            parent = new[-1].hash
        raws = chain.replace(height, new)
        if not drops:
            for raw in raws:
                with suppress(Rejected):  # outbid meanwhile
                    chain.pool.add(raw)
        told = {
            "fork": height, "depth": depth, "old": old[-1].hash, "new": new[-1].hash, "transactions": len(raws),
            "lost": drops,
        }  # fmt: skip
        self.context.record.record("stat", name="l1-reorg", **told)
        for block in new:
            self._announce(block)
        return told

    async def _handle(self, sender: str, kind: str, payload: Json) -> Json:
        if sender == OPERATOR and kind == "reorg":
            async with self._turn:
                return await self._reorg(number(payload, "depth", least=1), drops=bool(field(payload, "drops")))
        if kind == MISBEHAVE:
            return self._orders.obey(sender, kind, payload, self.context.clock.monotonic())
        if kind == "l1_submit":
            try:
                return {"hash": self.chain.pool.add(data(payload, "raw")).hash}
            except Rejected as rejected:
                raise Refused(rejected.args[0]) from rejected
        if kind == "l1_fee":
            return {"base_fee": self._base_fee()}
        return await self.chain.answer(kind, payload)


class L1Follower:
    """Re-executes the builder's blocks on its own node, so that different L2 nodes can see different L1s."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.chain = L1Chain(context)
        self._news = asyncio.Event()

    async def run(self) -> None:
        await self.chain.recover()
        self.context.network.serve(self._handle)
        builder = self.context.plan.of_kind("l1-builder")[0].name
        public = serve_l1(self.chain, builder=builder, base_fee=self._base_fee)
        async with asyncio.TaskGroup() as tasks:
            if public is not None:
                tasks.create_task(public.run())
            tasks.create_task(self._follow_forever(builder))

    def _base_fee(self) -> int:
        """What the builder will charge: all nodes know the schedule."""
        return scheduled_value(self.context.plan.l1_base_fee, self.context.clock.monotonic())

    async def _follow_forever(self, builder: str) -> None:
        interval = self.context.plan.profile.l1_block_ms / 1000
        while True:
            await wait_for_news(self._news, interval)
            try:
                await self._catch_up(builder, timeout=interval)
            except PortError:
                continue  # the builder is out of reach: this follower lags, which is what its readers then see

    async def _catch_up(self, builder: str, *, timeout: float) -> None:
        while True:
            request = {"from": self.chain.height + 1}
            reply = await self.context.network.request(builder, "l1_blocks", request, timeout=timeout)
            if reply.get("before") not in (None, self.chain.tip_hash):
                await self._reorg(builder, timeout=timeout)
                continue
            page = items(reply, "blocks")
            for item in page:
                name, inputs = block_from_json(item)
                block = await self.chain.append(inputs)
                self._compare(block, name)
            if self.chain.height >= number(reply, "height") or not page:
                return

    async def _reorg(self, builder: str, *, timeout: float) -> None:
        """The builder's chain is another one: find where it left ours, and take it over from there, in one step."""
        held = [self.chain.engine.genesis_hash, *(block.hash for block in self.chain.blocks)]
        start = self.chain.height
        while True:
            start = max(1, start - BLOCKS_PER_REPLY_MAX // 2)
            reply = await self.context.network.request(builder, "l1_blocks", {"from": start}, timeout=timeout)
            if reply.get("before") == held[start - 1]:
                break
            if start == 1:
                raise WireError(f"{builder} is another chain: its genesis is not ours")
        fork = start - 1
        new: list[ExecutedBlock] = []
        while not new and (page := items(reply, "blocks")):
            for item in page:
                name, inputs = block_from_json(item)
                if not new and inputs.number < len(held) and held[inputs.number] == name:
                    fork = inputs.number
                    continue
                new.append(await self.chain.engine.execute(inputs))
                self._compare(new[-1], name)
            if not new:  # large blocks make short pages
                request = {"from": fork + 1}
                reply = await self.context.network.request(builder, "l1_blocks", request, timeout=timeout)
        if new and fork < self.chain.height:
            self.chain.replace(fork, new)

    def _compare(self, block: ExecutedBlock, name: Hash) -> None:
        if block.hash != name:
            self.context.record.record(
                "problem",
                what="l1 divergence",
                detail=f"block {block.number}: builder says {name}, executed {block.hash}",
                fatal=True,
            )

    async def _handle(self, sender: str, kind: str, payload: Json) -> Json:
        if kind == "l1_announce":
            self._news.set()
            return None
        if kind in ("l1_submit", "l1_fee"):
            builder = self.context.plan.of_kind("l1-builder")[0].name
            return await self.context.network.request(builder, kind, payload, timeout=2.0)
        return await self.chain.answer(kind, payload)


def scheduled_value(path: Sequence[Knot], now_ns: int) -> int:
    """The value of a step path at a time: that of the last knot not after it (the first knot's before any)."""
    value = path[0].value
    for knot in path:
        if knot.at_ns > now_ns:
            break
        value = knot.value
    return value


def without_missing(candidates: list[bytes], missing: Sequence[int]) -> list[bytes]:
    """The candidates a node did take; all are dropped when it could not say which it refused."""
    refused = dict.fromkeys(missing)
    return [raw for index, raw in enumerate(candidates) if index not in refused] if refused else []


async def wait_for_news(news: asyncio.Event, seconds: float) -> None:
    """Return when `news` is set or the time is over, whichever is first, with `news` cleared."""
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        pass
    news.clear()
