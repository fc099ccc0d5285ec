"""Expiry: one settlement price per series from the feed, then each position turned into cash exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model import insurance
from harness.model.context import Context, PendingDebt
from harness.model.facts import FinalFact, LossFact, SettlementFact
from harness.model.feed import NoPrice
from harness.model.fixed import WAD, floor_div
from harness.model.margin import payoff, worth
from harness.model.window import settlement_price


def series_finalized(context: Context, args: Mapping[str, Any]) -> None:
    book = context.book
    series = context.series(args["seriesId"], "SeriesFinalized")
    if series is None:
        return
    expected: int | None
    if series.disputed_at:
        if series.id not in context.resolutions and series.final_price is None:
            context.differ("DisputeResolved before SeriesFinalized", series.id, None)
        expected = context.resolutions.pop(series.id, None)
    else:
        try:
            expected = settlement_price(series.feed, series.expiry, book.params)
        except NoPrice:
            expected = None
    repeat = series.final_price is not None
    context.expect("SeriesFinalized.price", expected, args["price"])
    context.facts.finals.append(
        FinalFact(context.block, context.tx, book.now, series.id, series.expiry, expected, args["price"], repeat)
    )
    if not repeat:
        # Without a price of its own the model can only go on with the one it was told.
        series.final_price = args["price"] if expected is None else expected
        book.prices_changed()


def settled(context: Context, args: Mapping[str, Any]) -> None:
    book, address = context.book, args["account"]
    series = context.series(args["seriesId"], "Settled")
    if series is None:
        return
    account = book.account(address)
    held = account.positions.get(series.id)
    size, notional = (held.size, held.notional) if held is not None else (0, 0)
    price = series.final_price
    delta: int | None = None
    credited = 0
    if price is not None:
        if series.is_option:
            credited = floor_div(size * payoff(series.kind, strike=series.strike, settlement_price=price), WAD)
        else:
            credited = worth(series.kind, size, price)
        delta = credited - notional
    context.expect("Settled.size", size, args["size"])
    context.expect("Settled.price", price, args["price"])
    context.expect("Settled.cashDelta", delta, args["cashDelta"])
    context.facts.settlements.append(
        SettlementFact(
            context.block, context.tx, book.now, address, series.id, series.expiry, size, args["size"],
            notional, price, args["price"], delta, args["cashDelta"],
        )
    )
    if held is None or delta is None:
        return
    book.add_cash(address, delta)
    series.clearing -= credited
    series.settled_size += size
    book.roundings += 1
    book.clear_position(address, series)
    if series.open_positions == 0:
        book.ledger(series.pool).dust += series.clearing
        series.clearing = 0
    # While other positions are open, negative cash may be backed by their profit: only what is left with nothing is
    # a loss (spec 3.11) and the insurance's business.
    if account.cash < 0 and not account.positions:
        _, covered, remaining = insurance.bear(book, address)
        _match(context, context.announced, context.debts, address, PendingDebt(covered, remaining))


def bad_debt(context: Context, args: Mapping[str, Any]) -> None:
    """Compare with what the model computed; RULES.md leaves open whether this comes before or after its `Settled`."""
    said = PendingDebt(args["covered"], args["remaining"])
    _match(context, context.debts, context.announced, args["account"], said)


def end_transaction(context: Context) -> None:
    for account, debts in context.debts.items():
        for debt in debts:
            context.differ("BadDebt missing", [account, debt.covered, debt.remaining], None)
    for account, debts in context.announced.items():
        for debt in debts:
            context.differ("BadDebt", None, [account, debt.covered, debt.remaining])
    context.debts.clear()
    context.announced.clear()


def _match(
    context: Context, waiting: dict[str, list[PendingDebt]], other: dict[str, list[PendingDebt]], account: str,
    debt: PendingDebt,
) -> None:
    """Pair a computed debt with an announced one, whichever came first; the later of the two does the comparing."""
    queue = waiting.get(account)
    if not queue:
        other.setdefault(account, []).append(debt)
        return
    first = queue.pop(0)
    if not queue:
        del waiting[account]
    computed, said = (first, debt) if waiting is context.debts else (debt, first)
    loss = computed.covered + computed.remaining
    context.facts.losses.append(LossFact(context.block, context.tx, account, loss, said.covered, said.remaining, 0,
                                          context.book.account(account).cash))
    context.expect("BadDebt.covered", computed.covered, said.covered)
    context.expect("BadDebt.remaining", computed.remaining, said.remaining)
