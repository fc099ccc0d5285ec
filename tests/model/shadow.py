"""The formulas of the specification once more, in exact fractions of whole units and by the shortest road.

Shares nothing with harness/model: quantities are Fractions in human units, rounding is to the wei by `math.floor` and
`math.ceil`, and requirements follow the published tables rather than the scaled arithmetic of the model.
"""

from __future__ import annotations

import math
from fractions import Fraction

WEI = Fraction(1, 10**18)


def down(value: Fraction) -> int:
    """Floored, in wei."""
    return math.floor(value / WEI)


def up(value: Fraction) -> int:
    return math.ceil(value / WEI)


def requirement(kind: str, size: Fraction, price: Fraction, strike: Fraction) -> tuple[int, int]:
    """IM and MM in wei at the reference ratios: 10 %, 6.25 %; options 15 %, 10 %, 7.5 %."""
    if kind in ("future", "inverse"):
        notional = abs(size) * abs(price) if kind == "future" else abs(size) / price
        return up(notional / 10), up(notional / 16)
    if size >= 0:
        return 0, 0
    index = max(price, Fraction(0))
    written = -size
    base = Fraction(3, 40) * index
    if kind == "call":
        inside, outside = max(index - strike, Fraction(0)), max(strike - index, Fraction(0))
        initial = max(Fraction(3, 20) * index - outside, index / 10)
        return up(written * (inside + initial)), up(written * (inside + base))
    inside, outside = max(strike - index, Fraction(0)), max(index - strike, Fraction(0))
    maintenance = max(base, Fraction(3, 40) * inside)
    initial = max(Fraction(3, 20) * index - outside, index / 10, maintenance)
    return up(written * (inside + initial)), up(written * (inside + maintenance))


def payoff(kind: str, price: Fraction, strike: Fraction) -> Fraction:
    return max(price - strike if kind == "call" else strike - price, Fraction(0))


def average(observations: list[tuple[int, Fraction]], expiry: int, window: int) -> int:
    """S_T in wei: the mean over each whole second of the window of the price that held at its start."""
    first = observations[0][0]
    if first >= expiry:
        return down(observations[0][1])
    start = max(expiry - window, first)

    def held(second: int) -> Fraction:
        return [price for when, price in observations if when <= second][-1]

    return down(sum((held(second) for second in range(start, expiry)), Fraction(0)) / (expiry - start))


class Book:
    """Futures and options of one account pair, kept as fractions; what the venue rounds away it simply keeps."""

    def __init__(self) -> None:
        self.size: dict[str, Fraction] = {}
        self.value: dict[str, Fraction] = {}  # exact cash + what the position cost, per account

    def trade(self, taker: str, maker: str, size: Fraction, price: Fraction, fee: Fraction) -> None:
        for name, change, paid in ((taker, size, fee), (maker, -size, Fraction(0))):
            self.size[name] = self.size.get(name, Fraction(0)) + change
            self.value[name] = self.value.get(name, Fraction(0)) - change * price - paid

    def equity(self, name: str, price: Fraction) -> Fraction:
        """Exact equity gained since the start at that price."""
        return self.value.get(name, Fraction(0)) + self.size.get(name, Fraction(0)) * price
