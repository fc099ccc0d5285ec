"""The price feed of one asset: accepted rounds, their cumulative, and the settlement average recomputed from them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model.fixed import BPS, floor_div


class NoPrice(ValueError):
    """The feed cannot say what was asked: no observation yet, or a time outside its observations."""


@dataclass(frozen=True, slots=True)
class Round:
    round: int
    timestamp: int
    price: int
    cumulative: int              # Σ price·dt from the first observation up to this one's timestamp
    covered: int = 0             # seconds up to its timestamp that had a price young enough
    beyond: int = 0              # seconds up to its timestamp whose price was older than a settlement bears
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


def clamped_mean(prices: Sequence[int], clamp_bps: int) -> int:
    """The index (spec 3.15): the floored mean of the prices, each clamped to that share of the median around it."""
    middle = median(prices)
    width = floor_div(abs(middle) * clamp_bps, BPS)
    return floor_div(sum(min(max(price, middle - width), middle + width) for price in prices), len(prices))


@dataclass(frozen=True, slots=True)
class AssetTerms:
    """What an asset was listed with; an accepted price lies strictly between the bounds."""

    signed: bool = False
    min_answer: int = 0
    max_answer: int = 10**26


UNSIGNED = AssetTerms()


class Feed:
    """Accepted rounds in order of acceptance; grows, never changes.

    The price of a round holds from its timestamp until the next one's; A(t) is the integral of that step function from
    the first observation on.
    """

    def __init__(self, *, age_max: int = 0, gap_max: int = 0) -> None:
        """`age_max` and `gap_max` in seconds: what counts as covered, and as beyond bearing, in `sums_at`."""
        self.terms = UNSIGNED
        self.halted_until = 0    # block time; 0: no price ever breached the breaker
        self._age_max, self._gap_max = age_max, gap_max
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
        covered, beyond = self._ages(timestamp_sorted)
        accepted = Round(round_, timestamp, price, cumulative, covered, beyond, self.funded_at(active, funding_gap),
                         active)
        self.rounds.append(accepted)
        self.price = price
        self._timestamps.append(timestamp_sorted)
        return accepted

    def _ages(self, t: int) -> tuple[int, int]:
        """(covered, beyond) at a time not before the newest observation; zeros before the first."""
        if not self.rounds:
            return 0, 0
        last, age = self.rounds[-1], t - self._timestamps[-1]
        return last.covered + min(age, self._age_max), last.beyond + max(0, age - self._gap_max)

    def ages_at(self, t: int) -> tuple[int, int]:
        """Running sums of the seconds up to t whose price was young enough, and of those whose was too old to bear.

        The newest observation is carried on beyond itself; both are 0 up to the first.
        """
        index = bisect_right(self._timestamps, t) - 1
        if index < 0:
            return 0, 0
        held, age = self.rounds[index], t - self._timestamps[index]
        return held.covered + min(age, self._age_max), held.beyond + max(0, age - self._gap_max)

    def first_after(self, t: int) -> int | None:
        """Timestamp of the first round later than t."""
        index = bisect_right(self._timestamps, t)
        return self._timestamps[index] if index < len(self._timestamps) else None

    def funded_at(self, active: int, gap: int) -> int:
        """B at that active clock, of which at most `gap` seconds since the newest round count; 0 before the first."""
        last = self.latest
        if last is None:
            return 0
        return last.funded + abs(last.price) * min(max(active - last.active_at, 0), gap)

    def cumulative_at(self, t: int) -> int:
        """A(t) from the first observation on; the newest price is carried on beyond its own time.

        Raises:
            NoPrice: nothing was observed by then.
        """
        if not self.rounds or t < self.rounds[0].timestamp:
            raise NoPrice(f"no cumulative at {t}: observations begin at {self._timestamps[:1]}")
        index = bisect_right(self._timestamps, t) - 1
        return self.rounds[index].cumulative + self.rounds[index].price * (t - self._timestamps[index])

    @property
    def newest(self) -> int | None:
        """The latest time an observation is of."""
        return self._timestamps[-1] if self._timestamps else None
