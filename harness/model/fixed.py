"""Exact fixed-point arithmetic: multiply first, divide once, and say at the call which way it rounds.

Python's `//` already floors toward minus infinity for every sign. Solidity's signed `/` truncates toward zero, which
for a negative numerator is one wei more than the floor: a truncated debit is too small and cash is created. `truncate`
exists so that tests can show that difference; the model never calls it.
"""

from __future__ import annotations

from typing import Final

WAD: Final = 10**18
"""Scale of prices, sizes and cash."""

BPS: Final = 10_000
"""Basis points in a whole."""

NATIVE: Final = 10**12
"""1e18 cash per unit of the 6-decimals collateral token."""


def floor_div(numerator: int, denominator: int) -> int:
    """fl(numerator / denominator), toward −∞: for cash a user receives (favours the venue). denominator > 0."""
    if denominator <= 0:
        raise ValueError(f"a denominator must be positive, got {denominator}")
    return numerator // denominator


def ceil_div(numerator: int, denominator: int) -> int:
    """ce(numerator / denominator), toward +∞: for requirements, fees and penalties. denominator > 0."""
    if denominator <= 0:
        raise ValueError(f"a denominator must be positive, got {denominator}")
    return -(-numerator // denominator)


def truncate(numerator: int, denominator: int) -> int:
    """What Solidity's `/` on signed integers does: toward zero. Here to be compared with, not to be used."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator >= 0) == (denominator > 0) else -quotient
