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
    im: int                      # open interest's scaling included
    mm: int
    excess: int = 0              # of E: unrealised profit beyond what may be opened against
    scaling: int = 0             # of IM: what open interest adds

    @property
    def credited(self) -> int:
        """E°: what counts for opening."""
        return self.equity - self.excess

    @property
    def base_im(self) -> int:
        """IM⁰: what a liquidation aims at, and a keeper must end above."""
        return self.im - self.scaling

    @property
    def is_keeper(self) -> bool:
        """Who took positions over may be left so."""
        return self.credited >= self.base_im

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


def open_notional(*, open_interest: int, price: int) -> int:
    """O = fl(OI·|P|/W): a series' open interest in quote."""
    return floor_div(open_interest * abs(price), WAD)


def scaled_im(
    *, size: int, price: int, im_bps: int, open_interest: int, lower: int, cap: int
) -> int:
    """The initial margin of a linear position, from its rate at the lower bound to all of its notional at the cap.

    Both bounds in whole quote, lower < cap.
    """
    width = (cap - lower) * WAD
    above = min(max(open_notional(open_interest=open_interest, price=price) - lower * WAD, 0), width)
    return ceil_div(abs(size) * abs(price) * (im_bps * width + (BPS - im_bps) * above), BPS * WAD * width)


def future_pnl(*, size: int, notional: int, price: int) -> int:
    """fl(q·P/W) − N."""
    return floor_div(size * price, WAD) - notional


def may_move(before: Margin, after: Margin) -> bool:
    """Whether a trade may leave an account so: fully margined, or (spec 3.9, where it was under-margined before) no
    worse in requirement and in ratio.

    Under-margined is E° < IM with MM > 0: an account without requirement owes its premiums in full. Compared crosswise,
    never as rounded ratios.
    """
    if after.credited >= after.im:
        return True
    if before.credited >= before.im or before.mm <= 0:
        return False
    return after.mm <= before.mm and after.equity * before.mm >= before.equity * after.mm
