"""An adversary: a trader who tries what the rules forbid, again and again, some of it with an accomplice.

It has an account and its own key, as anybody may: it presents a quote twice, or too late, or when its series has
expired; trades at prices out of band with its accomplice; opens more than it can margin and has the accomplice
liquidate it in the same block; leaves while a loss is open; signs prices as if it were a reporter; decides a dispute.
Each attempt is an operation of the history that names the error it has to meet. On a venue that forgets a rule it goes
through, and then the property is violated in the open, where its check looks.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from harness.evm.accounts import TRADERS, account
from harness.evm.wallet import Quote, sign_observation, sign_quote
from harness.plan import L2_CHAIN_ID, NEVER_S, Product
from harness.ports import Json
from harness.roles.admin import series_id
from harness.roles.context import RoleContext
from harness.roles.maker import QUOTE_LIFETIME_S, notional_size, quote_from_json
from harness.roles.trader import QUOTE_TIMEOUT_S, Trader
from harness.venue.exchange import (
    VenueState,
    decode_state,
    encode_finalize,
    encode_liquidate,
    encode_override_price,
    encode_settle,
    encode_state,
    encode_submit,
    encode_trade,
    encode_withdraw,
)

BPS = 10_000
NATIVE_WAD = 10**12
SHARE = 20
"""What it trades to get at a forbidden trade is one part in so many of its equity."""
STRIKE_S = 6
"""Every so often one of a pair opens beyond its margin while the other stands by to liquidate it."""
STRIKE_NEAR_S = 1.5
STRIKE_LAG_S = 0.15
"""The liquidator's transaction should come after the trade, in the same block."""
BEYOND_BPS = 10_600
"""Of the leverage at which equity is just the maintenance margin: due at once, and not past the penalty."""
EXPIRY_NEAR_S = 1.5
EXPIRY_LAG_S = 0.05
RUN_NATIVE = 1_000_000
"""What it takes out while a loss is open: a dollar at a time."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call that has to be refused, with which error."""

    action: str
    refusal: str
    args: dict[str, Json]
    to: str                 # name in the deployment
    data: bytes


class Adversary:
    """Pays in as its plan says, then tries one thing per L2 block until the storm ends."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self._deposits = Trader(context)
        self.client = self._deposits.client
        self.maker = self._deposits.maker
        adversaries = [name for name, style in context.plan.styles if style == "adversary"]
        place = adversaries.index(context.name)
        self._place = place
        partner = adversaries[place ^ 1] if (place ^ 1) < len(adversaries) else None
        index = None if partner is None else context.plan.role(partner).account
        self._partner = None if index is None else account(index)
        self._ask_state = encode_state([self.client.account.address], [asset for asset, _ in context.plan.markets])
        self._expired: set[str] = set()
        """Products whose expiry it has tried to trade across."""
        self._overdue: list[tuple[int, Attempt]] = []
        """(second from which on, what is to be tried then)"""
        self._decides = False
        self._struck = 0
        self._tries = 0
        self._turns = 0

    async def run(self) -> None:
        await self._deposits.run_and_take_turns(self._turn)

    async def _turn(self) -> None:
        state = decode_state((await self.client.read(self.context.deployment["lens"], self._ask_state)).data)
        if state.accounts[0].equity <= 0:
            return
        if await self._strike(state) or await self._at_an_expiry(state):
            return
        await self._leave_first(state)
        due = self._due(state)
        if due is not None:
            await self._try(due)
            return
        routine: tuple[Callable[[VenueState, Product], Coroutine[Any, Any, Attempt | None]], ...] = (
            self._used_quote, self._out_of_band, self._late_quote, self._forged_price, self._healthy, self._early,
            self._all_and_more,
        )  # fmt: skip
        linear = [p for p in self._live() if p.kind in ("future", "perpetual") and not p.terms.pool]
        self._turns += 1
        if linear:
            product = linear[self._turns // len(routine) % len(linear)]
            attempt = await routine[self._turns % len(routine)](state, product)
            if attempt is not None:
                await self._try(attempt)

    # What has its moment.

    async def _strike(self, state: VenueState) -> bool:
        """Opens beyond its margin, or liquidates the partner that is doing so, at a moment both know."""
        clock = self.context.clock
        number = clock.monotonic() // 1_000_000_000 // STRIKE_S + 1
        wait_s = number * STRIKE_S - clock.monotonic() / 1e9
        linear = [p for p in self._live() if p.kind in ("future", "perpetual") and not p.terms.pool]
        if self._partner is None or number <= self._struck or wait_s > STRIKE_NEAR_S or not linear:
            return False
        self._struck = number
        if number % 2 != self._place % 2:
            await clock.sleep(number * STRIKE_S + STRIKE_LAG_S - clock.monotonic() / 1e9)
            victim = self._partner.address
            await self._try(Attempt("liquidate-accomplice", "NotLiquidatable", {"account": victim}, "liquidator",
                                    encode_liquidate(victim)))
            return True
        product = linear[number // 2 % len(linear)]
        leverage_bps = BPS * BEYOND_BPS // self.context.plan.venue.mm_bps
        size = self._size(state, product, state.accounts[0].equity * leverage_bps // BPS)
        quote, signature = await self._quoted(product, size)
        await clock.sleep(number * STRIKE_S - clock.monotonic() / 1e9)
        await self._try(self._taking("open-beyond-margin", "InsufficientMargin", quote, signature))
        return True

    async def _at_an_expiry(self, state: VenueState) -> bool:
        """Holds a quote whose deadline lies beyond the expiry, and takes it in the expiry's second."""
        clock = self.context.clock
        for product in self.context.plan.products:
            wait_s = product.expires_s - clock.monotonic() / 1e9
            if product.id in self._expired or product.terms.pool or not 0 < wait_s <= EXPIRY_NEAR_S:
                continue
            self._expired.add(product.id)
            quote, signature = await self._quoted(product, self._size(state, product))
            await clock.sleep(product.expires_s + EXPIRY_LAG_S - clock.monotonic() / 1e9)
            await self._try(self._taking("trade-expired", "SeriesExpired", quote, signature))
            return True
        return False

    async def _leave_first(self, state: VenueState) -> None:
        """A withdrawal like any other, but for its time: once the insurance is empty, losses may be open."""
        if state.totals.deficit or not state.totals.insurance:
            self._tries += 1
            await self.client.operate(
                f"{self.context.name}/withdraw-{self._tries}", "withdraw", {"amount": str(RUN_NATIVE)},
                self.context.deployment["vault"], encode_withdraw(RUN_NATIVE),
            )  # fmt: skip

    def _due(self, state: VenueState) -> Attempt | None:
        """A quote that is overdue by now; every other turn a dispute that somebody might decide."""
        now_s = self.context.clock.now() // 1_000_000_000
        for item in self._overdue:
            if item[0] <= now_s:
                self._overdue.remove(item)
                return item[1]
        self._decides = not self._decides
        disputed = next((series for series in state.series if series.disputed_at and not series.is_final), None)
        if disputed is None or not self._decides:
            return None
        product = self.context.plan.products[disputed.series_id - 1]
        price = self._index(state, product)
        args: dict[str, Json] = {"series": disputed.series_id, "price": str(price)}
        call = encode_override_price(disputed.series_id, price)
        return Attempt("decide-dispute", "OwnableUnauthorizedAccount", args, "settlement", call)

    # What can be tried at any time.

    async def _used_quote(self, state: VenueState, product: Product) -> Attempt | None:
        """Takes a quote as anybody would, then once more."""
        quote, signature = await self._quoted(product, self._size(state, product))
        again = self._taking("take-used-quote", "NonceUsed", quote, signature)
        self._tries += 1
        outcome = await self.client.operate(
            f"{self.context.name}/open-{self._tries}", "open", again.args, self.context.deployment[again.to], again.data
        )
        return again if outcome.phase == "ok" else None

    async def _late_quote(self, state: VenueState, product: Product) -> Attempt | None:
        """Keeps a quote until a second after its deadline."""
        quote, signature = await self._quoted(product, self._size(state, product))
        self._overdue.append((quote.deadline + 1, self._taking("take-late-quote", "QuoteExpired", quote, signature)))
        return None

    async def _out_of_band(self, state: VenueState, product: Product) -> Attempt | None:
        """Buys of its accomplice at twice the distance from the index that is allowed."""
        if self._partner is None:
            return None
        index = self._index(state, product)
        quote = Quote(
            maker=self._partner.address, series_id=series_id(self.context, product.id),
            price=index + abs(index) * 2 * self.context.plan.venue.band_bps // BPS,
            size=abs(self._size(state, product)), deadline=self.context.clock.now() // 1_000_000_000 + QUOTE_LIFETIME_S,
            nonce=self.context.clock.monotonic(),
        )  # fmt: skip
        house = self.context.deployment["clearing_house"]
        signature = sign_quote(self._partner.key, quote, chain_id=L2_CHAIN_ID, clearing_house=house)
        return self._taking("trade-out-of-band", "PriceOutOfBand", quote, signature)

    async def _forged_price(self, state: VenueState, product: Product) -> Attempt | None:
        """A round as the reporters would send it, a third too high, signed by as many who are none."""
        index = self._index(state, product)
        now_s = self.context.clock.now() // 1_000_000_000
        number, price = now_s - self.context.genesis_timestamp, index + abs(index) // 3
        feed, asset = self.context.deployment["price_feed"], product.underlying
        strangers = sorted(
            (account(TRADERS[-1 - place]) for place in range(self.context.plan.venue.min_sources)),
            key=lambda stranger: int(stranger.address, 16),
        )
        signatures = [
            sign_observation(stranger.key, chain_id=L2_CHAIN_ID, feed=feed, asset=asset.encode(), round_=number,
                             timestamp=now_s, price=price)
            for stranger in strangers
        ]  # fmt: skip
        data = encode_submit(asset, number, now_s, [price] * len(strangers), signatures)
        args: dict[str, Json] = {"asset": asset, "round": number, "price": str(price)}
        return Attempt("forge-price", "UnknownReporter", args, "price_feed", data)

    async def _healthy(self, state: VenueState, product: Product) -> Attempt | None:
        """Liquidates whoever is not due: the maker, who has the most."""
        victim = self.context.accounts[self.maker]
        data = encode_liquidate(victim)
        return Attempt("liquidate-healthy", "NotLiquidatable", {"account": victim}, "liquidator", data)

    async def _early(self, state: VenueState, product: Product) -> Attempt | None:
        """Fixes the price of a live series, or settles its own position in one."""
        number, mine = series_id(self.context, product.id), self.client.account.address
        if product.expires_s == NEVER_S or self._turns % 2:
            args: dict[str, Json] = {"account": mine, "series": number}
            return Attempt("settle-early", "NotFinal", args, "settlement", encode_settle(mine, number))
        return Attempt("finalize-early", "NotExpired", {"series": number}, "settlement", encode_finalize(number))

    async def _all_and_more(self, state: VenueState, product: Product) -> Attempt | None:
        """Takes out all its cash and one unit more."""
        amount = max(0, state.accounts[0].cash // NATIVE_WAD) + 1
        data = encode_withdraw(amount)
        return Attempt("withdraw-too-much", "InsufficientMargin", {"amount": str(amount)}, "vault", data)

    # How.

    async def _try(self, attempt: Attempt) -> None:
        self._tries += 1
        args = {**attempt.args, "refusal": attempt.refusal}
        await self.client.operate(f"{self.context.name}/{attempt.action}-{self._tries}", attempt.action, args,
                                  self.context.deployment[attempt.to], attempt.data)

    def _taking(self, action: str, refusal: str, quote: Quote, signature: bytes) -> Attempt:
        args: dict[str, Json] = {
            "series": quote.series_id, "size": str(quote.size), "price": str(quote.price), "deadline": quote.deadline,
        }  # fmt: skip
        return Attempt(action, refusal, args, "clearing_house", encode_trade(quote, signature, quote.size))

    async def _quoted(self, product: Product, size: int) -> tuple[Quote, bytes]:
        payload: Json = {"product": product.id, "size": str(size)}
        reply = await self.context.network.request(self.maker, "quote", payload, timeout=QUOTE_TIMEOUT_S)
        return quote_from_json(reply)

    def _size(self, state: VenueState, product: Product, notional: int = 0) -> int:
        """Of a notional, or of a small part of its equity; against what it holds of the series, which stays small."""
        index = self._index(state, product)
        size = notional_size(notional or state.accounts[0].equity // SHARE, max(abs(index), 1))
        number = series_id(self.context, product.id)
        held = next((item.size for item in state.accounts[0].positions if item.series_id == number), 0)
        return -size if held > 0 else size

    def _index(self, state: VenueState, product: Product) -> int:
        return next(asset.price for asset in state.assets if asset.name == product.underlying)

    def _live(self) -> list[Product]:
        end_s = self.context.clock.monotonic() / 1e9 + QUOTE_LIFETIME_S
        return [product for product in self.context.plan.products if product.expires_s > end_s]
