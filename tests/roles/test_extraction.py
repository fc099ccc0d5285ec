"""What an insider can take from a swap, and what brings a pool back to the index, by the pool's own arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.roles.extraction import expected_after, sandwich
from harness.roles.searcher import arbitrage
from harness.venue.spot import Reserves, Swap

W, USD = 10**18, 10**6
POOL = Reserves(5_000 * W, 1_000_000 * USD, 1)
SIDES = st.booleans()
AMOUNTS = st.integers(100 * USD, 100_000 * USD)
TOLERANCES = st.integers(0, 2_000)


def swap_of(buys: bool, worth: int, tolerance_bps: int) -> Swap:
    amount = worth if buys else worth * POOL.underlying // POOL.quote
    out = POOL.amount_out(buys=buys, amount_in=amount)
    return Swap(buys, amount, -(-out * (10_000 - tolerance_bps) // 10_000), 99)


@settings(max_examples=150, deadline=None)
@given(buys=SIDES, worth=AMOUNTS, tolerance=TOLERANCES)
def test_a_sandwich_leaves_its_victim_what_it_accepts_and_its_cook_what_it_expected(
    buys: bool, worth: int, tolerance: int
) -> None:
    """Played through the pool: the victim's swap passes, the gain is as announced, and it is a gain."""
    victim = swap_of(buys, worth, tolerance)
    found = sandwich(POOL, victim, capital=10**30)
    if found is None:
        return
    assert found.gain > 0
    pool = POOL.after(buys=buys, amount_in=found.front.amount_in)
    assert pool.amount_out(buys=buys, amount_in=victim.amount_in) >= victim.min_out
    pool = pool.after(buys=buys, amount_in=victim.amount_in)
    back = pool.amount_out(buys=not buys, amount_in=found.back.amount_in)
    assert back - found.front.amount_in == found.gain


@settings(max_examples=40, deadline=None)
@given(buys=SIDES, worth=AMOUNTS, tolerance=st.integers(100, 2_000))
def test_what_a_victim_accepts_bounds_what_is_taken_from_it(buys: bool, worth: int, tolerance: int) -> None:
    """With a tighter limit nothing more can be had; with none at all, at least as much."""
    tight, loose = swap_of(buys, worth, tolerance // 2), swap_of(buys, worth, tolerance)
    gains = [found.gain if found else 0 for found in (sandwich(POOL, v, capital=10**30) for v in (tight, loose))]
    assert gains[0] <= gains[1] + 2   # to the rounding of a native unit or two


def test_nothing_is_to_be_had_of_a_small_swap_or_one_that_accepts_nothing_less() -> None:
    """The fee of two swaps is more than a small one pays for its slippage."""
    assert sandwich(POOL, swap_of(True, 100 * USD, 2_000), capital=10**30) is None
    assert sandwich(POOL, swap_of(True, 50_000 * USD, 0), capital=10**30) is None


def test_a_greedy_one_stakes_everything_and_the_victim_s_limit_makes_it_fail() -> None:
    victim = swap_of(True, 20_000 * USD, 100)
    found = sandwich(POOL, victim, capital=50_000 * USD, greedy=True)
    assert found is not None
    assert found.front.amount_in == 50_000 * USD
    after = expected_after(POOL, found.front)
    assert expected_after(after, victim) == after        # it would get less than it accepts
    got = after.amount_out(buys=False, amount_in=found.back.amount_in)
    assert got < found.front.amount_in                   # two fees for nothing


@pytest.mark.parametrize("index", [150 * W, 190 * W, 199 * W, 200 * W, 201 * W, 210 * W, 260 * W])
def test_an_arbitrage_ends_where_the_next_one_would_not_pay(index: int) -> None:
    """From a pool at 200 to any index: the price is within the fee of it, and no swap was below its worth."""
    found = arbitrage(POOL, index, capital=(10**30, 10**30))
    if abs(index - 200 * W) <= W * 6 // 10:
        assert found is None
        return
    assert found is not None
    assert POOL.amount_out(buys=found.buys, amount_in=found.amount_in) >= found.min_out
    pool = POOL.after(buys=found.buys, amount_in=found.amount_in)
    assert abs(pool.price_wad - index) * 10_000 <= 36 * index
    assert arbitrage(pool, index, capital=(10**30, 10**30)) is None
