"""The market maker of an order book: keeps a ladder of post-only orders around what it thinks each series is worth.

Futures and perpetuals it quotes around the index it last saw, options around Black's value at the variance it has
seen realised. Both age with its link to the chain, so latency shows as wider and staler orders: others pick off the
ones that are wrong. What it holds, by delta over all series of an underlying, moves its prices against more of it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from harness.plan import Product
from harness.ports import PortError
from harness.pricing import black
from harness.pricing.volatility import RealisedVariance
from harness.roles.admin import series_id
from harness.roles.bankrolls import MAKER_NATIVE
from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.roles.deposit import deposit_once
from harness.roles.maker import SKEW_BPS, SKEW_BPS_MAX, SKEW_NOTIONAL
from harness.roles.market import WAD
from harness.venue.book import (
    MODES,
    TICK_WAD,
    OpenOrder,
    Order,
    decode_orders,
    encode_market,
    encode_orders,
    encode_update,
    has_market,
)
from harness.venue.exchange import AccountState, decode_state, encode_state

BPS = 10_000
LEVELS: tuple[tuple[int, int], ...] = ((10, 60_000 * WAD), (25, 120_000 * WAD))
"""Half spread in bps of the index and notional (1e18 quote) of each level, from the inside out."""
OPTION_SIZE_DIVISOR = 5
OPTION_EDGE_BPS = 300
"""What an option's level asks beyond the index's spread, of the option's value: its volatility may be wrong."""
ORDER_LIFETIME_S = 6
RENEW_BEFORE_S = 2
REQUOTE_BPS = 3
"""An order this close to where it should be is left alone: it keeps its place in the queue."""
UPDATE_GAS = 12_000_000
ORDERS_PER_TURN = 40
"""So many orders an update's gas carries."""
ORDERS_MAX = 64
"""So many open orders the book allows an account; one level a series is left where two would be more."""
PRIOR_VARIANCE = Decimal("0.0001")
"""Per second of the run, before anything was seen: one per cent a second."""
PRIOR_SECONDS = 10
VARIANCE_WINDOW_S = 60


@dataclass(frozen=True, slots=True)
class View:
    """What the maker knows of an underlying."""

    index: int          # 1e18 quote
    age_s: int
    variance: Decimal   # of the logarithm, per second


def ladder(
    product: Product, *, series: int, view: View, skew_bps: int, remaining_s: int, lot: int, deadline: int,
    levels: int = len(LEVELS),
) -> tuple[Order, ...]:
    """The orders a maker wants in one book: bids from the best down, then asks from the best up.

    Prices are rounded away from the other side to the tick, so a bid is never above what was meant. What would be no
    order (a bid at nothing, an option's ask beyond what it can pay) is left out.
    """
    centre = view.index + view.index * skew_bps // BPS
    # What the index may have moved since it was seen: one standard deviation, half of it on each side.
    doubt_bps = int((view.variance * view.age_s).sqrt() * BPS) // 2
    match product.kind:
        case "future" | "perpetual" | "inverse":
            fair, edge, divisor, highest = centre, 0, 1, None
        case "call" | "put":
            variance = view.variance * max(remaining_s, 0)
            fair = black.price(product.kind, forward=centre, strike=product.strike_wad, variance=variance)
            edge = fair * OPTION_EDGE_BPS // BPS
            divisor = OPTION_SIZE_DIVISOR
            highest = view.index if product.kind == "call" else product.strike_wad
        case _ as never:
            assert_never(never)
    bids, asks = [], []
    for half_spread_bps, notional in LEVELS[:levels]:
        size = notional // divisor * WAD // view.index // lot * lot
        distance = view.index * (half_spread_bps + doubt_bps) // BPS + edge
        bid = (fair - distance) // TICK_WAD * TICK_WAD
        ask = -((-fair - distance) // TICK_WAD) * TICK_WAD
        if size and bid > 0:
            bids.append(Order(series, size, bid, MODES["post-only"], deadline))
        if size and (highest is None or ask <= highest):
            asks.append(Order(series, -size, ask, MODES["post-only"], deadline))
    return (*bids, *asks)


def is_good_enough(mine: list[OpenOrder], wanted: tuple[Order, ...], *, index: int, now_s: int) -> bool:
    """Whether the orders that rest are close to those wanted, not half filled and not about to end."""
    if len(mine) != len(wanted):
        return False
    return all(
        (open_.rest > 0) == (order.size > 0)
        and abs(open_.price - order.price) * BPS <= REQUOTE_BPS * index
        and 2 * abs(open_.rest) >= abs(order.size)
        and open_.deadline > now_s + RENEW_BEFORE_S
        for open_, order in zip(mine, wanted, strict=True)
    )


class BookMaker:
    """One turn per L2 block: look, and replace the orders that are not where they should be."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.client = ChainClient.of(context)
        self.account = self.client.account
        assets = [asset for asset, _ in context.plan.markets]
        self._ask_state = encode_state([self.account.address], assets)
        self._realised = {
            asset: RealisedVariance(
                prior=PRIOR_VARIANCE, prior_seconds=PRIOR_SECONDS, window_seconds=VARIANCE_WINDOW_S
            )
            for asset in assets
        }
        self._turns = 0
        self._first = 0
        """The product its next turn begins with, where one turn is not enough for all."""
        self._levels = len(LEVELS) if 2 * len(LEVELS) * len(context.plan.products) <= ORDERS_MAX else 1
        self._open: set[int] = set()

    async def run(self) -> None:
        await deposit_once(self.context, self.client, MAKER_NATIVE)
        interval = self.context.plan.profile.l2_block_ms / 1000
        while True:
            with suppress(PortError):  # what it knows ages; the orders end by themselves
                await self._turn()
            await self.context.clock.sleep(interval)

    async def _turn(self) -> None:
        read = await self.client.read(self.context.deployment["lens"], self._ask_state)
        state = decode_state(read.data)
        now_s = self.context.clock.now() // 1_000_000_000
        views = {}
        for asset in state.assets:
            self._realised[asset.name].see(asset.timestamp, asset.price)
            age_s = max(now_s - asset.timestamp, 0)
            if asset.price > 0 and age_s <= self.context.plan.venue.max_price_age_s:
                views[asset.name] = View(asset.price, age_s, self._realised[asset.name].per_second())
        listed = {series.series_id for series in state.series}
        skews = {asset: self._skew(state.accounts[0], asset, view, now_s) for asset, view in views.items()}
        cancels: list[int] = []
        orders: list[Order] = []
        products = self.context.plan.products
        for product in (*products[self._first:], *products[:self._first]):
            number = series_id(self.context, product.id)
            remaining_s = self.context.genesis_timestamp + product.expires_s - now_s
            view = views.get(product.underlying)
            if number not in listed or remaining_s <= 0 or view is None or not await self._is_open(number):
                continue
            if len(orders) + 2 * self._levels > ORDERS_PER_TURN:
                self._first = products.index(product)   # the next turn goes on here
                break
            book = await self.client.read(self.context.deployment["order_book"], encode_orders(number))
            mine = [order for order in decode_orders(book.data) if order.account == self.account.address]
            wanted = ladder(
                product, series=number, view=view, skew_bps=skews[product.underlying], remaining_s=remaining_s,
                lot=self.context.plan.venue.lot_wad,
                deadline=min(now_s + ORDER_LIFETIME_S, now_s + remaining_s - 1), levels=self._levels,
            )  # fmt: skip
            if not is_good_enough(mine, wanted, index=view.index, now_s=now_s):
                cancels += [order.id for order in mine]
                orders += wanted
        if cancels or orders:
            await self._send(cancels, orders)

    async def _is_open(self, number: int) -> bool:
        """Whether a listed series has its market by now; an order in one that has not would spoil the whole update."""
        if number not in self._open:
            view = await self.client.read(self.context.deployment["order_book"], encode_market(number))
            if has_market(view.data):
                self._open.add(number)
        return number in self._open

    async def _send(self, cancels: list[int], orders: list[Order]) -> None:
        self._turns += 1
        name = f"{self.context.name}/requote-{self.context.clock.monotonic()}-{self._turns}"
        self.client.invoke(name, "requote", {"cancels": len(cancels), "orders": len(orders)})
        data = encode_update(cancels, orders)
        outcome = await self.client.send(self.context.deployment["order_book"], data, gas=UPDATE_GAS)
        self.client.conclude(name, "requote", outcome)

    def _skew(self, mine: AccountState, asset: str, view: View, now_s: int) -> int:
        """What its holdings on an underlying move its prices by, in bps of the index: keen to get rid of them."""
        held = {position.series_id: position.size for position in mine.positions}
        net = 0
        for product in self.context.plan.products:
            size = held.get(series_id(self.context, product.id), 0)
            if product.underlying != asset or not size:
                continue
            if product.kind in ("future", "perpetual"):
                net += size
            else:
                remaining_s = max(self.context.genesis_timestamp + product.expires_s - now_s, 0)
                unit = black.delta(
                    "call" if product.kind == "call" else "put", forward=view.index, strike=product.strike_wad,
                    variance=view.variance * remaining_s,
                )  # fmt: skip
                net += size * unit // WAD
        return max(-SKEW_BPS_MAX, min(SKEW_BPS_MAX, -net * view.index // WAD * SKEW_BPS // SKEW_NOTIONAL))
