"""The insurance fund, its limit per block, and the deficit it is behind with: who pays what nobody has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.book import Book
from harness.model.context import Context
from harness.model.facts import HaircutFact
from harness.model.fixed import BPS, ceil_div, floor_div
from harness.model.pools import Ledger


def available(book: Book, pool: Ledger) -> int:
    """What losses of this block may still draw of that pool's insurance."""
    if pool.draw_block == book.block:
        return min(pool.draw_left, pool.insurance)
    return floor_div(pool.insurance * book.params.insurance_cap_bps, BPS)


def draw(book: Book, pool: Ledger, amount: int) -> None:
    """Take that much; the caller has asked `available`. Nothing is no draw."""
    if amount <= 0:
        return
    if pool.draw_block != book.block:
        pool.draw_left = floor_div(pool.insurance * book.params.insurance_cap_bps, BPS)
        pool.draw_block = book.block
    pool.draw_left -= amount
    pool.insurance -= amount


def income(pool: Ledger, amount: int) -> None:
    """Penalties and funding pay the deficit first."""
    paid = min(amount, pool.deficit)
    pool.deficit -= paid
    pool.insurance += amount - paid


def bear(book: Book, address: str) -> tuple[int, int, int]:
    """An account without positions below zero: its loss, what insurance covers, and what becomes deficit."""
    loss, pool = max(0, -book.account(address).cash), book.ledger_of(address)
    covered = min(available(book, pool), loss)
    draw(book, pool, covered)
    remaining = loss - covered
    pool.deficit += remaining
    if loss:
        book.add_cash(address, loss)
    return loss, covered, remaining


def funded(context: Context, args: Mapping[str, Any]) -> None:
    pool = _pool(context, args)
    if not pool.coin:
        context.book.custody += args["amount"]
    pool.balance += args["amount"] * pool.native
    income(pool, args["amount"] * pool.native)


def _pool(context: Context, args: Mapping[str, Any]) -> Ledger:
    """The books an event speaks of; old histories know the cross pool only."""
    number = args.get("pool", 0)
    if number not in context.book.ledgers:
        context.differ("pool", sorted(context.book.ledgers), number)
    return context.book.ledger(number)


def deficit_covered(context: Context, args: Mapping[str, Any]) -> None:
    pool = _pool(context, args)
    paid = min(pool.insurance, pool.deficit)
    pool.insurance -= paid
    pool.deficit -= paid
    if paid == 0:
        context.differ("DeficitCovered", None, args["amount"])
    context.expect("DeficitCovered.amount", paid, args["amount"])
    context.expect("DeficitCovered.remaining", pool.deficit, args["remaining"])


def haircut(context: Context, args: Mapping[str, Any]) -> None:
    """One account's share; all of them are compared when `DeficitSocialized` closes the haircut."""
    context.haircuts.append((args["account"], args["amount"]))


def haircut_shares(book: Book, pool: Ledger) -> list[tuple[str, int]]:
    """Who pays how much of the deficit: each in proportion to its equity above zero, in order of registration."""
    equities = [(address, book.margin(address).equity) for address in pool.registered]
    total = sum(max(0, equity) for _, equity in equities)
    left, shares = pool.deficit, []
    for address, equity in equities:
        if equity <= 0:
            continue
        share = min(ceil_div(pool.deficit * equity, total), equity, left)
        left -= share
        if share:
            shares.append((address, share))
    return shares


def deficit_socialized(context: Context, args: Mapping[str, Any]) -> None:
    book, pool = context.book, _pool(context, args)
    told, context.haircuts = context.haircuts, []
    if pool.deficit == 0 or pool.insurance > 0:
        context.differ("DeficitSocialized", "a deficit and no insurance", [pool.deficit, pool.insurance])
    shares, before = haircut_shares(book, pool), pool.deficit
    context.expect("Haircut", [list(share) for share in shares], [list(share) for share in told])
    for address, share in shares:
        book.add_cash(address, -share)
    total = sum(share for _, share in shares)
    pool.deficit -= total
    context.expect("DeficitSocialized.amount", total, args["amount"])
    context.expect("DeficitSocialized.remaining", pool.deficit, args["remaining"])
    context.facts.haircuts.append(
        HaircutFact(context.block, context.tx, before, tuple(told), args["amount"], args["remaining"],
                    book.pauses.paused)
    )


def end_transaction(context: Context) -> None:
    if context.haircuts:
        context.differ("Haircut without DeficitSocialized", "DeficitSocialized", len(context.haircuts))
        context.haircuts = []
