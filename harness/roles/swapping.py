"""A swap in the spot pool as its sender decides on it: what it is quoted, and the least it accepts."""

from __future__ import annotations

from harness.plan import PlannedOperation
from harness.ports import Json
from harness.venue.spot import BPS, Reserves, Swap

LIFETIME_S = 10


class NothingToQuote(Exception):
    """The pool would give nothing for it."""


def quoted(operation: PlannedOperation, pool: Reserves, *, now_s: int) -> tuple[Swap, dict[str, Json]]:
    """The swap, and the arguments of its operation in the history (contracts/RULES.md).

    Raises:
        NothingToQuote: the pool is empty, or the amount buys nothing.
    """
    buys, worth = operation.side > 0, operation.amount_native
    # What is sold is worth the planned amount at the pool's price, so that both ways move it alike.
    amount = worth if buys else worth * pool.underlying // pool.quote if pool.quote else 0
    expected = pool.amount_out(buys=buys, amount_in=amount)
    if not expected:
        raise NothingToQuote(f"{amount} buys nothing in a pool of {pool.underlying} and {pool.quote}")
    least = -(-expected * (BPS - operation.tolerance_bps) // BPS)
    swap = Swap(buys, amount, least, now_s + LIFETIME_S)
    return swap, arguments_of(swap, operation.product, expected=expected, tolerance_bps=operation.tolerance_bps)


def arguments_of(swap: Swap, asset: str, *, expected: int, tolerance_bps: int) -> dict[str, Json]:
    return {
        "asset": asset, "buys": swap.buys, "amount_in": str(swap.amount_in), "expected": str(expected),
        "min_out": str(swap.min_out), "tolerance_bps": tolerance_bps,
    }  # fmt: skip
