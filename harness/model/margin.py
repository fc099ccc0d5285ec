"""What one position is worth and what it must be backed with, at a given index price; pure functions."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from harness.model.fixed import BPS, WAD, ceil_div, floor_div
from harness.model.params import VenueParams


class Kind(IntEnum):
    FUTURE = 0
    CALL = 1
    PUT = 2
    PERPETUAL = 3

    @property
    def is_linear(self) -> bool:
        """Worth q·P less its entry notional; the others are options."""
        return self is Kind.FUTURE or self is Kind.PERPETUAL


class Requirement(NamedTuple):
    im: int
    mm: int


class Margin(NamedTuple):
    """An account's equity E and its initial and maintenance requirement."""

    equity: int
    im: int
    mm: int

    @property
    def is_liquidatable(self) -> bool:
        return self.mm > 0 and self.equity < self.mm


NO_REQUIREMENT = Requirement(0, 0)


def intrinsic(kind: Kind, *, strike: int, price: int) -> int:
    """What an option is worth if it ended at the index price; prices below zero count as zero."""
    clamped = max(price, 0)
    return max(clamped - strike, 0) if kind is Kind.CALL else max(strike - clamped, 0)


def payoff(kind: Kind, *, strike: int, settlement_price: int) -> int:
    """What an option pays per unit at S_T (spec 3.1); not clamped, so a put pays K − S_T below zero too."""
    return max(settlement_price - strike, 0) if kind is Kind.CALL else max(strike - settlement_price, 0)


def requirement(kind: Kind, *, strike: int, size: int, price: int, params: VenueParams) -> Requirement:
    """IM and MM of one live position, each ceiled once (spec 3.5a for short options)."""
    if kind is Kind.FUTURE or kind is Kind.PERPETUAL:
        notional = abs(size) * abs(price)
        return Requirement(
            ceil_div(notional * params.im_bps, BPS * WAD), ceil_div(notional * params.mm_bps, BPS * WAD)
        )
    if size >= 0:
        return NO_REQUIREMENT
    index = max(price, 0)
    inside = intrinsic(kind, strike=strike, price=price)
    # Everything below is scaled by BPS, so that the only division is the last one.
    outside = BPS * (max(strike - index, 0) if kind is Kind.CALL else max(index - strike, 0))
    initial = max(params.option_im_bps * index - outside, params.option_min_im_bps * index)
    maintenance = params.option_mm_bps * index
    if kind is Kind.PUT:
        maintenance = max(maintenance, params.option_mm_bps * inside)
        initial = max(initial, maintenance)
    return Requirement(
        ceil_div(-size * (BPS * inside + initial), BPS * WAD), ceil_div(-size * (BPS * inside + maintenance), BPS * WAD)
    )


def future_pnl(*, size: int, notional: int, price: int) -> int:
    """fl(q·P/W) − N."""
    return floor_div(size * price, WAD) - notional


def may_move(before: Margin, after: Margin) -> bool:
    """Whether a trade may leave an account so: fully margined, or (spec 3.9, where it was under-margined before) no
    worse in requirement and in ratio.

    Under-margined is E < IM with MM > 0: an account without requirement owes its premiums in full. Compared crosswise,
    never as rounded ratios.
    """
    if after.equity >= after.im:
        return True
    if before.equity >= before.im or before.mm <= 0:
        return False
    return after.mm <= before.mm and after.equity * before.mm >= before.equity * after.mm
