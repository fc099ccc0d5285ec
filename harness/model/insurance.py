"""The insurance fund, its limit per block, and the deficit it is behind with: who pays what nobody has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.book import Book
from harness.model.context import Context
from harness.model.facts import HaircutFact
from harness.model.fixed import BPS, ceil_div, floor_div


def available(book: Book) -> int:
    """What losses of this block may still draw."""
    if book.draw_block == book.block:
        return min(book.draw_left, book.insurance)
    return floor_div(book.insurance * book.params.insurance_cap_bps, BPS)


def draw(book: Book, amount: int) -> None:
    """Take that much; the caller has asked `available`. Nothing is no draw."""
    if amount <= 0:
        return
    if book.draw_block != book.block:
        book.draw_left = floor_div(book.insurance * book.params.insurance_cap_bps, BPS)
        book.draw_block = book.block
    book.draw_left -= amount
    book.insurance -= amount


def income(book: Book, amount: int) -> None:
    """Penalties and funding pay the deficit first."""
    paid = min(amount, book.deficit)
    book.deficit -= paid
    book.insurance += amount - paid


def bear(book: Book, address: str) -> tuple[int, int, int]:
    """An account without positions below zero: its loss, what insurance covers, and what becomes deficit."""
    loss = max(0, -book.account(address).cash)
    covered = min(available(book), loss)
    draw(book, covered)
    remaining = loss - covered
    book.deficit += remaining
    if loss:
        book.add_cash(address, loss)
    return loss, covered, remaining


def funded(context: Context, args: Mapping[str, Any]) -> None:
    context.book.custody += args["amount"]
    income(context.book, args["amount"] * 10**12)


def deficit_covered(context: Context, args: Mapping[str, Any]) -> None:
    book = context.book
    paid = min(book.insurance, book.deficit)
    book.insurance -= paid
    book.deficit -= paid
    if paid == 0:
        context.differ("DeficitCovered", None, args["amount"])
    context.expect("DeficitCovered.amount", paid, args["amount"])
    context.expect("DeficitCovered.remaining", book.deficit, args["remaining"])


def haircut(context: Context, args: Mapping[str, Any]) -> None:
    """One account's share; all of them are compared when `DeficitSocialized` closes the haircut."""
    context.haircuts.append((args["account"], args["amount"]))


def haircut_shares(book: Book) -> list[tuple[str, int]]:
    """Who pays how much of the deficit: each in proportion to its equity above zero, in order of registration."""
    equities = [(address, book.margin(address).equity) for address in book.registered]
    total = sum(max(0, equity) for _, equity in equities)
    left, shares = book.deficit, []
    for address, equity in equities:
        if equity <= 0:
            continue
        share = min(ceil_div(book.deficit * equity, total), equity, left)
        left -= share
        if share:
            shares.append((address, share))
    return shares


def deficit_socialized(context: Context, args: Mapping[str, Any]) -> None:
    book = context.book
    told, context.haircuts = context.haircuts, []
    if book.deficit == 0 or book.insurance > 0:
        context.differ("DeficitSocialized", "a deficit and no insurance", [book.deficit, book.insurance])
    shares, before = haircut_shares(book), book.deficit
    context.expect("Haircut", [list(share) for share in shares], [list(share) for share in told])
    for address, share in shares:
        book.add_cash(address, -share)
    total = sum(share for _, share in shares)
    book.deficit -= total
    context.expect("DeficitSocialized.amount", total, args["amount"])
    context.expect("DeficitSocialized.remaining", book.deficit, args["remaining"])
    context.facts.haircuts.append(
        HaircutFact(context.block, context.tx, before, tuple(told), args["amount"], args["remaining"],
                    book.pauses.paused)
    )


def end_transaction(context: Context) -> None:
    if context.haircuts:
        context.differ("Haircut without DeficitSocialized", "DeficitSocialized", len(context.haircuts))
        context.haircuts = []
