"""What short options of one expiry must be backed with: three published modules, as pure functions of exact integers.

Spec 3.5. A *mark* is what an option is held to be worth; the venue uses its intrinsic value, others a model price.
Rates are basis points. Everything is a numerator until it is ceiled, once for each position by itself and once for a
whole group's worst loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.model.fixed import BPS, WAD, ceil_div
from harness.model.margin import NO_REQUIREMENT, Kind, Requirement, intrinsic, payoff, requirement
from harness.model.params import VenueParams


class Option(NamedTuple):
    """A position in one series."""

    kind: Kind                   # CALL or PUT
    strike: int
    size: int                    # 1e18 underlying; long > 0
    mark: int = 0                # 1e18 quote per unit, ≥ 0


class StandardRates(NamedTuple):
    """Per unit of underlying; Deribit and Aevo: 15 %, 10 %, 7.5 %; Derive: 15 %, 13 %, 9 %."""

    im_bps: int
    min_im_bps: int
    mm_bps: int
    mm_mark_bps: int             # of a put's mark, where that is more


DERIBIT = StandardRates(1_500, 1_000, 750, 750)
DERIVE = StandardRates(1_500, 1_300, 900, 900)


def isolated(option: Option, *, index: int, rates: StandardRates) -> tuple[int, int]:
    """IM and MM numerators (over BPS·W) of one position by itself; nothing for a long one."""
    if option.size >= 0:
        return 0, 0
    spot = max(index, 0)
    away = option.strike - spot if option.kind is Kind.CALL else spot - option.strike
    initial = max(rates.im_bps * spot - BPS * max(away, 0), rates.min_im_bps * spot)
    maintenance = rates.mm_bps * spot
    if option.kind is Kind.PUT:
        maintenance = max(maintenance, rates.mm_mark_bps * option.mark)
        initial = max(initial, maintenance)
    written = -option.size
    return written * (BPS * option.mark + initial), written * (BPS * option.mark + maintenance)


def value_at(options: Iterable[Option], price: int) -> int:
    """Σ q·payoff at that settlement price, exact: 1e36 quote."""
    return sum(item.size * payoff(item.kind, strike=item.strike, settlement_price=price) for item in options)


def worst_loss(options: Sequence[Option]) -> int:
    """The most the options of one expiry can owe at any price from zero to the highest strike, 1e36 quote, ≥ 0.

    The value is linear between neighbouring strikes, so it is least at one of them or at zero. Beyond the highest it
    goes on with slope `unpaired`: where that is downward, no loss is the most.
    """
    return max(0, -min((value_at(options, price) for price in (0, *(item.strike for item in options))), default=0))


def unpaired_calls(options: Iterable[Option]) -> int:
    """Calls written beyond those held: how fast the loss grows above the highest strike (1e18 underlying, ≥ 0)."""
    return max(0, -sum(item.size for item in options if item.kind is Kind.CALL))


class Bounded(NamedTuple):
    """Max-loss relief: an add-on of the index for every call written without one held."""

    unpaired_im_bps: int
    unpaired_mm_bps: int


def bounded(options: Sequence[Option], *, index: int, bounds: Bounded) -> tuple[int, int]:
    """IM and MM numerators (over BPS·W) by the worst loss of a whole expiry."""
    loss, open_calls = BPS * worst_loss(options), unpaired_calls(options) * max(index, 0)
    return loss + open_calls * bounds.unpaired_im_bps, loss + open_calls * bounds.unpaired_mm_bps


def relieved(
    options: Sequence[Option], *, index: int, rates: StandardRates, bounds: Bounded
) -> Requirement:
    """Derive's standard manager: of the sum of each by itself and the worst loss together, the one that asks less."""
    im, mm = 0, 0
    for item in options:
        alone = isolated(item, index=index, rates=rates)
        im, mm = im + ceil_div(alone[0], BPS * WAD), mm + ceil_div(alone[1], BPS * WAD)
    together = bounded(options, index=index, bounds=bounds)
    return Requirement(min(im, ceil_div(together[0], BPS * WAD)), min(mm, ceil_div(together[1], BPS * WAD)))


def naked(option: Option, *, index: int, upper_bps: int, shock_bps: int) -> int:
    """Opyn's naked margin in quote, as a numerator over BPS²·W: `upper` bounds an option's worth after the shock.

    Put: U·min(K, s·S) + max(K − s·S, 0). Call: U·min(S, s·K) + max(S − s·K, 0), Opyn's figure times the index.
    """
    if option.size >= 0:
        return 0
    spot = max(index, 0)
    if option.kind is Kind.PUT:
        whole, shocked = option.strike * BPS, spot * shock_bps
    else:
        whole, shocked = spot * BPS, option.strike * shock_bps
    return -option.size * (upper_bps * min(whole, shocked) + BPS * max(whole - shocked, 0))


STANDARD, RELIEF, NAKED = range(3)
"""A series' `optionMargin`."""

UNPAIRED = Bounded(12_000, 11_000)
SHOCK_BPS = 7_500
UPPER_BPS = ((1, 1_678), (2, 2_370), (4, 3_326), (6, 4_032), (8, 4_603))
"""Opyn's table: steps left at most → U."""


def upper_bps(left_s: int, step_s: int) -> int:
    """U by the time left; rows include their end, and beyond the last an option may be worth all of its underlying."""
    return next((upper for steps, upper in UPPER_BPS if left_s <= steps * step_s), BPS)


def standalone(
    module: int, kind: Kind, *, strike: int, size: int, price: int, left_s: int, params: VenueParams
) -> Requirement:
    """IM and MM of one position by itself, whatever it is and whatever else the account holds."""
    if not kind.is_option or module == STANDARD:
        return requirement(kind, strike=strike, size=size, price=price, params=params)
    if size >= 0:
        return NO_REQUIREMENT
    option = Option(kind, strike, size, intrinsic(kind, strike=strike, price=price))
    if module == RELIEF:
        im, mm = isolated(option, index=price, rates=DERIVE)
        return Requirement(ceil_div(im, BPS * WAD), ceil_div(mm, BPS * WAD))
    upper = upper_bps(max(0, left_s), params.naked_step_s)
    need = ceil_div(naked(option, index=price, upper_bps=upper, shock_bps=SHOCK_BPS), BPS * BPS * WAD)
    return Requirement(need, need)


def group(positions: Iterable[tuple[Kind, int, int]], *, price: int) -> Requirement:
    """IM and MM of all relief positions, (kind, strike, size), of one asset and expiry."""
    options = [
        Option(kind, strike, size, intrinsic(kind, strike=strike, price=price)) for kind, strike, size in positions
    ]
    return relieved(options, index=price, rates=DERIVE, bounds=UNPAIRED)
