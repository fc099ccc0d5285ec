"""Trades and withdrawals: the two legs, the fee, and the margin each side is left with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.book import Book, Series
from harness.model.context import Context
from harness.model.facts import LegFact, TradeFact, WithdrawalFact
from harness.model.fixed import BPS, NATIVE, WAD, ceil_div
from harness.model.funding import accrue, add_premium, release, settle
from harness.model.margin import Kind, open_notional, rated


def traded(context: Context, args: Mapping[str, Any]) -> None:
    book = context.book
    series = context.series(args["seriesId"], "Traded")
    if series is None:
        return
    taker, maker, size, price = args["taker"], args["maker"], args["size"], args["price"]
    if taker == maker:
        context.differ("Traded.maker", "not the taker", maker)
        return
    index, interest = book.index(series), series.open_interest
    accrue(context, series)
    settle(context, series, taker)
    settle(context, series, maker)
    before = {address: (_size(book, address, series), book.margin(address)) for address in (taker, maker)}
    pool = book.ledger(series.pool)
    pool.dust -= book.apply_leg(taker, series, size, price) + book.apply_leg(maker, series, -size, price)
    release(book, series)
    add_premium(series, size=size, price=price, index=index)
    fee = rated(series.kind, size, index, book.params.taker_fee_bps)
    book.add_cash(taker, -fee)
    pool.fees += fee
    context.expect("Traded accounts' pools", [series.pool] * 2, [book.pool_of(taker), book.pool_of(maker)])
    context.expect("Traded.fee", fee, args["fee"])

    def leg(address: str) -> LegFact:
        size_before, margin_before = before[address]
        after = book.margin(address)
        if after.is_initial:
            book.moved(address)
        return LegFact(address, size_before, _size(book, address, series), margin_before, after)

    age = book.oldest_age(taker, maker)
    latest = series.feed.latest
    # A trade that closes both sides holds nothing afterwards, but it was struck at this price all the same.
    age = None if age is None or latest is None else max(age, book.now - latest.timestamp)
    context.facts.trades.append(
        TradeFact(
            context.block, context.tx, book.now, series.id, series.expiry, size, price, index,
            _band_excess(book, series, price, index), args["nonce"], age, leg(taker), leg(maker),
            *_cap(series, interest, index), series.feed.halted_until, book.pauses.paused,
        )
    )


def withdrawn(context: Context, args: Mapping[str, Any]) -> None:
    book, account = context.book, args["account"]
    book.custody -= args["amount"]
    book.ledger_of(account).balance -= args["amount"] * NATIVE
    context.expect("Withdrawn.account's pool", 0, book.pool_of(account))
    book.add_cash(account, -args["amount"] * NATIVE)
    book.moved(account)
    context.facts.withdrawals.append(
        WithdrawalFact(
            context.block, context.tx, account, book.free_cash(account), book.margin(account).im,
            book.oldest_age(account), book.ledger_of(account).deficit, book.pauses.paused,
        )
    )


def _size(book: Book, address: str, series: Series) -> int:
    held = book.account(address).positions.get(series.id)
    return held.size if held is not None else 0


def _cap(series: Series, before: int, index: int) -> tuple[int, int, int]:
    """How far beyond its cap open interest that this trade raised now lies, what it is, and the cap."""
    cap = 0 if series.terms is None else series.terms.oi_cap * WAD
    if cap == 0:
        return 0, series.open_interest, 0
    over = open_notional(series.kind, open_interest=series.open_interest, price=index) - cap
    return over if series.open_interest > before else 0, series.open_interest, cap


def _band_excess(book: Book, series: Series, price: int, index: int) -> int:
    """How far the trade's price lies outside its bounds, ceiled; ≤ 0 when inside."""
    if not series.is_option:
        return ceil_div(abs(price - index) * BPS - book.params.band_bps * abs(index), BPS)
    ceiling = index if series.kind is Kind.CALL else series.strike
    return max(-price, price - ceiling)
