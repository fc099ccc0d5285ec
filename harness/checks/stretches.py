"""A feed second by second: what a window of it averages to, and how many of its seconds had what kind of price.

A second opinion on settlement prices that shares no arithmetic with the model: no cumulative, no running sums; each
whole second has the price that held at its start, and an age.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model.facts import RoundFact
from harness.model.fixed import BPS
from harness.model.params import VenueParams


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some seconds of a feed."""

    total: int                   # Σ price over the seconds
    length: int
    covered: int                 # seconds whose price was younger than the age limit
    beyond: int                  # seconds whose price was at least as old as the gap limit

    @property
    def average(self) -> int:
        return self.total // self.length

    def is_sound(self, params: VenueParams) -> bool:
        return self.covered * BPS >= params.coverage_bps * params.settlement_window_s and not self.beyond


def stretch(rounds: Sequence[RoundFact], start: int, end: int, params: VenueParams) -> Stretch:
    """Of rounds in order of time, the first of which is not after `start`; the last price is carried on."""
    times = [fact.timestamp for fact in rounds]
    total = covered = beyond = 0
    for second in range(start, end):
        held = rounds[bisect_right(times, second) - 1]
        age = second - held.timestamp
        total += held.price
        covered += age < params.max_price_age_s
        beyond += age >= params.settlement_max_gap_s
    return Stretch(total, end - start, covered, beyond)


def before_expiry(rounds: Sequence[RoundFact], expiry: int, params: VenueParams) -> Stretch | None:
    """The settlement window that ends at expiry; None when nothing was observed before it."""
    if not rounds or rounds[0].timestamp >= expiry:
        return None
    return stretch(rounds, max(expiry - params.settlement_window_s, rounds[0].timestamp), expiry, params)


def after_dispute(rounds: Sequence[RoundFact], disputed_at: int, params: VenueParams) -> Stretch | None:
    """The window that opens with the first round after a dispute; None until a round at or after its end is in."""
    start = next((fact.timestamp for fact in rounds if fact.timestamp > disputed_at), None)
    if start is None or rounds[-1].timestamp < start + params.settlement_window_s:
        return None
    return stretch(rounds, start, start + params.settlement_window_s, params)
