"""Perpetuals: an index per market of what one unit long has paid, on its own clock, settled before sizes change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.book import Book, Position, Series
from harness.model.context import Context
from harness.model.facts import AccrualFact, FundingFact
from harness.model.fixed import BPS, WAD, floor_div
from harness.model.perpetual import Perpetual

PERPETUAL_EXPIRY = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Accrued:
    """What an accrual at this moment makes of a market, and whether anything of that is worth an event."""

    index: int
    rate: int
    integral: int
    window: int
    is_new_window: bool


def preview(book: Book, series: Series, market: Perpetual) -> Accrued:
    params = book.params
    integral = book.funded_integral(series)
    index = market.index + floor_div(
        market.rate * (integral - market.integral), params.funding_period_s * WAD
    )
    window = book.now // params.premium_window_s
    if window <= market.window:
        return Accrued(index, market.rate, integral, market.window, False)
    premium = floor_div(market.weighted, market.weight) if market.weight else 0
    cap = params.funding_cap_bps * WAD // BPS
    rate = max(-cap, min(cap, premium + params.funding_interest_bps * WAD // BPS))
    return Accrued(index, rate, integral, window, True)


def listed(book: Book, series: Series) -> None:
    series.perpetual = Perpetual(
        integral=book.funded_integral(series), window=book.now // book.params.premium_window_s,
        accrued_at=book.now, accrued_active=book.funding_clock,
    )


def accrue(context: Context, series: Series, *, told: Mapping[str, Any] | None = None) -> None:
    """Bring a market up to now. `told` is its `FundingAccrued`; without one nothing may be left to say."""
    book, market = context.book, series.perpetual
    if market is None:
        if told is not None:
            context.differ("FundingAccrued.seriesId", "a perpetual", series.id)
        return
    accrued = preview(book, series, market)
    is_due = accrued.integral != market.integral or accrued.is_new_window
    if told is None:
        if not is_due:
            return
        context.differ("FundingAccrued", [series.id, accrued.index, accrued.rate, accrued.integral], None)
    else:
        if not is_due:
            context.differ("FundingAccrued", None, series.id)
        context.expect("FundingAccrued.index", accrued.index, told["index"])
        context.expect("FundingAccrued.rate", accrued.rate, told["rate"])
        context.expect("FundingAccrued.integral", accrued.integral, told["integral"])
    context.facts.accruals.append(
        AccrualFact(
            context.block, context.tx, book.now, series.id, market.index, accrued.index, market.rate, accrued.rate,
            accrued.integral - market.integral, book.funding_clock, market.accrued_active, market.accrued_at,
            None if told is None else (told["index"], told["rate"], told["integral"]),
        )
    )
    market.index, market.integral, market.rate = accrued.index, accrued.integral, accrued.rate
    market.path.append(market.index)
    market.accrued_at, market.accrued_active = book.now, book.funding_clock
    if accrued.is_new_window:
        market.window, market.weight, market.weighted = accrued.window, 0, 0


def settle(context: Context, series: Series, address: str, *, told: Mapping[str, Any] | None = None) -> None:
    """Turn what an account's position has accrued into cash; before every change of its size."""
    book, market = context.book, series.perpetual
    if market is None:
        if told is not None:
            context.differ("FundingSettled.seriesId", "a perpetual", series.id)
        return
    held = book.account(address).positions.get(series.id)
    if held is None or held.funding_index == market.index:
        if held is not None:
            held.path_from = len(market.path)
        if told is not None:
            context.differ("FundingSettled", None, [address, series.id, told["cashDelta"]])
        return
    delta = owed(held, market.index)
    if told is None:
        context.differ("FundingSettled", [address, series.id, delta], None)
    else:
        context.expect("FundingSettled.cashDelta", delta, told["cashDelta"])
    context.facts.fundings.append(
        FundingFact(
            context.block, context.tx, address, series.id, held.size, held.funding_index, market.index, delta,
            None if told is None else told["cashDelta"], _eager(held, market), len(market.path) - held.path_from,
        )
    )
    held.funding_index, held.path_from = market.index, len(market.path)
    book.add_cash(address, delta)
    context.settled[address, series.id] = context.settled.get((address, series.id), 0) + delta
    series.clearing -= delta
    book.roundings += 1


def owed(held: Position, index: int) -> int:
    """fl(−q·(I − I_u)/W): what funding adds to cash."""
    return floor_div(-held.size * (index - held.funding_index), WAD)


def _eager(held: Position, market: Perpetual) -> int:
    """What settling at every accrual since would have paid, each step floored on its own."""
    total, index = 0, held.funding_index
    for step in market.path[held.path_from:]:
        total += floor_div(-held.size * (step - index), WAD)
        index = step
    return total


def release(book: Book, series: Series) -> None:
    """When nobody holds the series any more, what funding's roundings left is dust."""
    if series.perpetual is not None and series.open_positions == 0:
        book.ledger(series.pool).dust += series.clearing
        series.clearing = 0


def add_premium(series: Series, *, size: int, price: int, index: int) -> None:
    """One trade's weight in the premium of its window."""
    market = series.perpetual
    if market is not None and index > 0:
        market.weight += abs(size)
        market.weighted += abs(size) * floor_div((price - index) * WAD, index)


def accrued_event(context: Context, args: Mapping[str, Any]) -> None:
    series = context.series(args["seriesId"], "FundingAccrued")
    if series is not None:
        accrue(context, series, told=args)
        context.book.prices_changed()


def settled_event(context: Context, args: Mapping[str, Any]) -> None:
    series = context.series(args["seriesId"], "FundingSettled")
    if series is not None:
        accrue(context, series)
        settle(context, series, args["account"], told=args)
