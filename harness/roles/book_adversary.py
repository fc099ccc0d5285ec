"""An adversary of the order book: places what must not be taken, cancels what is not its own, hides behind open orders.

As `adversary` does on quotes. What it holds it levers as far as it may and never gives up, with an order resting far
from the market all the while: who must be liquidated must be liquidated in spite of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.plan import Product
from harness.ports import Json
from harness.roles.admin import series_id
from harness.roles.adversary import Attempt
from harness.roles.context import RoleContext
from harness.roles.maker import notional_size
from harness.roles.trader import ORDER_LIFETIME_S, Trader
from harness.venue.book import (
    MODES,
    TICK_WAD,
    OpenOrder,
    Order,
    decode_orders,
    encode_cancel,
    encode_orders,
    encode_place,
)
from harness.venue.exchange import VenueState, decode_state, encode_state

BPS = 10_000
EXPIRY_NEAR_S = 1.5
EXPIRY_LAG_S = 0.05
LEVERED_BPS = 9_000
"""How much of what its margin allows it holds."""
FAR_BPS = 500
"""How far below the index the order rests behind which it hides."""
HIDES_FOR_S = 10_000


class BookAdversary:
    """Pays in as its plan says, then tries one thing per L2 block until the storm ends."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self._deposits = Trader(context)
        self.client = self._deposits.client
        self._ask_state = encode_state([self.client.account.address], [asset for asset, _ in context.plan.markets])
        self._expired: set[str] = set()
        self._tries = 0
        self._turns = 0

    async def run(self) -> None:
        await self._deposits.run_and_take_turns(self._turn)

    async def _turn(self) -> None:
        if await self._at_an_expiry():
            return
        state = decode_state((await self.client.read(self.context.deployment["lens"], self._ask_state)).data)
        end_s = self.context.clock.monotonic() / 1e9 + ORDER_LIFETIME_S
        linear = [p for p in self.context.plan.products if p.kind in ("future", "perpetual") and p.expires_s > end_s]
        if not linear or state.accounts[0].equity <= 0:
            return
        self._turns += 1
        product = linear[self._turns // 5 % len(linear)]
        view = await self.client.read(self.context.deployment["order_book"], encode_orders(series_id(self.context,
                                                                                                     product.id)))
        orders = decode_orders(view.data)
        match self._turns % 5:
            case 0:
                await self._hide(state, product, orders)
            case 1:
                await self._trade_with_itself(product, orders)
            case 2:
                await self._cross_post_only(product, orders)
            case 3:
                await self._cancel_anothers(orders)
            case _:
                await self._place_nonsense(state, product)

    async def _at_an_expiry(self) -> bool:
        """An order in the second of an expiry."""
        clock = self.context.clock
        for product in self.context.plan.products:
            wait_s = product.expires_s - clock.monotonic() / 1e9
            if product.id in self._expired or not 0 < wait_s <= EXPIRY_NEAR_S:
                continue
            self._expired.add(product.id)
            await clock.sleep(product.expires_s + EXPIRY_LAG_S - clock.monotonic() / 1e9)
            await self._try("order-expired", "SeriesExpired", self._order(product, 1, 0, "market"))
            return True
        return False

    async def _hide(self, state: VenueState, product: Product, orders: Sequence[OpenOrder]) -> None:
        """A bid far below the market, once; and all the leverage it may have."""
        mine = self.client.account.address
        index = self._index(state, product)
        if not any(order.account == mine for order in orders):
            bid = index - abs(index) * FAR_BPS // BPS
            await self._place("hide", self._order(product, 1, bid, "post-only", lifetime_s=HIDES_FOR_S))
        most = state.accounts[0].equity * BPS // self.context.plan.venue.im_bps * LEVERED_BPS // BPS
        number = series_id(self.context, product.id)
        held = next((item.size for item in state.accounts[0].positions if item.series_id == number), 0)
        lots = (notional_size(most, max(abs(index), 1)) - held) // self.context.plan.venue.lot_wad
        if lots > 0 and state.accounts[0].im * BPS < state.accounts[0].equity * LEVERED_BPS:
            await self._place("lever", self._order(product, lots, 0, "market"))

    async def _trade_with_itself(self, product: Product, orders: Sequence[OpenOrder]) -> None:
        """Betters the best ask by a tick, and buys at that: its own order must go and nothing be traded."""
        asks = [order.price for order in orders if order.rest < 0]
        bids = [order.price for order in orders if order.rest > 0]
        if not asks or (bids and asks[0] - TICK_WAD <= bids[0]):
            return
        price = asks[0] - TICK_WAD
        await self._place("offer-to-itself", self._order(product, -1, price, "post-only"))
        await self._place("take-its-own", self._order(product, 1, price, "ioc"))

    async def _cross_post_only(self, product: Product, orders: Sequence[OpenOrder]) -> None:
        """A maker's order that would take."""
        asks = [order.price for order in orders if order.rest < 0 and order.account != self.client.account.address]
        if asks:
            await self._try("cross-post-only", "WouldCross", self._order(product, 1, asks[0], "post-only"))

    async def _cancel_anothers(self, orders: Sequence[OpenOrder]) -> None:
        """The best order of somebody else."""
        theirs = next((order for order in orders if order.account != self.client.account.address), None)
        if theirs is not None:
            attempt = Attempt("cancel-anothers", "NotYourOrder", {"order": theirs.id}, "order_book",
                              encode_cancel(theirs.id))
            await self._attempt(attempt)

    async def _place_nonsense(self, state: VenueState, product: Product) -> None:
        """Beyond the band; off the lot; off the tick; after its own deadline."""
        index = self._index(state, product) // TICK_WAD * TICK_WAD
        sound = self._order(product, 1, index, "limit")
        match self._turns // 5 % 4:
            case 0:
                beyond = index + abs(index) * 2 * self.context.plan.venue.band_bps // BPS
                await self._try("order-beyond-band", "PriceBeyondBand", self._order(product, 1, beyond, "limit"))
            case 1:
                order = Order(sound.series_id, sound.size + 1, sound.price, sound.mode, sound.deadline)
                await self._try("order-off-lot", "SizeOffLot", order)
            case 2:
                order = Order(sound.series_id, sound.size, sound.price + 1, sound.mode, sound.deadline)
                await self._try("order-off-tick", "PriceOffTick", order)
            case _:
                late = self._order(product, 1, index, "limit", lifetime_s=-2)
                await self._try("order-too-late", "OrderExpired", late)

    def _order(
        self, product: Product, lots: int, price: int, mode: str, *, lifetime_s: int = ORDER_LIFETIME_S
    ) -> Order:
        deadline = self.context.clock.now() // 1_000_000_000 + lifetime_s
        on_tick = price // TICK_WAD * TICK_WAD
        return Order(series_id(self.context, product.id), lots * self.context.plan.venue.lot_wad, on_tick, MODES[mode],
                     deadline)

    def _index(self, state: VenueState, product: Product) -> int:
        return next(asset.price for asset in state.assets if asset.name == product.underlying)

    async def _try(self, action: str, refusal: str, order: Order) -> None:
        await self._attempt(Attempt(action, refusal, _arguments(order), "order_book", encode_place(order)))

    async def _place(self, action: str, order: Order) -> None:
        """An order that nobody has to refuse."""
        self._tries += 1
        await self.client.operate(f"{self.context.name}/{action}-{self._tries}", action, _arguments(order),
                                  self.context.deployment["order_book"], encode_place(order))

    async def _attempt(self, attempt: Attempt) -> None:
        self._tries += 1
        await self.client.operate(f"{self.context.name}/{attempt.action}-{self._tries}", attempt.action,
                                  {**attempt.args, "refusal": attempt.refusal}, self.context.deployment[attempt.to],
                                  attempt.data)


def _arguments(order: Order) -> dict[str, Json]:
    return {"series": order.series_id, "size": str(order.size), "price": str(order.price), "mode": order.mode}
