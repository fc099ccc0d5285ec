"""The true price of an asset at a moment: the plan's path, interpolated in exact integers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from harness.plan import Knot

WAD = 10**18


class PricePath:
    """A piecewise linear path through knots; constant before the first, and after the last until it starts over."""

    def __init__(self, knots: Sequence[Knot], *, period_ns: int = 0) -> None:
        """It starts over after `period_ns`, or never."""
        if not knots:
            raise ValueError("a price path needs at least one knot")
        self._knots = tuple(knots)
        self._period_ns = period_ns
        self._times = [knot.at_ns for knot in self._knots]

    def at(self, now_ns: int) -> int:
        """The price at `now_ns` after the run's start, in 1e18 quote per unit, floored between knots."""
        if self._period_ns:
            now_ns %= self._period_ns
        after = bisect_right(self._times, now_ns)
        if after == 0:
            return self._knots[0].value
        if after == len(self._knots):
            return self._knots[-1].value
        left, right = self._knots[after - 1], self._knots[after]
        span = right.at_ns - left.at_ns
        return left.value + (right.value - left.value) * (now_ns - left.at_ns) // span
