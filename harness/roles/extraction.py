"""What whoever orders transactions can take from swaps it sees: the leader as an insider, trading before and after.

Pure: reserves and a victim's swap in, the leader's own two swaps out. The victim's least amount is what limits it: the
more the leader buys first, the less the victim gets, and a swap that would get less than it accepts fails, which leaves
the leader with two fees to pay and nobody to have paid them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.venue.spot import Reserves, Swap

STEPS_MAX = 130
"""Halvings of a search over native amounts, all below 2^112."""
CAPITAL_SHARE = 4
"""It stakes at most one part in so many of the pool's reserve, or of what it was given."""


@dataclass(frozen=True, slots=True)
class Sandwich:
    """The leader's two swaps around a victim's, and what it expects of them, native units of `front`'s token in."""

    front: Swap
    back: Swap
    gain: int            # of what `front` pays in; may be negative where the victim's limit was not respected


def sandwich(reserves: Reserves, victim: Swap, *, capital: int, greedy: bool = False) -> Sandwich | None:
    """The best two swaps around `victim`; None where nothing is to be had.

    Args:
        capital: the most it stakes, native units of what the victim pays with.
        greedy: takes no notice of what the victim accepts, and stakes everything.
    """
    reserve_in = reserves.quote if victim.buys else reserves.underlying
    most = min(capital, reserve_in // CAPITAL_SHARE)
    if not greedy:
        if _victim_out(reserves, victim, 0) < victim.min_out:
            return None   # it fails whatever anybody does
        most = _largest(most, lambda amount: _victim_out(reserves, victim, amount) >= victim.min_out)
    stake = most if greedy else _best(most, lambda amount: _gain(reserves, victim, amount))
    if stake <= 0:
        return None
    gain = _gain(reserves, victim, stake)
    if gain <= 0 and not greedy:
        return None
    bought = reserves.amount_out(buys=victim.buys, amount_in=stake)
    if bought <= 0:
        return None
    front = Swap(victim.buys, stake, bought, victim.deadline)
    # The way back has no limit: whatever happened in between, the leader does not want to keep what it bought.
    return Sandwich(front, Swap(not victim.buys, bought, 0, victim.deadline), gain)


def expected_after(reserves: Reserves, swap: Swap) -> Reserves:
    """The pool after a swap that stands in a block: unchanged where it would get less than it accepts."""
    out = reserves.amount_out(buys=swap.buys, amount_in=swap.amount_in)
    return reserves.after(buys=swap.buys, amount_in=swap.amount_in) if out and out >= swap.min_out else reserves


def _victim_out(reserves: Reserves, victim: Swap, stake: int) -> int:
    pool = reserves.after(buys=victim.buys, amount_in=stake) if stake else reserves
    return pool.amount_out(buys=victim.buys, amount_in=victim.amount_in)


def _gain(reserves: Reserves, victim: Swap, stake: int) -> int:
    bought = reserves.amount_out(buys=victim.buys, amount_in=stake)
    pool = reserves.after(buys=victim.buys, amount_in=stake)
    pool = pool.after(buys=victim.buys, amount_in=victim.amount_in)
    return pool.amount_out(buys=not victim.buys, amount_in=bought) - stake


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest amount up to `most` that fits, where what fits is everything up to some amount; 0 always does."""
    low, high = 0, most
    for _ in range(STEPS_MAX):
        if low >= high:
            break
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _best(most: int, value: Callable[[int], int]) -> int:
    """Where a function with one peak is largest on 0…most, by thirds."""
    low, high = 0, most
    for _ in range(2 * STEPS_MAX):
        if high - low < 3:
            break
        third = (high - low) // 3
        if value(low + third) < value(high - third):
            low += third
        else:
            high -= third
    return max(range(low, high + 1), key=value)
