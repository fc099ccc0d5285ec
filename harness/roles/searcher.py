"""A searcher: brings the spot pool's price back to the index wherever that pays more than the fee, and lives off it.

So the pool follows the market, and those who provide its liquidity lose what it lags behind by.
"""

from __future__ import annotations

from contextlib import suppress
from math import isqrt

from harness.ports import PortError
from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.roles.swapping import LIFETIME_S, arguments_of
from harness.venue.exchange import decode_latest, encode_latest
from harness.venue.spot import (
    BPS,
    FEE_BPS,
    QUOTE_UNIT,
    UNDERLYING_UNIT,
    Reserves,
    Swap,
    decode_reserves,
    encode_reserves,
    encode_swap,
)

EDGE_BPS = 5
"""What it wants beyond the fee before it moves."""
WAD = 10**18
SCALE = UNDERLYING_UNIT * WAD // QUOTE_UNIT
"""Price in 1e18 quote per unit times native underlying, over this: native quote."""


def arbitrage(pool: Reserves, index: int, *, capital: tuple[int, int]) -> Swap | None:
    """The swap after which the pool's price, fee included, is the index; None where that would not pay.

    It accepts no less than what it pays is worth at the index. `capital` is what it holds of underlying and quote.
    """
    if index <= 0 or not pool.underlying or not pool.quote:
        return None
    product = pool.underlying * pool.quote
    wanted = BPS + FEE_BPS + EDGE_BPS
    if pool.price_wad * wanted < index * BPS:
        aim = index * (BPS - FEE_BPS) // BPS
        amount = min((isqrt(product * aim // SCALE) - pool.quote) * BPS // (BPS - FEE_BPS), capital[1])
        least = -(-amount * SCALE // index)
        buys = True
    elif pool.price_wad * BPS > index * wanted:
        aim = index * (BPS + FEE_BPS) // BPS
        amount = min((isqrt(product * SCALE // aim) - pool.underlying) * BPS // (BPS - FEE_BPS), capital[0])
        least = -(-amount * index // SCALE)
        buys = False
    else:
        return None
    if amount <= 0 or pool.amount_out(buys=buys, amount_in=amount) < max(least, 1):
        return None
    return Swap(buys, amount, least, 0)


class Searcher:
    """One turn per L2 block: look at the pool and at the index, and swap the difference away."""

    def __init__(self, context: RoleContext) -> None:
        assert context.plan.spot is not None, "a searcher needs a spot pool"
        self.context = context
        self.pool = context.plan.spot
        self.client = ChainClient.of(context)
        self._turns = 0

    async def run(self) -> None:
        interval = self.context.plan.profile.l2_block_ms / 1000
        while True:
            with suppress(PortError):  # the next block is another chance
                await self._turn()
            await self.context.clock.sleep(interval)

    async def _turn(self) -> None:
        deployment = self.context.deployment
        reserves = decode_reserves((await self.client.read(deployment["spot_amm"], encode_reserves())).data)
        latest = decode_latest((await self.client.read(deployment["price_feed"], encode_latest(self.pool.asset))).data)
        now_s = self.context.clock.now() // 1_000_000_000
        if not latest.round or now_s - latest.timestamp > self.context.plan.venue.max_price_age_s:
            return
        found = arbitrage(reserves, latest.price, capital=(self.pool.underlying // 8, self.pool.quote // 8))
        if found is None:
            return
        self._turns += 1
        swap = Swap(found.buys, found.amount_in, found.min_out, now_s + LIFETIME_S)
        expected = reserves.amount_out(buys=swap.buys, amount_in=swap.amount_in)
        tolerance_bps = BPS - swap.min_out * BPS // expected
        await self.client.operate(
            f"{self.context.name}/arbitrage-{self.context.clock.monotonic()}-{self._turns}", "swap",
            arguments_of(swap, self.pool.asset, expected=expected, tolerance_bps=tolerance_bps),
            deployment["spot_amm"], encode_swap(swap),
        )  # fmt: skip
