"""The node that watches for everybody: the venue's state at each committed block, and notices that faults wait for."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from harness.consensus.messages import Certificate
from harness.evm.words import decoder
from harness.ports import Json, PortError, Refused
from harness.project_plan import ProjectCodec, Watch, is_integer_type
from harness.roles.chain import Chain
from harness.roles.context import RoleContext
from harness.roles.pools import accounts_of
from harness.roles.recording import block_record, jsonable
from harness.roles.validators import ValidatorSet
from harness.rollup.blocks import ExecutedBlock
from harness.venue.book import OpenOrder, decode_orders, encode_orders
from harness.venue.exchange import (
    PerpetualState,
    PoolState,
    PositionState,
    VenueState,
    decode_log,
    decode_state,
    encode_state,
)
from harness.venue.governance import GovernanceState, decode_governance, encode_governance, pause_names
from harness.venue.spot import decode_reserves, encode_reserves

QUEUE_MAX = 4_096
_STEPS = ("AuctionStarted", "Liquidated")
"""What a keeper does to somebody; the liquidator tells of its upgrades, too."""


class Observer:
    """Records `block` and `state` for each block its node commits, off the node's own path."""

    def __init__(self, context: RoleContext, chain: Chain, validators: ValidatorSet) -> None:
        self.context = context
        self.chain = chain
        self.validators = validators
        clients = context.plan.of_kind("admin", "maker", "keeper", "trader")
        owners = [context.accounts[c.name] for c in clients if c.name in context.accounts]
        self.accounts = accounts_of(context.plan, owners)
        self.assets = [asset for asset, _ in context.plan.markets]
        self._ask_state = encode_state(self.accounts, self.assets)
        self._queue: asyncio.Queue[tuple[ExecutedBlock, int | None]] = asyncio.Queue(QUEUE_MAX)
        self._noticed: dict[str, bool] = {}
        self._governed: GovernanceState | None = None
        self._project = ProjectCodec(context.plan.project)
        self._watches = context.plan.project.watches if context.plan.project is not None else ()

    def on_committed(self, block: ExecutedBlock, certificate: Certificate | None) -> None:
        """Queue a committed block; a queue that overflows loses state records, which checks then count as unseen."""
        if not self._queue.full():
            self._queue.put_nowait((block, None if certificate is None else certificate.view))

    async def watch_forever(self) -> None:
        """Write what was committed, in order."""
        while True:
            block, view = await self._queue.get()
            self.context.record.record("block", **block_record("l2", block, self.context.deployment, self._project))
            self.context.record.record(
                "notice",
                event=f"l2-block:{block.number}",
                leader=None if view is None else self.validators.leader(view + 1),
            )
            if self._watches:
                await self._record_reading(block)
            if not self.context.plan.has_venue:
                continue
            try:
                state = await self._state(block)
                further = await self._further(block, state)
            except PortError as error:
                detail = f"block {block.number}: {error}"
                self.context.record.record("problem", what="state could not be read", detail=detail)
                continue
            self._record_state(block, state, further)
            self._notice(block, state)

    async def _record_reading(self, block: ExecutedBlock) -> None:
        """What the project's watched calls return after a block; one that cannot be evaluated is left out."""
        values: dict[str, Json] = {}
        for watch in self._watches:
            try:
                values[watch.name] = await self._evaluate(watch, block)
            except PortError as error:
                detail = f"block {block.number}: {watch.text}: {error}"
                self.context.record.record("problem", what=f"watch {watch.name} could not be read", detail=detail)
        integers = [w.name for w in self._watches if w.name in values and all(map(is_integer_type, w.outputs))]
        self.context.record.record(
            "reading", number=block.number, hash=block.hash, values=values, integers=integers
        )

    async def _evaluate(self, watch: Watch, block: ExecutedBlock) -> Json:
        data = await self.chain.engine.call(watch.to, bytes.fromhex(watch.data[2:]), at=block.hash)
        try:
            found = decoder(watch.outputs)(data)
        except Exception as error:  # eth_abi raises what it likes on bytes that are no such result
            raise Refused(f"answered {len(data)} bytes that are not ({', '.join(watch.outputs)})") from error
        return jsonable(found[0] if len(found) == 1 else list(found))

    async def _state(self, block: ExecutedBlock) -> VenueState:
        lens = self.context.deployment["lens"]
        return decode_state(await self.chain.engine.call(lens, self._ask_state, at=block.hash))

    async def _book(self, block: ExecutedBlock, state: VenueState) -> dict[str, Json]:
        """Every open order by series, as `OrderBook.orders` shows them."""
        address, found = self.context.deployment["order_book"], {}
        for series in state.series:
            answer = await self.chain.engine.call(address, encode_orders(series.series_id), at=block.hash)
            found[str(series.series_id)] = [_order(order) for order in decode_orders(answer)]
        return found

    async def _further(self, block: ExecutedBlock, state: VenueState) -> dict[str, Json]:
        """What plans with more than series and accounts have in a `state` record: a book, decisions, a spot pool."""
        plan, found = self.context.plan, dict[str, Json]()
        if plan.trading == "book":
            found["book"] = await self._book(block, state)
        if plan.governance:
            found["governance"] = await self._governance(block)
        if plan.spot is not None:
            found["spot"] = await self._spot(block)
        return found

    async def _governance(self, block: ExecutedBlock) -> dict[str, Json]:
        """What was decided so far, and the clocks that depend on it."""
        lens = self.context.deployment["lens"]
        state = decode_governance(await self.chain.engine.call(lens, encode_governance(), at=block.hash))
        self._notice_decisions(state)
        return asdict(state)

    def _notice_decisions(self, now: GovernanceState) -> None:
        """A line for whoever watches the run, where something was decided since the block before."""
        before, self._governed = self._governed, now
        if before is None:
            return
        lines = {
            f"paused: {pause_names(now.paused)}": now.paused != before.paused,
            f"margin factors: initial {now.im_bps} bps, maintenance {now.mm_bps} bps":
                (now.im_bps, now.mm_bps) != (before.im_bps, before.mm_bps),
            f"liquidator: version {now.version}": now.version != before.version,
        }
        for line in (line for line, has_changed in lines.items() if has_changed):
            self.context.record.record("notice", event=line, leader=None)

    async def _spot(self, block: ExecutedBlock) -> dict[str, Json]:
        """What is in the spot pool."""
        answer = await self.chain.engine.call(self.context.deployment["spot_amm"], encode_reserves(), at=block.hash)
        pool = decode_reserves(answer)
        return {"underlying": str(pool.underlying), "quote": str(pool.quote), "shares": str(pool.shares)}

    def _record_state(self, block: ExecutedBlock, state: VenueState, further: dict[str, Json]) -> None:
        totals = state.totals
        perpetuals = {p.series_id: p for p in state.perpetuals}
        self.context.record.record(
            "state",
            number=block.number,
            hash=block.hash,
            totals=jsonable(
                {
                    "custody": totals.custody,
                    "insurance": totals.insurance,
                    "fees": totals.fees,
                    "dust": totals.dust,
                    "deficit": totals.deficit,
                }
            ),
            accounts={
                a.address: {
                    **jsonable({"cash": a.cash, "equity": a.equity, "im": a.im, "mm": a.mm}),
                    "auction": a.auction,
                    "moved_at": a.moved_at,
                    **({"pool": a.pool} if a.pool else {}),
                    "positions": [
                        {"series": p.series_id, **_position(p, p.series_id in perpetuals)} for p in a.positions
                    ],
                }
                for a in state.accounts
            },
            series={
                str(s.series_id): {
                    **jsonable({"clearing": s.clearing, "open_interest": s.open_interest, "price": s.price}),
                    "open_positions": s.open_positions,
                    "final": s.is_final,
                    "disputed_at": s.disputed_at,
                    **({"funding": _funding(perpetuals[s.series_id])} if s.series_id in perpetuals else {}),
                }
                for s in state.series
            },
            assets={
                a.name: {
                    "round": a.round,
                    "timestamp": a.timestamp,
                    **jsonable({"price": a.price, "cumulative": a.cumulative, "funded": a.funded}),
                    "active_at": a.active_at,
                    "covered": a.covered,
                    "beyond": a.beyond,
                    "halted_until": a.halted_until,
                }
                for a in state.assets
            },
            **further,
            **({"pools": [_pool(pool) for pool in state.pools]} if len(state.pools) > 1 else {}),
        )

    def _notice(self, block: ExecutedBlock, state: VenueState) -> None:
        if any(a.equity < a.mm and a.mm > 0 for a in state.accounts):
            self._once("first-liquidatable")
        for product in self.context.plan.products:
            if block.inputs.timestamp >= self.context.genesis_timestamp + product.expires_s:
                self._once(f"expiry:{product.id}")
        liquidator = self.context.deployment["liquidator"]
        logs = [log for receipt in block.receipts for log in receipt.logs if log.address == liquidator]
        events = (decode_log(log, self.context.deployment) for log in logs)
        if any(event is not None and event.name in _STEPS for event in events):
            self._once("first-liquidation")

    def _once(self, event: str) -> None:
        if event not in self._noticed:
            self._noticed[event] = True
            self.context.record.record("notice", event=event, leader=None)


def _position(held: PositionState, is_perpetual: bool) -> dict[str, Json]:
    amounts: dict[str, Json] = {"size": str(held.size), "notional": str(held.notional)}
    return {**amounts, "funding_index": str(held.funding_index)} if is_perpetual else amounts


def _pool(books: PoolState) -> dict[str, Json]:
    apart = ("pool", "coin", "custody")
    amounts = {key: value for key, value in asdict(books).items() if key not in apart}
    coin: dict[str, Json] = {"coin": books.coin, "custody": str(books.custody)} if books.coin else {}
    return {"pool": books.pool, **jsonable(amounts), **coin}


def _order(order: OpenOrder) -> Json:
    return [order.id, order.account, str(order.rest), str(order.price), order.deadline]


def _funding(market: PerpetualState) -> dict[str, Json]:
    return {
        "index": str(market.index),
        "rate": str(market.rate),
        "integral": str(market.integral),
        "window": market.window,
        "weight": str(market.weight),
        "weighted": str(market.weighted),
    }
