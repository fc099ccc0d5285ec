"""Prices coming in: the index of a round, the bounds and the breaker of its asset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.context import Context
from harness.model.facts import HaltFact, RoundFact
from harness.model.feed import AssetTerms, clamped_mean
from harness.model.fixed import BPS


def round_accepted(context: Context, args: Mapping[str, Any]) -> None:
    book = context.book
    feed, prices = book.feed(args["asset"]), args["prices"]
    if not prices:
        context.differ("RoundAccepted.prices", "one at least", prices)
        return
    price = clamped_mean(prices, book.params.clamp_bps)
    context.expect("RoundAccepted.price", price, args["price"])
    context.expect("RoundAccepted.sources", len(prices), args["sources"])
    last, terms = feed.latest, feed.terms
    is_breach = last is not None and abs(price - last.price) * BPS > book.params.breaker_bps * abs(last.price)
    context.facts.rounds.append(
        RoundFact(
            context.block, context.tx, book.now, args["asset"], args["round"], args["timestamp"], args["price"],
            args["sources"], None if last is None else last.round, None if last is None else last.timestamp,
            prices, None if last is None else last.price, terms, is_breach,
            None if book.reporters is None else len(book.reporters),
        )
    )
    feed.accept(
        args["round"], timestamp=args["timestamp"], price=price, active=book.funding_clock,
        funding_gap=book.params.funding_gap_s,
    )
    book.prices_changed()
    if is_breach and last is not None:
        feed.halted_until = book.now + book.params.halt_duration_s
        context.halts.append((args["asset"], last.price, price, feed.halted_until))


def market_halted(context: Context, args: Mapping[str, Any]) -> None:
    said = (args["asset"], args["from"], args["to"], args["until"])
    due = context.halts.pop(0) if context.halts else None
    context.expect("MarketHalted", due, said)
    context.facts.halts.append(HaltFact(context.block, context.tx, *said))


def asset_listed(context: Context, args: Mapping[str, Any]) -> None:
    context.book.feed(args["asset"]).terms = AssetTerms(args["isSigned"], args["minAnswer"], args["maxAnswer"])


def end_transaction(context: Context) -> None:
    for due in context.halts:
        context.differ("MarketHalted missing", due, None)
    context.halts.clear()
