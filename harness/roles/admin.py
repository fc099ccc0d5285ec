"""The venue's operator: pays in the insurance fund and lists the plan's series, in order, once the chain lives; then
governs as the plan says, and decides a disputed settlement when its time has come and nobody else could end it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import astuple

from harness.plan import NEVER_S, Product
from harness.ports import PortError
from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.roles.governor import Governor
from harness.roles.market import PricePath
from harness.venue.book import TICK_WAD, encode_open_market
from harness.venue.exchange import (
    KINDS,
    NEVER,
    decode_state,
    encode_fund_insurance,
    encode_list_series_with,
    encode_override_price,
    encode_state,
)
from harness.venue.pools import encode_open_coin_pool
from harness.venue.spot import encode_add_liquidity

WATCH_S = 1.0
DELAY_S = 2
"""A keeper that can end a dispute is given so long before the operator decides it."""


def series_id(context: RoleContext, product: str) -> int:
    """The id a product's series gets on chain: the admin lists them one by one in the plan's order, from 1."""
    return next(i for i, p in enumerate(context.plan.products, start=1) if p.id == product)


class Admin:
    """Does its few calls one by one; one that fails is fatal, for every later series id would be wrong. Then it watches
    what expires and takes the steps of governance, until all of it is done."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.client = ChainClient.of(context)
        self._governor = Governor(context, self.client)
        self._calls = 0
        self._overrides = 0

    async def run(self) -> None:
        plan, deployment = self.context.plan, self.context.deployment
        if plan.insurance_native:
            data = encode_fund_insurance(plan.insurance_native)
            await self._carry_out("fund-insurance", {"amount": str(plan.insurance_native)}, deployment["vault"], data)
        is_open = False
        for product in plan.products:
            is_endless = product.kind == "perpetual"
            expiry = NEVER if is_endless else self.context.genesis_timestamp + product.expires_s
            if plan.coin is not None and product.terms.pool == plan.coin.pool and not is_open:
                is_open = True
                data = encode_open_coin_pool(plan.coin.pool, deployment["spot_token"], plan.coin.asset)
                args = {"pool": str(plan.coin.pool), "asset": plan.coin.asset}
                await self._carry_out("open-coin-pool", args, deployment["vault"], data)
            data = encode_list_series_with(
                KINDS[product.kind], product.underlying, product.strike_wad, expiry, astuple(product.terms)
            )
            await self._carry_out("list-series", {"product": product.id}, deployment["clearing_house"], data)
        for isolated, amount in enumerate(plan.pool_insurance_native, start=1):
            if amount:
                args = {"amount": str(amount), "pool": str(isolated)}
                data = encode_fund_insurance(amount, isolated)
                await self._carry_out("fund-insurance", args, deployment["vault"], data)
        if plan.trading == "book":
            for number, product in enumerate(plan.products, start=1):
                data = encode_open_market(number, tick=TICK_WAD, lot=plan.venue.lot_wad)
                await self._carry_out("open-market", {"product": product.id}, deployment["order_book"], data)
        if plan.spot is not None:
            pool = plan.spot
            data = encode_add_liquidity(pool.underlying, pool.quote, min_shares=0, deadline=NEVER)
            await self._carry_out("add-liquidity", {"asset": pool.asset}, deployment["spot_amm"], data)
        await self._watch([product for product in plan.products if product.expires_s != NEVER_S])

    async def _watch(self, products: list[Product]) -> None:
        """One thing after the other, so that no two writes compete for a nonce; ends when nothing is left to decide."""
        clock = self.context.clock
        open_ = {series_id(self.context, product.id): product for product in products}
        while True:
            now_s = clock.monotonic() / 1e9
            dues = [max(product.expires_s, now_s + WATCH_S) for product in open_.values()]
            due = self._governor.next_due_s()
            if due is not None:
                dues.append(due)
            if not dues:
                return
            await clock.sleep(max(0.0, min(dues) - now_s))
            await self._governor.turn()
            if any(product.expires_s <= clock.monotonic() / 1e9 for product in open_.values()):
                with suppress(PortError):  # no gateway in reach: a second later is another chance
                    await self._decide_disputes(open_)

    async def _decide_disputes(self, open_: dict[int, Product]) -> None:
        """Overrides the price of what stays disputed, with the true price at its expiry; forgets what is final."""
        view = await self.client.read(self.context.deployment["lens"], encode_state([], []))
        for series in decode_state(view.data).series:
            if series.series_id not in open_:
                continue
            if series.is_final:
                del open_[series.series_id]
            elif series.disputed_at:
                await self._override(open_[series.series_id], view.timestamp - series.disputed_at)

    async def _override(self, product: Product, disputed_s: int) -> None:
        venue = self.context.plan.venue
        if not venue.override_delay_s + DELAY_S <= disputed_s < venue.dispute_window_s:
            return
        path = PricePath(dict(self.context.plan.markets)[product.underlying])
        price = path.at(product.expires_s * 1_000_000_000)
        self._overrides += 1
        await self.client.operate(
            f"{self.context.name}/override-price:{product.id}-{self._overrides}",
            "override-price",
            {"product": product.id, "price": str(price)},
            self.context.deployment["settlement"],
            encode_override_price(series_id(self.context, product.id), price),
        )

    async def _carry_out(self, action: str, args: dict[str, str], to: str, data: bytes) -> None:
        """The next call, which is the one of the next nonce: whoever lives through a crash carries on with the same."""
        name = f"{self.context.name}/{action}:{'-'.join(args.values())}"
        nonce, self._calls = self._calls, self._calls + 1
        outcome = await self.client.insist(self.context.store, name, action, args, to, data, nonce=nonce)
        if outcome.phase != "ok":
            self.context.record.record("problem", what=f"{name} failed", detail=outcome.reason, fatal=True)
