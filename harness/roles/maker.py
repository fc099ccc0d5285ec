"""The market maker: quotes every listed series on request around the index it last saw, a perpetual with a skew
against what it already holds of it, which is where a premium, and so funding, comes from.

Its view ages with its link to the chain, so latency shows up as stale quotes; a quote it signed stays binding until
its deadline.
"""

from __future__ import annotations

from contextlib import suppress
from math import isqrt

from harness.evm.wallet import Quote, sign_quote
from harness.plan import L2_CHAIN_ID, Product
from harness.ports import Json, PortError, Refused
from harness.roles.admin import series_id
from harness.roles.bankrolls import MAKER_NATIVE, MAKER_POOL_NATIVE
from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.roles.deposit import deposit_once
from harness.roles.market import WAD
from harness.roles.pools import accounts_of, open_accounts_once
from harness.roles.wire import address, data, number, quantity, text
from harness.venue.exchange import VenueState, decode_state, encode_state

HALF_SPREAD_BPS = 10
BPS = 10_000
QUOTE_LIFETIME_S = 5
SIZE_BITS_MAX = 127
NONCES = "nonces"
NONCE_RESERVE = 64
"""Nonces are reserved this many at a time, so that a crash never signs one twice and not every quote is flushed."""
TIME_VALUE_BPS = 400
"""At-the-money premium of a freshly listed option, in bps of the index; it fades with the root of the time left."""
SKEW_NOTIONAL = 300_000 * WAD
"""Holding so much of a perpetual (1e18 quote) moves its price by `SKEW_BPS` of the index against more of it."""
SKEW_BPS = 30
SKEW_BPS_MAX = 120


def premium(product: Product, *, index: int, remaining_s: int, half_spread_bps: int) -> int:
    """An option's price per unit: intrinsic value plus a time value that is largest at the money; never negative."""
    if product.kind == "call":
        intrinsic, most = max(index - product.strike_wad, 0), index
    else:
        intrinsic, most = max(product.strike_wad - index, 0), product.strike_wad
    root = isqrt(max(remaining_s, 0) * BPS * BPS // max(product.expires_s, 1))
    at_the_money = index * TIME_VALUE_BPS * root // (BPS * BPS)
    distance = abs(index - product.strike_wad)
    time_value = max(at_the_money - at_the_money * 4 * distance // max(index, 1), 0)
    price = intrinsic + time_value
    return min(max(price + price * half_spread_bps // BPS, 0), most)


class Maker:
    """Answers `quote` requests; everything else it does is keep its price fresh."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.client = ChainClient.of(context)
        self.account = self.client.account
        self.products = {p.id: p for p in context.plan.products}
        self._index: dict[str, tuple[int, int]] = {}
        """Asset → (price, its timestamp) as last read."""
        self._held: dict[int, int] = {}
        """Series → size it holds, as last read."""
        accounts = accounts_of(context.plan, [self.account.address])
        self._ask_state = encode_state(accounts, [asset for asset, _ in context.plan.markets])
        self._nonce = 0
        self._reserved = 0

    async def run(self) -> None:
        self._nonce = self._reserved = int(self.context.store.get(NONCES, "reserved") or 0)
        self.context.network.serve(self._handle)
        await deposit_once(self.context, self.client, MAKER_NATIVE)
        await open_accounts_once(self.context, self.client, MAKER_POOL_NATIVE)
        interval = self.context.plan.profile.l2_block_ms / 1000
        while True:
            with suppress(PortError):  # what it knows ages; quotes stop once that is too old
                view = await self.client.read(self.context.deployment["lens"], self._ask_state, timeout=interval)
                self._see(decode_state(view.data))
            await self.context.clock.sleep(interval)

    def _see(self, state: VenueState) -> None:
        self._index |= {asset.name: (asset.price, asset.timestamp) for asset in state.assets if asset.timestamp}
        self._held = {held.series_id: held.size for account in state.accounts for held in account.positions}

    def _skew(self, product: Product, index: int) -> int:
        """What its holding of a perpetual adds to the price, in bps of the index: it is keen to get rid of it."""
        if product.kind != "perpetual":
            return 0
        notional = self._held.get(series_id(self.context, product.id), 0) * index // WAD
        return max(-SKEW_BPS_MAX, min(SKEW_BPS_MAX, -notional * SKEW_BPS // SKEW_NOTIONAL))

    async def _handle(self, sender: str, kind: str, payload: Json) -> Json:
        if kind != "quote":
            raise Refused(f"a maker does not answer {kind!r}")
        wanted, size = text(payload, "product"), quantity(payload, "size", bits=SIZE_BITS_MAX)
        product = self.products.get(wanted)
        if product is None or size == 0:
            raise Refused(f"no quote for {size} of {wanted[:80]!r}")
        now_s = self.context.clock.now() // 1_000_000_000
        expiry = self.context.genesis_timestamp + product.expires_s
        held = self._index.get(product.underlying)
        if held is None or now_s - held[1] > self.context.plan.venue.max_price_age_s:
            raise Refused("my price is stale")
        if now_s >= expiry:
            raise Refused(f"{product.id} has expired")
        side = 1 if size > 0 else -1
        if product.kind in ("future", "perpetual", "inverse"):
            skew = self._skew(product, held[0])
            price = held[0] + abs(held[0]) * (side * HALF_SPREAD_BPS + skew) // BPS
        else:
            price = premium(
                product, index=held[0], remaining_s=expiry - now_s, half_spread_bps=side * HALF_SPREAD_BPS
            )
        quote = Quote(
            maker=self.account.address,
            series_id=series_id(self.context, product.id),
            price=price,
            size=size,
            deadline=now_s + QUOTE_LIFETIME_S,
            nonce=self._take_nonce(),
        )
        signature = sign_quote(
            self.account.key,
            quote,
            chain_id=L2_CHAIN_ID,
            clearing_house=self.context.deployment["clearing_house"],
        )
        return {
            "maker": quote.maker,
            "series": quote.series_id,
            "price": str(quote.price),
            "size": str(quote.size),
            "deadline": quote.deadline,
            "nonce": quote.nonce,
            "signature": signature.hex(),
        }

    def _take_nonce(self) -> int:
        if self._nonce >= self._reserved:
            reserved = self._nonce + NONCE_RESERVE
            self.context.store.put(NONCES, "reserved", reserved)
            self.context.store.flush()
            self._reserved = reserved
        self._nonce += 1
        return self._nonce - 1


def quote_from_json(payload: Json) -> tuple[Quote, bytes]:
    """A maker's answer as the quote and its signature. Raises `WireError`."""
    quote = Quote(
        maker=address(payload, "maker"),
        series_id=number(payload, "series"),
        price=quantity(payload, "price"),
        size=quantity(payload, "size"),
        deadline=number(payload, "deadline"),
        nonce=number(payload, "nonce"),
    )
    return quote, data(payload, "signature")


def notional_size(notional: int, price: int) -> int:
    """Units of underlying worth `notional` at `price`, floored; both 1e18."""
    return notional * WAD // price
