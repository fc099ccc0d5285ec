"""A keeper: liquidates what has fallen below maintenance margin, finalizes and settles what has expired, and moves a
perpetual's rate on once its premium window is over.

Several keepers compete. Each takes its own share of the accounts at once and the others' share only after a few
blocks without success, so that they neither race for every account nor leave one alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from harness.evm.accounts import account
from harness.ports import PortError
from harness.roles.admin import series_id
from harness.roles.bankrolls import KEEPER_NATIVE, KEEPER_POOL_NATIVE
from harness.roles.client import L2_GAS_LIMIT, ChainClient
from harness.roles.context import RoleContext
from harness.roles.deposit import deposit_once
from harness.roles.gas_purse import GasPurse
from harness.roles.pools import accounts_of, open_accounts_once
from harness.venue.exchange import (
    STAGES,
    SeriesState,
    VenueState,
    decode_stages,
    decode_state,
    encode_accrue,
    encode_bid,
    encode_cancel_auction,
    encode_cover_deficit,
    encode_finalize,
    encode_haircut,
    encode_liquidate,
    encode_resolve,
    encode_settle,
    encode_stages,
    encode_state,
)

PATIENCE_BLOCKS = 4
"""Blocks a keeper leaves another's share to the other."""
CALLS_PER_TURN_MAX = 16
PAID = ("liquidate", "bid")
"""What brings the keeper a reward; the rest is upkeep, done as long as there is money for it."""
LOOK_TURNS = 8
"""After an auction was seen, so long its end and what it may have left are looked for."""
_ABOUT_AUCTIONS = (STAGES["start-auction"], STAGES["wait"], STAGES["bid"], STAGES["deleverage"])


@dataclass(frozen=True, slots=True)
class Duty:
    """One call worth making, named so that its age can be followed from block to block."""

    key: str
    action: str
    args: dict[str, str | int]
    to: str
    data: bytes
    share: int  # whose it is: index modulo the number of keepers


class Keeper:
    """One turn per L2 block: read, decide, send a bounded batch, wait for the outcomes."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.keepers = context.plan.of_kind("keeper")
        clients = context.plan.of_kind("trader", "maker", "keeper")
        indices = [*(c.account for c in clients if c.account is not None), *context.plan.users]
        owners = [account(index).address for index in dict.fromkeys(indices)]
        self.accounts = accounts_of(context.plan, owners)
        self.assets = [asset for asset, _ in context.plan.markets]
        self.client = ChainClient.of(context)
        self.account = self.client.account
        self._own = frozenset(accounts_of(context.plan, [self.account.address]))
        self._ask_stages = encode_stages(self.accounts)
        self._ask_state = encode_state(self.accounts, self.assets)
        self._has_perpetuals = any(product.kind == "perpetual" for product in context.plan.products)
        self._turns_to_look = 0
        """For so many turns more an auction or a deficit may be open."""
        self._accrued_window = -1
        """The newest premium window in which every perpetual was seen accrued."""
        self._windows: dict[int, int] = {}
        """Disputed series → the first observation after its dispute, which begins the window that may end it."""
        self._resolved: set[int] = set()
        """Disputed series whose window this keeper has tried already."""
        self._ages: dict[str, int] = {}
        """Duty → turns it has been open."""
        self._operations = 0
        gas = context.plan.keeper_gas
        self._purse = None if gas is None else GasPurse(gas, context.spec.index, context.plan.venue)
        self._said: dict[str, bool] = {}
        """What this keeper has told of its purse already, by the duty it was about."""

    async def run(self) -> None:
        await deposit_once(self.context, self.client, KEEPER_NATIVE)
        await open_accounts_once(self.context, self.client, KEEPER_POOL_NATIVE)
        interval = self.context.plan.profile.l2_block_ms / 1000
        while True:
            with suppress(PortError):  # no gateway in reach: the next block is another chance
                await self._turn()
            await self.context.clock.sleep(interval)

    async def _turn(self) -> None:
        duties = [*await self._liquidations(), *await self._upkeep()]
        self._ages = {duty.key: self._ages.get(duty.key, 0) + 1 for duty in duties}
        mine = [
            duty
            for duty in duties
            if self._purse is not None   # who pays for gas races for whatever it can get
            or duty.share == self.context.spec.index % len(self.keepers)
            or self._ages[duty.key] > PATIENCE_BLOCKS
        ][:CALLS_PER_TURN_MAX]
        if mine and self._purse is not None:
            mine = await self._within_means(mine, self._purse)
        if not mine:
            return
        names = []
        self._resolved |= {int(duty.args["series"]) for duty in mine if duty.action == "resolve"}
        for duty in mine:
            self._operations += 1
            name = f"{self.context.name}/{duty.action}-{self.context.clock.monotonic()}-{self._operations}"
            self.client.invoke(name, duty.action, duty.args)
            names.append(name)
        tip_wei = 0 if self._purse is None else self._purse.tip_wei
        outcomes = await self.client.send_all([(duty.to, duty.data) for duty in mine], tip_wei=tip_wei)
        for name, duty, outcome in zip(names, mine, outcomes, strict=True):
            self.client.conclude(name, duty.action, outcome)

    async def _within_means(self, duties: list[Duty], purse: GasPurse) -> list[Duty]:
        """Of the steps that pay a reward those worth their gas, of everything as much as it can pay for."""
        worth = duties
        if any(duty.action in PAID for duty in duties):
            state = decode_state((await self.client.read(self.context.deployment["lens"], self._ask_state)).data)
            margins = {holder.address: holder.mm for holder in state.accounts}
            prices = {asset.name: asset.price for asset in state.assets}
            ether = prices.get("ETH", next(iter(prices.values()), 0))
            worth = [
                duty for duty in duties
                if duty.action not in PAID
                or purse.is_worth(maintenance_wad=margins[str(duty.args["account"])], ether_price_wad=ether)
            ]  # fmt: skip
        chosen = worth[: purse.affordable(len(worth), gas_limit=L2_GAS_LIMIT)]
        for duty in duties:
            if duty not in chosen and duty.key not in self._said:
                self._said[duty.key] = True
                why = "not-worth-its-gas" if duty not in worth else "out-of-gas-money"
                self.context.record.record("stat", name=why, duty=duty.key, left_wei=str(purse.left_wei))
        purse.spend(len(chosen))
        return chosen

    async def _liquidations(self) -> list[Duty]:
        """The next step of the ladder for everyone below maintenance margin."""
        view = await self.client.read(self.context.deployment["lens"], self._ask_stages)
        stages = decode_stages(view.data)
        if any(stage in _ABOUT_AUCTIONS for stage in stages):
            self._turns_to_look = LOOK_TURNS
        return [
            self._bid(index, address) if stage == STAGES["bid"] else self._liquidate(index, address)
            for index, (address, stage) in enumerate(zip(self.accounts, stages, strict=True))
            if stage not in (STAGES["nothing"], STAGES["wait"]) and address not in self._own
        ]

    def _liquidate(self, index: int, address: str) -> Duty:
        return self._duty("liquidate", {"account": address}, "liquidator", encode_liquidate(address), index)

    def _bid(self, index: int, address: str) -> Duty:
        return self._duty("bid", {"account": address}, "liquidator", encode_bid(address), index)

    def _duty(self, action: str, args: Mapping[str, str | int], contract: str, data: bytes, share: int) -> Duty:
        key = " ".join([action, *(str(value) for value in args.values())])
        return Duty(key, action, dict(args), self.context.deployment[contract], data, share % len(self.keepers))

    async def _upkeep(self) -> list[Duty]:
        """Funding to accrue, auctions and losses to end, series to finalize, positions to settle."""
        now_s = self.context.clock.now() // 1_000_000_000
        expired = [
            (series_id(self.context, product.id), self.context.genesis_timestamp + product.expires_s, product)
            for product in self.context.plan.products
            if self.context.genesis_timestamp + product.expires_s <= now_s
        ]
        window = now_s // self.context.plan.venue.premium_window_s
        must_accrue = self._has_perpetuals and window > self._accrued_window
        if not expired and not must_accrue and not self._turns_to_look:
            return []
        view = await self.client.read(self.context.deployment["lens"], self._ask_state)
        state = decode_state(view.data)
        duties = self._accruals(state, view.timestamp) if must_accrue else []
        duties += self._losses(state)
        observed = {asset.name: asset.timestamp for asset in state.assets}
        patience = self.context.plan.venue.dispute_patience_s
        for number, expiry, product in expired:
            series = next((s for s in state.series if s.series_id == number), None)
            if series is None:
                continue
            if not series.is_final:
                last = observed.get(product.underlying, 0)
                if series.disputed_at:
                    duties += self._dispute(series, last, view.timestamp)
                elif view.timestamp >= expiry and (last >= expiry or view.timestamp >= expiry + patience):
                    call = encode_finalize(number)
                    duties.append(self._duty("finalize", {"series": number}, "settlement", call, number))
            elif series.open_positions:
                duties += self._settle(state, number)
        return duties

    def _accruals(self, state: VenueState, timestamp: int) -> list[Duty]:
        window = timestamp // self.context.plan.venue.premium_window_s
        late = [market.series_id for market in state.perpetuals if market.window < window]
        if state.perpetuals and not late:
            self._accrued_window = window
        return [
            self._duty("accrue", {"series": number, "window": window}, "perpetuals", encode_accrue(number), number)
            for number in late
        ]

    def _losses(self, state: VenueState) -> list[Duty]:
        """What ends auctions that were cured, and a pool's deficit: insurance first, a haircut once that is empty."""
        is_open = any(books.deficit for books in state.pools) or any(holder.auction for holder in state.accounts)
        self._turns_to_look = LOOK_TURNS if is_open else max(0, self._turns_to_look - 1)
        duties = []
        for index, holder in enumerate(state.accounts):
            if holder.auction and not (holder.mm > 0 and holder.equity < holder.mm):
                call, args = encode_cancel_auction(holder.address), {"account": holder.address}
                duties.append(self._duty("cancel-auction", args, "liquidator", call, index))
        for books in state.pools:
            which: dict[str, str | int] = {"pool": books.pool} if books.pool else {}
            if books.deficit and books.insurance:
                duties.append(self._duty("cover-deficit", which, "vault", encode_cover_deficit(books.pool), books.pool))
            elif books.deficit:
                duties.append(self._duty("haircut", which, "liquidator", encode_haircut(books.pool), books.pool))
        return duties

    def _dispute(self, series: SeriesState, last: int, now_s: int) -> list[Duty]:
        """Once the window after a dispute is full, and again once nothing but the carried price is left."""
        venue, number = self.context.plan.venue, series.series_id
        if last > series.disputed_at:
            self._windows.setdefault(number, last)
        is_full = number in self._windows and last >= self._windows[number] + venue.settlement_window_s
        is_over = now_s >= series.disputed_at + venue.dispute_window_s
        if not is_over and (not is_full or number in self._resolved):
            return []
        return [self._duty("resolve", {"series": number}, "settlement", encode_resolve(number), number)]

    def _settle(self, state: VenueState, number: int) -> Sequence[Duty]:
        return [
            self._duty(
                "settle",
                {"account": holder.address, "series": number},
                "settlement",
                encode_settle(holder.address, number),
                index,
            )
            for index, holder in enumerate(state.accounts)
            if any(p.series_id == number and p.size for p in holder.positions)
        ]
