"""The venue's operator: lists the plan's series, in order, once the chain lives."""

from __future__ import annotations

from harness.plan import L2_CHAIN_ID
from harness.roles.client import ChainClient, Outcome
from harness.roles.context import RoleContext
from harness.solidity.accounts import account
from harness.solidity.exchange import encode_list_series

KINDS = {"future": 0, "call": 1, "put": 2}
LISTING_ATTEMPTS_MAX = 5


def series_id(context: RoleContext, product: str) -> int:
    """The id a product's series gets on chain: the admin lists them one by one in the plan's order, from 1."""
    return next(i for i, p in enumerate(context.plan.products, start=1) if p.id == product)


class Admin:
    """Lists each product and stops; a listing that fails is fatal, for every later id would be wrong."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        assert context.spec.account is not None, "the admin signs with an account"
        self.client = ChainClient(
            context.network,
            context.clock,
            context.record,
            account=account(context.spec.account),
            chain_id=L2_CHAIN_ID,
            gateways=context.spec.gateways,
        )

    async def run(self) -> None:
        for product in self.context.plan.products:
            expiry = self.context.genesis_timestamp + product.expires_s
            data = encode_list_series(KINDS[product.kind], product.underlying, product.strike_wad, expiry)
            outcome = await self._list(product.id, data)
            if outcome.phase != "ok":
                self.context.record.record(
                    "problem", what=f"listing of {product.id} failed", detail=outcome.reason, fatal=True
                )
                return

    async def _list(self, product: str, data: bytes) -> Outcome:
        outcome = Outcome("fail", "never tried")
        for attempt in range(LISTING_ATTEMPTS_MAX):
            outcome = await self.client.operate(
                f"{self.context.name}/list-{product}-{attempt}",
                "list-series",
                {"product": product},
                self.context.deployment["clearing_house"],
                data,
            )
            # An indeterminate listing may still land: trying again could list the series twice.
            if outcome.phase != "fail":
                break
        return outcome
