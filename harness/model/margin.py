"""What one position is worth and what it must be backed with, at a given index price; pure functions.

Every amount is in the currency of the position's pool: quote, or for an inverse future its coin (spec 3.3), of which
one quote at price P is W/P. The prices of such a coin are positive by its listing; a history that has another one all
the same is judged as if it were the smallest that can be.
"""

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
    INVERSE = 4                  # a dated future of so many quote, margined in coin

    @property
    def is_option(self) -> bool:
        """The others are worth something less their entry notional N."""
        return self is Kind.CALL or self is Kind.PUT


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
    def is_initial(self) -> bool:
        """Whoever trades may be left so, whatever it was before."""
        return self.credited >= self.im

    @property
    def is_keeper(self) -> bool:
        """Who took positions over may be left so."""
        return self.credited >= self.base_im

    @property
    def is_liquidatable(self) -> bool:
        return self.mm > 0 and self.equity < self.mm


NO_REQUIREMENT = Requirement(0, 0)


def worth(kind: Kind, size: int, price: int) -> int:
    """What a size of that kind is worth at a price per unit, N apart: fl(q·P/W), or fl(−q·W/P) coin.

    −worth of a trade is what it costs, so n of a leg is `worth(kind, −dq, p)`, floored in the account's disfavour.
    """
    if kind is Kind.INVERSE:
        return -size * WAD // max(price, 1)
    return size * price // WAD  # `//` floors: a replay comes by here at every event


def rated(kind: Kind, size: int, price: int, bps: int) -> int:
    """So many basis points of the notional of a size, ceiled once: margins of futures, and every fee."""
    if kind is Kind.INVERSE:
        return ceil_div(abs(size) * WAD * bps, BPS * max(price, 1))
    return ceil_div(abs(size) * abs(price) * bps, BPS * WAD)


def notional(kind: Kind, size: int, price: int) -> int:
    """w(x): the notional of a size, 1e36; what penalties are a share of. Ceiled where it is no whole number."""
    if kind is Kind.INVERSE:
        return ceil_div(abs(size) * WAD * WAD, max(price, 1))
    return abs(size) * abs(price)


def notional_down(kind: Kind, size: int, price: int) -> int:
    """The same floored to 1e18: what counts as leverage when counterparties are ranked."""
    if kind is Kind.INVERSE:
        return floor_div(abs(size) * WAD, max(price, 1))
    return floor_div(abs(size) * abs(price), WAD)


def quote_notional(kind: Kind, size: int, price: int) -> int:
    """s(x): the notional in quote, 1e36, whatever the currency; what "small" is measured by."""
    return abs(size) * WAD if kind is Kind.INVERSE else abs(size) * abs(price)


def profit_limit(kind: Kind, profit_cap: int, price: int) -> int:
    """A profit cap of whole quote, in the currency of the position."""
    return floor_div(profit_cap * WAD * WAD, max(price, 1)) if kind is Kind.INVERSE else profit_cap * WAD


def intrinsic(kind: Kind, *, strike: int, price: int) -> int:
    """What an option is worth if it ended at the index price; prices below zero count as zero."""
    clamped = max(price, 0)
    return max(clamped - strike, 0) if kind is Kind.CALL else max(strike - clamped, 0)


def payoff(kind: Kind, *, strike: int, settlement_price: int) -> int:
    """What an option pays per unit at S_T (spec 3.1); not clamped, so a put pays K − S_T below zero too."""
    return max(settlement_price - strike, 0) if kind is Kind.CALL else max(strike - settlement_price, 0)


def requirement(kind: Kind, *, strike: int, size: int, price: int, params: VenueParams) -> Requirement:
    """IM and MM of one live position, each ceiled once (spec 3.5a for short options)."""
    if not kind.is_option:
        return Requirement(rated(kind, size, price, params.im_bps), rated(kind, size, price, params.mm_bps))
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


def open_notional(kind: Kind, *, open_interest: int, price: int) -> int:
    """O: a series' open interest in quote, fl(OI·|P|/W); an inverse future's is that already."""
    return floor_div(quote_notional(kind, open_interest, price), WAD)


def scaled_im(
    kind: Kind, *, size: int, price: int, im_bps: int, open_interest: int, lower: int, cap: int
) -> int:
    """The initial margin of a future, from its rate at the lower bound to all of its notional at the cap.

    Both bounds in whole quote, lower < cap.
    """
    width = (cap - lower) * WAD
    above = min(max(open_notional(kind, open_interest=open_interest, price=price) - lower * WAD, 0), width)
    rate = im_bps * width + (BPS - im_bps) * above  # over BPS·width
    if kind is Kind.INVERSE:
        return ceil_div(abs(size) * WAD * rate, BPS * width * max(price, 1))
    return ceil_div(abs(size) * abs(price) * rate, BPS * WAD * width)


def may_move(before: Margin, after: Margin) -> bool:
    """Whether a trade may leave an account so: fully margined, or (spec 3.9, where it was under-margined before) no
    worse in requirement and in ratio.

    Under-margined is E° < IM with MM > 0: an account without requirement owes its premiums in full. Compared crosswise,
    never as rounded ratios.
    """
    if after.is_initial:
        return True
    if before.is_initial or before.mm <= 0:
        return False
    return after.mm <= before.mm and after.equity * before.mm >= before.equity * after.mm
