"""Realised variance of an index as one observer saw it: the older and sparser its view, the worse the figure."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from harness.pricing.black import CONTEXT

OBSERVATIONS_MAX = 120


class RealisedVariance:
    """Variance per second from the observations of a moving window, pulled toward a prior while there are few.

    What was missed was not seen: an index that fell and came back between two observations looks calm, and one seen
    late looks like a jump.
    """

    def __init__(self, *, prior: Decimal, prior_seconds: int, window_seconds: int) -> None:
        """`prior` is a variance per second, worth as much as `prior_seconds` of observations."""
        self._prior = prior
        self._prior_seconds = prior_seconds
        self._window = window_seconds
        self._seen: deque[tuple[int, int]] = deque(maxlen=OBSERVATIONS_MAX)

    def see(self, timestamp: int, price: int) -> None:
        """An observation; one that is not newer than the last, or of a price without logarithm, teaches nothing."""
        if price <= 0 or (self._seen and timestamp <= self._seen[-1][0]):
            return
        self._seen.append((timestamp, price))
        while self._seen[0][0] < timestamp - self._window:
            self._seen.popleft()

    def per_second(self) -> Decimal:
        """Σ (ln p′/p)² over the time it took, with the prior's share."""
        total = CONTEXT.multiply(self._prior, Decimal(self._prior_seconds))
        seconds = self._prior_seconds
        for (before, old), (after, new) in zip(self._seen, list(self._seen)[1:], strict=False):
            step = CONTEXT.ln(CONTEXT.divide(Decimal(new), Decimal(old)))
            total = CONTEXT.add(total, CONTEXT.multiply(step, step))
            seconds += after - before
        return CONTEXT.divide(total, Decimal(max(seconds, 1)))
