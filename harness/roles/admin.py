"""The venue's operator: pays in the insurance fund and lists the plan's series, in order, once the chain lives."""

from __future__ import annotations

from dataclasses import astuple

from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.venue.book import TICK_WAD, encode_open_market
from harness.venue.exchange import KINDS, NEVER, encode_fund_insurance, encode_list_series_with


def series_id(context: RoleContext, product: str) -> int:
    """The id a product's series gets on chain: the admin lists them one by one in the plan's order, from 1."""
    return next(i for i, p in enumerate(context.plan.products, start=1) if p.id == product)


class Admin:
    """Does its few calls one by one and stops; one that fails is fatal, for every later series id would be wrong."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.client = ChainClient.of(context)
        self._calls = 0

    async def run(self) -> None:
        plan, deployment = self.context.plan, self.context.deployment
        if plan.insurance_native:
            data = encode_fund_insurance(plan.insurance_native)
            await self._carry_out("fund-insurance", {"amount": str(plan.insurance_native)}, deployment["vault"], data)
        for product in plan.products:
            is_endless = product.kind == "perpetual"
            expiry = NEVER if is_endless else self.context.genesis_timestamp + product.expires_s
            data = encode_list_series_with(
                KINDS[product.kind], product.underlying, product.strike_wad, expiry, astuple(product.terms)
            )
            await self._carry_out("list-series", {"product": product.id}, deployment["clearing_house"], data)
        if plan.trading == "book":
            for number, product in enumerate(plan.products, start=1):
                data = encode_open_market(number, tick=TICK_WAD, lot=plan.venue.lot_wad)
                await self._carry_out("open-market", {"product": product.id}, deployment["order_book"], data)

    async def _carry_out(self, action: str, args: dict[str, str], to: str, data: bytes) -> None:
        """The next call, which is the one of the next nonce: whoever lives through a crash carries on with the same."""
        name = f"{self.context.name}/{action}:{'-'.join(args.values())}"
        nonce, self._calls = self._calls, self._calls + 1
        outcome = await self.client.insist(self.context.store, name, action, args, to, data, nonce=nonce)
        if outcome.phase != "ok":
            self.context.record.record("problem", what=f"{name} failed", detail=outcome.reason, fatal=True)
