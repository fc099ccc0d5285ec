"""What an account's live positions need together: by themselves, in groups that offset, and by open interest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.model.margin import Kind, Requirement, requirement, scaled_im
from harness.model.option_margin import RELIEF, group
from harness.model.option_margin import standalone as by_module
from harness.model.params import VenueParams

if TYPE_CHECKING:
    from harness.model.book import Series


def standalone(series: Series, size: int, index: int, *, now: int, params: VenueParams) -> Requirement:
    """What one live position needs by itself, apart from open interest's scaling."""
    if series.terms is None:
        return requirement(series.kind, strike=series.strike, size=size, price=index, params=params)
    return by_module(
        series.terms.option_margin, series.kind, strike=series.strike, size=size, price=index,
        left_s=series.expiry - now, params=params,
    )


def required(
    positions: Iterable[tuple[Series, int, int]], *, now: int, params: VenueParams
) -> tuple[int, int, int]:
    """IM, MM and how much of IM is open interest's doing, of live positions (series, size, index)."""
    im, mm, scaling = 0, 0, 0
    groups: dict[tuple[str, int], tuple[int, list[tuple[Kind, int, int]]]] = {}
    for series, size, index in positions:
        terms = series.terms
        if terms is not None and terms.option_margin == RELIEF:
            _, members = groups.setdefault((series.asset, series.expiry), (index, []))
            members.append((series.kind, series.strike, size))
            continue
        need = standalone(series, size, index, now=now, params=params)
        im, mm = im + need.im, mm + need.mm
        if terms is not None and terms.scales and not series.is_option:
            scaled = scaled_im(
                series.kind, size=size, price=index, im_bps=params.im_bps, open_interest=series.open_interest,
                lower=terms.oi_lower, cap=terms.oi_cap,
            )
            scaling += scaled - need.im
    for index, members in groups.values():
        need = group(members, price=index)
        im, mm = im + need.im, mm + need.mm
    return im + scaling, mm, scaling
