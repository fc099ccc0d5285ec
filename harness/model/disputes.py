"""A settlement price nobody can vouch for: how its series comes into dispute, and the three ways out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.book import Book, Series
from harness.model.context import Context
from harness.model.facts import DisputeFact, OverrideFact, ResolutionFact
from harness.model.feed import NoPrice
from harness.model.window import (
    CARRIED,
    GOVERNANCE,
    NEXT_QUORUM,
    carried_price,
    closing_window,
    next_quorum,
    settlement_price,
)


def is_disputable(book: Book, series: Series) -> bool:
    """Whether `finalize` disputes the series now, rather than refusing or making it final."""
    newest = series.feed.newest
    if series.final_price is not None or series.disputed_at or book.now < series.expiry:
        return False
    if newest is None or newest < series.expiry:
        return book.now >= series.expiry + book.params.dispute_patience_s
    try:
        settlement_price(series.feed, series.expiry, book.params)
    except NoPrice:
        return True
    return False


def way_out(book: Book, series: Series) -> tuple[int, int] | None:
    """The route and the price that `resolve` would take now; None while neither is open."""
    if not series.disputed_at or series.final_price is not None:
        return None
    quorum = next_quorum(series.feed, series.disputed_at, book.params)
    if quorum is not None:
        return NEXT_QUORUM, quorum
    if book.now < series.disputed_at + book.params.dispute_window_s:
        return None
    carried = carried_price(series.feed, series.expiry, book.params)
    return None if carried is None else (CARRIED, carried)


def may_override(book: Book, series: Series, price: int) -> bool:
    """Whether governance may set that price now."""
    since = series.disputed_at
    return (
        bool(since) and series.final_price is None
        and since + book.params.override_delay_s <= book.now < since + book.params.dispute_window_s
        and series.feed.terms.min_answer < price < series.feed.terms.max_answer
    )


def disputed(context: Context, args: Mapping[str, Any]) -> None:
    book, series = context.book, context.series(args["seriesId"], "SeriesDisputed")
    if series is None:
        return
    due = is_disputable(book, series)
    if not due:
        context.differ("SeriesDisputed without cause", None, series.id)
    window = closing_window(series.feed, series.expiry, book.params)
    covered, beyond = (0, 0) if window is None else (window.covered, window.beyond)
    context.expect("SeriesDisputed.covered", covered, args["covered"])
    context.expect("SeriesDisputed.beyond", beyond, args["beyond"])
    context.facts.disputes.append(
        DisputeFact(context.block, context.tx, book.now, series.id, series.expiry, args["covered"], args["beyond"])
    )
    series.disputed_at = series.disputed_at or book.now


def overridden(context: Context, args: Mapping[str, Any]) -> None:
    book, series = context.book, context.series(args["seriesId"], "PriceOverridden")
    if series is None:
        return
    if not may_override(book, series, args["price"]):
        context.differ("PriceOverridden outside its window or bounds", None, [series.id, args["price"]])
    terms = series.feed.terms
    context.facts.overrides.append(
        OverrideFact(context.block, context.tx, book.now, series.id, series.disputed_at, args["price"], args["by"],
                     terms.min_answer, terms.max_answer)
    )
    context.overrides[series.id] = args["price"]


def resolved(context: Context, args: Mapping[str, Any]) -> None:
    book, series = context.book, context.series(args["seriesId"], "DisputeResolved")
    if series is None:
        return
    override = context.overrides.pop(series.id, None)
    due = way_out(book, series) if override is None else (GOVERNANCE, override)
    said = (args["route"], args["price"])
    context.expect("DisputeResolved", due, said)
    context.facts.resolutions.append(
        ResolutionFact(context.block, context.tx, book.now, series.id, series.disputed_at, args["route"], args["price"])
    )
    context.resolutions[series.id] = None if due is None else due[1]


def end_transaction(context: Context) -> None:
    for series_id, price in context.overrides.items():
        context.differ("DisputeResolved missing", [series_id, GOVERNANCE, price], None)
    for series_id, resolution in context.resolutions.items():
        context.differ("SeriesFinalized missing", [series_id, resolution], None)
    context.overrides.clear()
    context.resolutions.clear()
