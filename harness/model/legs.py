"""One side of a trade applied to one position: open, reduce or flip, each part rounded on its own."""

from __future__ import annotations

from typing import NamedTuple

from harness.model.fixed import WAD, ceil_div, floor_div
from harness.model.margin import Kind, worth


class Leg(NamedTuple):
    """The position after the leg, and what the leg did to the account's cash."""

    size: int
    notional: int                # signed entry notional N; 0 for options
    cash_delta: int
    credited: int                # Σ n: what the account's cash − N rose by; both sides of a trade sum to ≤ 0
    roundings: int


def option_leg(*, size: int, change: int, price: int) -> Leg:
    """The premium in cash: n = fl(−dq·p/W)."""
    n = floor_div(-change * price, WAD)
    return Leg(size + change, 0, n, n, 1)


def future_leg(*, size: int, notional: int, change: int, price: int, kind: Kind = Kind.FUTURE) -> Leg:
    """Opening moves N only; reducing releases ce(N·|dq|/|q|) of it into cash; flipping does the one, then the other.

    N is what the position cost, so an inverse long's is below zero: it owes quote and is owed coin.
    """
    if size == 0 or (size > 0) == (change > 0):
        return _open(kind, size, notional, change, price)
    if abs(change) <= abs(size):
        return _reduce(kind, size, notional, change, price)
    closed = _reduce(kind, size, notional, -size, price)
    opened = _open(kind, 0, 0, change + size, price)
    return Leg(
        opened.size, opened.notional, closed.cash_delta, closed.credited + opened.credited,
        closed.roundings + opened.roundings,
    )


def _open(kind: Kind, size: int, notional: int, change: int, price: int) -> Leg:
    n = worth(kind, -change, price)
    return Leg(size + change, notional - n, 0, n, 1)


def _reduce(kind: Kind, size: int, notional: int, change: int, price: int) -> Leg:
    released = ceil_div(notional * abs(change), abs(size))
    n = worth(kind, -change, price)
    # `released` is ceiled: the account realises less profit (or more loss) now and keeps the rest in N.
    return Leg(size + change, notional - released, n - released, n, 1)
