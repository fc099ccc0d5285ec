"""The price feed of one asset: accepted rounds, their cumulative, and the settlement average recomputed from them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model.fixed import floor_div


class NoPrice(ValueError):
    """The feed cannot say what was asked: no observation yet, or a time outside its observations."""


@dataclass(frozen=True, slots=True)
class Round:
    round: int
    timestamp: int
    price: int
    cumulative: int              # Σ price·dt from the first observation up to this one's timestamp
    funded: int = 0              # B: Σ |price|·counted active seconds, up to its acceptance
    active_at: int = 0           # the active clock when it was accepted


def median(prices: Sequence[int]) -> int:
    """The middle price; for an even count the floored mean of the middle two."""
    if not prices:
        raise NoPrice("the median of no prices")
    ordered = sorted(prices)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return floor_div(ordered[middle - 1] + ordered[middle], 2)


class Feed:
    """Accepted rounds in order of acceptance; grows, never changes.

    The price of a round holds from its timestamp until the next one's; A(t) is the integral of that step function from
    the first observation on.
    """

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.price = 0           # the newest accepted price, 0 before the first; plain, for it is read all the time
        self._timestamps: list[int] = []

    @property
    def latest(self) -> Round | None:
        return self.rounds[-1] if self.rounds else None

    def accept(self, round_: int, *, timestamp: int, price: int, active: int = 0, funding_gap: int = 0) -> Round:
        """Append a round. One that does not move time forward (a feed that broke its rule) adds nothing to A.

        `active` is the active clock of its block; of the time since the round before at most `funding_gap` is funded.
        """
        last = self.latest
        cumulative = 0
        if last is not None:
            cumulative = last.cumulative + last.price * max(0, timestamp - last.timestamp)
            timestamp_sorted = max(timestamp, self._timestamps[-1])
        else:
            timestamp_sorted = timestamp
        accepted = Round(round_, timestamp, price, cumulative, self.funded_at(active, funding_gap), active)
        self.rounds.append(accepted)
        self.price = price
        self._timestamps.append(timestamp_sorted)
        return accepted

    def funded_at(self, active: int, gap: int) -> int:
        """B at that active clock, of which at most `gap` seconds since the newest round count; 0 before the first."""
        last = self.latest
        if last is None:
            return 0
        return last.funded + abs(last.price) * min(max(active - last.active_at, 0), gap)

    def cumulative_at(self, t: int) -> int:
        """A(t), for first observation ≤ t ≤ last observation.

        Raises:
            NoPrice: t lies outside.
        """
        if not self.rounds or not self.rounds[0].timestamp <= t <= self._timestamps[-1]:
            raise NoPrice(f"no cumulative at {t}: observations span {self._timestamps[:1]} to {self._timestamps[-1:]}")
        index = bisect_right(self._timestamps, t) - 1
        return self.rounds[index].cumulative + self.rounds[index].price * (t - self._timestamps[index])

    def settlement_price(self, expiry: int, window: int) -> int:
        """S_T = fl((A(T) − A(T−w)) / w) (spec 3.12); w shortens to what the observations cover.

        Raises:
            NoPrice: nothing was observed at or after expiry yet.
        """
        if not self.rounds or self._timestamps[-1] < expiry:
            raise NoPrice(f"no observation at or after expiry {expiry}")
        first = self.rounds[0]
        if first.timestamp >= expiry:
            return first.price
        start = max(expiry - window, first.timestamp)
        return floor_div(self.cumulative_at(expiry) - self.cumulative_at(start), expiry - start)
