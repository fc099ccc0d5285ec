"""Traders with a strategy: they look at every L2 block and act on what they see, by orders in the book.

An *informed* one watches the true price elsewhere without delay and takes every order that is wrong by more than its
fee: what makers' old views cost is what it makes. A *hedger* buys options and keeps the delta of what it holds near
nothing by futures or perpetuals. A *momentum* one follows the trend with all the leverage it may, until that turns.
"""

from __future__ import annotations

from decimal import Decimal

from harness.plan import Product
from harness.pricing import black
from harness.pricing.volatility import RealisedVariance
from harness.roles.admin import series_id
from harness.roles.context import RoleContext
from harness.roles.market import PricePath
from harness.roles.trader import ORDER_LIFETIME_S, Trader
from harness.venue.book import MODES, Order, decode_best, encode_best, encode_place
from harness.venue.exchange import VenueState, decode_state, encode_state

WAD = 10**18
BPS = 10_000
MILLI = 1_000
EDGE_BPS = 10
"""What an informed trader wants of a fill: its fee and as much again."""
TAKE_SHARE = 2
"""It holds at most so many times its equity, either way, in one series."""
HEDGE_BAND_BPS = 500
"""A hedger trades when its delta is off by more than this of its equity."""
OPTION_EVERY_TURNS = 8
OPTION_SHARE = 4
"""Each option trade is of one part in so many of its equity, in underlying."""
TREND_POINTS = 6
TREND_BPS = 25
"""A move of the index over so many observations that a momentum trader calls a trend."""
STOP_BEFORE_EXPIRY_S = 3


class Strategist:
    """Pays in as its plan says, then acts once per L2 block until the storm ends."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.style = dict(context.plan.styles)[context.name]
        self._deposits = Trader(context)
        self.client = self._deposits.client
        self._assets = [asset for asset, _ in context.plan.markets]
        self._ask_state = encode_state([self.client.account.address], self._assets)
        self._paths = {asset: PricePath(knots, period_ns=context.plan.market_period_ns)
                       for asset, knots in context.plan.markets}  # fmt: skip
        self._seen: dict[str, list[int]] = {asset: [] for asset in self._assets}
        self._variance = {
            asset: RealisedVariance(prior=Decimal("0.0001"), prior_seconds=10, window_seconds=60)
            for asset in self._assets
        }
        self._turns = 0

    async def run(self) -> None:
        await self._deposits.run_and_take_turns(self._turn)

    async def _turn(self) -> None:
        self._turns += 1
        state = decode_state((await self.client.read(self.context.deployment["lens"], self._ask_state)).data)
        for asset in state.assets:
            self._variance[asset.name].see(asset.timestamp, asset.price)
            points = self._seen[asset.name]
            if asset.price > 0 and (not points or points[-1] != asset.price):
                points.append(asset.price)
                del points[:-TREND_POINTS]
        if state.accounts[0].equity <= 0:
            return
        wanted = {"informed": self._informed, "hedger": self._hedge, "momentum": self._follow}[self.style]
        order = await wanted(state)
        if order is not None:
            await self._place(order)

    async def _informed(self, state: VenueState) -> Order | None:
        """Whichever side of a book is wrong by the true price, at its price, as far as equity carries."""
        for product in self._live(state, "future", "perpetual"):
            number = series_id(self.context, product.id)
            view = await self.client.read(self.context.deployment["order_book"], encode_best(number))
            best = decode_best(view.data)
            true = self._paths[product.underlying].at(self.context.clock.monotonic())
            if true <= 0:
                continue
            most = TAKE_SHARE * state.accounts[0].equity * WAD // true
            held = self._held(state, product)
            if best.ask_size and best.ask * (BPS + EDGE_BPS) < true * BPS:
                return self._order(product, min(abs(best.ask_size), most - held), best.ask)
            if best.bid_size and best.bid * BPS > true * (BPS + EDGE_BPS):
                return self._order(product, -min(best.bid_size, most + held), best.bid)
        return None

    async def _hedge(self, state: VenueState) -> Order | None:
        """A linear order against the delta of all it holds; now and then another option."""
        equity = state.accounts[0].equity
        for asset in state.assets:
            linear = next((p for p in self._live(state, "future", "perpetual") if p.underlying == asset.name), None)
            if linear is None or asset.price <= 0:
                continue
            delta = self._delta(state, asset.name, asset.price)
            if abs(delta) * asset.price // WAD * BPS > HEDGE_BAND_BPS * equity:
                return self._order(linear, -delta, 0)
        options = self._live(state, "call", "put")
        if not options or self._turns % OPTION_EVERY_TURNS:
            return None
        option = options[self._turns // OPTION_EVERY_TURNS % len(options)]
        index = next(asset.price for asset in state.assets if asset.name == option.underlying)
        return self._order(option, equity * WAD // (OPTION_SHARE * index), 0) if index > 0 else None

    async def _follow(self, state: VenueState) -> Order | None:
        """To all the leverage it may in the direction of the trend; with none it stays as it is."""
        for product in self._live(state, "future", "perpetual"):
            points = self._seen[product.underlying]
            if len(points) < TREND_POINTS:
                continue
            moved_bps = (points[-1] - points[0]) * BPS // points[0]
            if abs(moved_bps) < TREND_BPS:
                continue
            leverage_milli = BPS * MILLI * 9 // (10 * self.context.plan.venue.im_bps)
            most = state.accounts[0].equity * leverage_milli // MILLI * WAD // points[-1]
            change = (most if moved_bps > 0 else -most) - self._held(state, product)
            if abs(change) * 5 > most:
                return self._order(product, change, 0)
        return None

    def _delta(self, state: VenueState, asset: str, index: int) -> int:
        """Of everything it holds on an underlying, in units of it."""
        total, now_s = 0, self.context.clock.now() // 1_000_000_000
        for product in self.context.plan.products:
            held = self._held(state, product)
            if product.underlying != asset or not held:
                continue
            if product.kind == "future" or product.kind == "perpetual":
                total += held
                continue
            if product.kind == "inverse":
                total += held * WAD // index  # so many coins that it does not owe any more when the price rises
                continue
            remaining_s = max(self.context.genesis_timestamp + product.expires_s - now_s, 0)
            variance = self._variance[asset].per_second() * remaining_s
            unit = black.delta(product.kind, forward=index, strike=product.strike_wad, variance=variance)
            total += held * unit // WAD
        return total

    def _live(self, state: VenueState, *kinds: str) -> list[Product]:
        """Listed and not about to expire, in the plan's order."""
        listed = {series.series_id for series in state.series}
        end_s = self.context.clock.now() // 1_000_000_000 + STOP_BEFORE_EXPIRY_S
        return [
            product for product in self.context.plan.products
            if product.kind in kinds and series_id(self.context, product.id) in listed
            and self.context.genesis_timestamp + product.expires_s > end_s
        ]  # fmt: skip

    def _held(self, state: VenueState, product: Product) -> int:
        number = series_id(self.context, product.id)
        return next((held.size for held in state.accounts[0].positions if held.series_id == number), 0)

    def _order(self, product: Product, size: int, price: int) -> Order | None:
        """Immediate-or-cancel at a price, or a market order where that is 0; None below a lot."""
        lot = self.context.plan.venue.lot_wad
        whole = abs(size) // lot * lot
        if not whole:
            return None
        deadline = self.context.clock.now() // 1_000_000_000 + ORDER_LIFETIME_S
        mode = MODES["ioc" if price else "market"]
        return Order(series_id(self.context, product.id), whole if size > 0 else -whole, price, mode, deadline)

    async def _place(self, order: Order) -> None:
        name = f"{self.context.name}/{self.style}-{self.context.clock.monotonic()}-{self._turns}"
        args = {"series": order.series_id, "size": str(order.size), "price": str(order.price)}
        await self.client.operate(
            name, self.style, args, self.context.deployment["order_book"], encode_place(order)
        )
