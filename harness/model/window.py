"""What a settlement price is made of: the average over a window, and whether enough of it was observed."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.feed import Feed, NoPrice
from harness.model.fixed import BPS, floor_div
from harness.model.params import VenueParams

NEXT_QUORUM, GOVERNANCE, CARRIED = 1, 2, 3
"""The ways out of a dispute, as `DisputeResolved` numbers them."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a feed, from `start` to `end`; the newest price is carried on where observations end before."""

    average: int                 # fl of the time-weighted mean
    covered: int                 # seconds whose price was young enough
    beyond: int                  # seconds whose price was older than a settlement bears

    def is_sound(self, params: VenueParams) -> bool:
        """The whole settlement window counts, also when the first observation came within it."""
        return self.covered * BPS >= params.coverage_bps * params.settlement_window_s and self.beyond == 0


def closing_window(feed: Feed, expiry: int, params: VenueParams) -> Window | None:
    """The window that ends at expiry; None when nothing was observed before expiry."""
    first = feed.rounds[0].timestamp if feed.rounds else None
    if first is None or first >= expiry:
        return None
    return _window(feed, max(expiry - params.settlement_window_s, first), expiry)


def settlement_price(feed: Feed, expiry: int, params: VenueParams) -> int:
    """S_T by the ordinary way (spec 3.12).

    Raises:
        NoPrice: nothing was observed at or after expiry yet, or too little before it, which is a matter of dispute.
    """
    if feed.newest is None or feed.newest < expiry:
        raise NoPrice(f"no observation at or after expiry {expiry}")
    found = closing_window(feed, expiry, params)
    if found is None or not found.is_sound(params):
        raise NoPrice(f"too little was observed before expiry {expiry}: {found}")
    return found.average


def next_quorum(feed: Feed, disputed_at: int, params: VenueParams) -> int | None:
    """The average of the first window that opens after the dispute; None unless it is over and sound."""
    start = feed.first_after(disputed_at)
    if start is None or feed.newest is None or feed.newest < start + params.settlement_window_s:
        return None
    found = _window(feed, start, start + params.settlement_window_s)
    return found.average if found.is_sound(params) else None


def carried_price(feed: Feed, expiry: int, params: VenueParams) -> int | None:
    """What the ordinary way would give without its gap rule; None only where nothing was ever observed."""
    found = closing_window(feed, expiry, params)
    if found is not None:
        return found.average
    return feed.rounds[0].price if feed.rounds else None


def _window(feed: Feed, start: int, end: int) -> Window:
    average = floor_div(feed.cumulative_at(end) - feed.cumulative_at(start), end - start)
    (covered, beyond), (covered_before, beyond_before) = feed.ages_at(end), feed.ages_at(start)
    return Window(average, covered - covered_before, beyond - beyond_before)
