"""What a plan's products were truly worth at a moment: its price paths, and Black's value on them for options."""

from __future__ import annotations

from decimal import Decimal

from harness.plan import Plan, Product
from harness.pricing import black
from harness.pricing.black import CONTEXT
from harness.roles.market import PricePath

PRIOR_VARIANCE = Decimal("0.0001")
PRIOR_SECONDS = 10
WINDOW_S = 60
"""As makers begin, but seen every second and without delay: what a maker with a perfect view would quote around."""


class TrueValues:
    """Values at nanoseconds since the run's start, 1e18 quote."""

    def __init__(self, plan: Plan) -> None:
        self._paths = {asset: PricePath(knots, period_ns=plan.market_period_ns) for asset, knots in plan.markets}
        self._variances: dict[tuple[str, int], Decimal] = {}
        self._steps: dict[tuple[str, int], Decimal] = {}

    def price(self, asset: str, t_ns: int) -> int:
        """The true price of an underlying."""
        return self._paths[asset].at(t_ns)

    def value(self, product: Product, t_ns: int) -> int:
        """The true value of one unit of a product; that at its expiry from there on."""
        t_ns = max(0, min(t_ns, product.expires_s * 10**9))
        price = self.price(product.underlying, t_ns)
        if product.kind == "future" or product.kind == "perpetual" or product.kind == "inverse":
            return price
        left_ns = product.expires_s * 10**9 - t_ns
        variance = self._variance(product.underlying, t_ns // 10**9) * Decimal(left_ns) / Decimal(10**9)
        return black.price(product.kind, forward=price, strike=product.strike_wad, variance=variance)

    def _variance(self, asset: str, second: int) -> Decimal:
        """Σ (ln p′/p)² over the last seconds, per second, with the prior's share; as `RealisedVariance` has it."""
        key = (asset, second)
        if key not in self._variances:
            steps = [self._step(asset, after) for after in range(max(1, second - WINDOW_S + 1), second + 1)]
            total = sum(steps, PRIOR_VARIANCE * PRIOR_SECONDS)
            self._variances[key] = CONTEXT.divide(total, Decimal(PRIOR_SECONDS + len(steps)))
        return self._variances[key]

    def _step(self, asset: str, second: int) -> Decimal:
        key = (asset, second)
        if key not in self._steps:
            old, new = (self.price(asset, at * 10**9) for at in (second - 1, second))
            moved = CONTEXT.ln(CONTEXT.divide(Decimal(new), Decimal(old))) if old > 0 and new > 0 else Decimal(0)
            self._steps[key] = CONTEXT.multiply(moved, moved)
        return self._steps[key]
