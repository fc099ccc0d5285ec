"""What each trader will try, drawn before the run: deposits, opens, top-ups, reductions, closes, withdrawals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from harness.plan import CoinPool, PlannedOperation, Product, TradeAction
from harness.ports import Random
from harness.scenario import schema
from harness.scenario.units import NS_PER_SECOND

T = TypeVar("T")
OPERATIONS_MAX = 200_000
OPEN_BEFORE_EXPIRY_NS = 3 * NS_PER_SECOND   # a trader does not open what is about to settle
LEVERAGE_SHARE_MAX = 950                    # thousandths of 1/IM: leaves room for the fee and a moving mark
OPTION_LEVERAGE_DIVISOR = 10                # an option's premium or margin is a far larger share of its notional
WITH_VIEW_PERCENT = 90                      # a trader has a view of the market and mostly trades by it
PATIENT_EVERY = 3                           # one trader in three, beginning with those that expect a rise
POOL_SHARE = 500                            # thousandths of its deposit moved to a pool before opening there
FRESH_CAPITAL_NS = 20 * NS_PER_SECOND       # how often a patient trader pays in anew and sizes up from there
# What a trader that holds something does next, by weight; one that holds nothing opens.
_NEXT: tuple[tuple[TradeAction, int], ...] = (
    ("open", 64), ("deposit", 12), ("reduce", 10), ("close", 6), ("withdraw", 8),
)  # fmt: skip


class TooMuchWork(ValueError):
    """The rate and the length of the run ask for more operations than a plan holds."""

    location = ("workload", "rate")
    """What of the scenario asks for them."""


def trader_operations(
    workload: schema.Workload, products: Sequence[tuple[Product, int]], *, im_bps: int, stop_ns: int, random: Random,
    coin: CoinPool | None = None,
) -> tuple[tuple[str, tuple[PlannedOperation, ...]], ...]:
    """Per trader, its operations by time. `products` come with their weights. Raises TooMuchWork.

    Each starts with a deposit; then the traders together act at `workload.rate`, evenly with jitter.
    """
    if workload.traders == 0:
        return ()
    first_ns = workload.start + 2 * NS_PER_SECOND
    slots = max(0, stop_ns - first_ns) * workload.rate // (1_000 * NS_PER_SECOND)
    if slots > OPERATIONS_MAX:
        raise TooMuchWork(f"{slots} operations until the storm ends; at most {OPERATIONS_MAX}: lower the rate")
    names = [f"trader-{index}" for index in range(workload.traders)]
    order = sorted(names, key=lambda name: random.bits("view", name))
    # By quota and not by chance, so that every seed has somebody to liquidate whichever way the price goes.
    rising = set(order[: round(workload.buyers * len(order))])
    patient = set(order[::PATIENT_EVERY])
    traders = [
        _Trader(
            name, workload, products, im_bps, random,
            view=1 if name in rising else -1, patient=name in patient, coin=coin,
        )
        for name in names
    ]
    for trader in traders:
        trader.start()
    for slot in range(slots):
        jitter = random.below(1_000, "slot-jitter", slot)
        at_ns = first_ns + (slot * 1_000 + jitter) * NS_PER_SECOND // workload.rate
        # Everybody once first, so that all of them hold something early; then whoever is drawn.
        turn = slot if slot < len(traders) else random.below(len(traders), "slot-trader", slot)
        traders[turn].act(at_ns)
    return tuple((trader.name, tuple(trader.operations)) for trader in traders)


class _Trader:
    """One trader's script. `held` is what it would hold if everything succeeded; the run decides what really does."""

    def __init__(
        self, name: str, workload: schema.Workload, products: Sequence[tuple[Product, int]], im_bps: int,
        random: Random, *, view: int, patient: bool, coin: CoinPool | None,
    ) -> None:  # fmt: skip
        self.name = name
        self.operations: list[PlannedOperation] = []
        self._workload = workload
        self._products = products
        self._random = random
        self._held: dict[str, int] = {}   # product id → leverage in thousandths
        self._funded: set[int] = set()    # isolated pools with collateral of its own in them
        self._leverage_max = min(workload.leverage[1], 10_000 * LEVERAGE_SHARE_MAX // im_bps)
        self._coin = coin
        self._view = view          # +1 expects a rise
        self._patient = patient    # holds what it has, whatever the price does, and comes back when it lost it
        self._fresh_ns = workload.start + FRESH_CAPITAL_NS + random.below(FRESH_CAPITAL_NS // 2, "fresh-phase", name)
        self._tried_withdrawal = False
        low, high = workload.deposit
        self._deposit = low + self._below(high - low + 1, "deposit")

    def _below(self, bound: int, stream: str) -> int:
        return self._random.below(bound, stream, self.name, len(self.operations))

    def start(self) -> None:
        at_ns = self._workload.start + self._below(NS_PER_SECOND, "start")
        self._add(at_ns, "deposit", amount=self._deposit)

    def act(self, at_ns: int) -> None:
        """Plan the next operation; nothing if there is nothing left to trade."""
        live = {product.id: product for product, _ in self._products if product.expires_s * NS_PER_SECOND > at_ns}
        self._held = {product: leverage for product, leverage in self._held.items() if product in live}
        if self._patient and at_ns >= self._fresh_ns:
            self._fresh_ns = at_ns + FRESH_CAPITAL_NS
            self._held = {}
            self._funded.clear()
            self._add(at_ns, "deposit", amount=self._deposit * (500 + self._below(500, "fresh")) // 1_000)
            return
        action = self._weighted(_NEXT, "action") if self._held and not self._patient else "open"
        if self._held and not self._patient and not self._tried_withdrawal:
            action, self._tried_withdrawal = "withdraw", True   # early, while it can: so that every run has some
        full = action == "open" and bool(self._held) and self._room() < self._workload.leverage[0]
        match action:
            case "open" if full and self._below(2, "trim"):
                self._reduce(at_ns, 10 + self._below(40, "fraction"))
            case "open" if full:
                # Close to its limit it still adds a little now and then, and is refused where the mark has moved.
                self._open(at_ns, leverage=100 + self._below(200, "leverage"))
            case "open":
                self._open(at_ns)
            case "deposit":
                self._add(at_ns, "deposit", amount=self._deposit * (100 + self._below(400, "top-up")) // 1_000)
            case "withdraw":
                self._add(at_ns, "withdraw", amount=self._deposit * (10 + self._below(90, "withdrawal")) // 1_000)
            case "reduce":
                self._reduce(at_ns, 50 + self._below(450, "fraction"))
            case "close":
                self._reduce(at_ns, 1_000)

    def _reduce(self, at_ns: int, fraction: int) -> None:
        """Give up `fraction` thousandths of one held product; all of them close it."""
        product = sorted(self._held)[self._below(len(self._held), "held")]
        if fraction == 1_000:
            del self._held[product]
            self._add(at_ns, "close", product=product, fraction=fraction)
            closed = next(held for held, _ in self._products if held.id == product)
            if closed.terms.pool:
                self._move(at_ns, closed, side=-1, share=POOL_SHARE // 4)
        else:
            self._held[product] = self._held[product] * (1_000 - fraction) // 1_000
            self._add(at_ns, "reduce", product=product, fraction=fraction)

    def _room(self) -> int:
        """Leverage still free, in thousandths, if everything so far succeeded."""
        return self._leverage_max - sum(self._held.values())

    def _open(self, at_ns: int, *, leverage: int | None = None) -> None:
        horizon = at_ns + OPEN_BEFORE_EXPIRY_NS
        choices = [(p, weight) for p, weight in self._products if p.expires_s * NS_PER_SECOND > horizon and weight > 0]
        if not choices:
            return
        product = self._weighted(choices, "product")
        if leverage is None:
            low = min(self._workload.leverage[0], self._leverage_max)
            leverage = low + self._below(self._leverage_max - low + 1, "leverage")
            leverage = min(leverage, max(low, self._room()))
        if product.kind in ("call", "put"):
            leverage = max(1, leverage // OPTION_LEVERAGE_DIVISOR)
        # A put gains where the others lose: who expects a fall buys puts and sells the rest.
        with_view = self._below(100, "side") < WITH_VIEW_PERCENT
        side = self._view * (1 if with_view else -1) * (-1 if product.kind == "put" else 1)
        if product.terms.pool and product.terms.pool not in self._funded:
            self._funded.add(product.terms.pool)
            self._move(at_ns, product, side=1, share=POOL_SHARE)
        self._held[product.id] = self._held.get(product.id, 0) + leverage
        self._add(at_ns, "open", product=product.id, side=side, leverage=leverage)

    def _move(self, at_ns: int, product: Product, *, side: int, share: int) -> None:
        """Some of its deposit into the product's pool, or back; for a coin pool coin worth as much at first."""
        amount = self._deposit * share // 1_000
        if self._coin is not None and product.terms.pool == self._coin.pool:
            action: TradeAction = "deposit" if side > 0 else "withdraw"
            self._add(at_ns, action, product=product.id, side=side, amount=self._coin.worth(amount))
        else:
            self._add(at_ns, "move", product=product.id, side=side, amount=amount)

    def _weighted(self, choices: Sequence[tuple[T, int]], stream: str) -> T:
        drawn = self._below(sum(weight for _, weight in choices), stream)
        for choice, weight in choices:
            if drawn < weight:
                return choice
            drawn -= weight
        raise AssertionError("a draw below the sum of the weights falls on one of them")

    def _add(
        self, at_ns: int, action: TradeAction, *, product: str = "", side: int = 0, leverage: int = 0,
        fraction: int = 0, amount: int = 0,
    ) -> None:  # fmt: skip
        identity = f"{self.name}/{len(self.operations)}"
        self.operations.append(
            PlannedOperation(identity, at_ns, action, product, side, leverage, fraction, amount)
        )
