"""Rounding, legs, requirements, medians and averages, against fractions and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.feed import Feed, NoPrice, median
from harness.model.fixed import BPS, WAD, ceil_div, floor_div, truncate
from harness.model.legs import future_leg, option_leg
from harness.model.margin import Kind, Margin, intrinsic, may_move, payoff, requirement
from harness.model.params import FAST, MAINNET_LIKE
from tests.model import shadow

ints = st.integers(-(2**255), 2**255)
positive = st.integers(1, 2**128)
sizes = st.integers(-(10**24), 10**24)
prices = st.integers(-(10**23), 10**23)


@given(ints, positive)
def test_floor_and_ceil_bracket_the_exact_quotient(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert floor_div(numerator, denominator) == math.floor(exact)
    assert ceil_div(numerator, denominator) == math.ceil(exact)
    assert floor_div(-numerator, denominator) == -ceil_div(numerator, denominator)


@given(ints, positive)
def test_truncation_creates_cash_exactly_on_inexact_negative_amounts(numerator: int, denominator: int) -> None:
    """Why Solidity's own division must not settle a short."""
    created = truncate(numerator, denominator) - floor_div(numerator, denominator)
    assert created == (1 if numerator < 0 and numerator % denominator else 0)


@pytest.mark.parametrize("divide", [floor_div, ceil_div])
@pytest.mark.parametrize("denominator", [0, -1])
def test_a_denominator_must_be_positive(divide: Callable[[int, int], int], denominator: int) -> None:
    with pytest.raises(ValueError, match="denominator must be positive"):
        divide(1, denominator)


@given(sizes, sizes, prices, prices)
def test_the_two_sides_of_a_trade_never_gain_together(held: int, change: int, entry: int, price: int) -> None:
    """Whatever is opened, reduced or flipped: Σ n ≤ 0 and at most one wei is lost per rounding."""
    notional = floor_div(held * entry, WAD) if held else 0
    taker = future_leg(size=held, notional=notional, change=change, price=price)
    maker = future_leg(size=0, notional=0, change=-change, price=price)
    assert 0 <= -(taker.credited + maker.credited) < taker.roundings + maker.roundings
    premium = option_leg(size=held, change=change, price=price), option_leg(size=0, change=-change, price=price)
    assert 0 <= -sum(leg.credited for leg in premium) <= 1


@given(sizes, sizes, prices, prices)
def test_a_leg_moves_cash_less_notional_by_what_it_credits(held: int, change: int, entry: int, price: int) -> None:
    """Conservation of one leg, through partial releases and flips."""
    notional = floor_div(held * entry, WAD) if held else 0
    leg = future_leg(size=held, notional=notional, change=change, price=price)
    assert leg.size == held + change
    assert leg.cash_delta - (leg.notional - notional) == leg.credited
    exact = Fraction(-change * price, WAD)
    assert exact - leg.roundings < leg.credited <= exact
    if leg.size == 0:
        assert leg.notional == 0


@given(st.integers(1, 10**24), st.integers(1, 10**24), prices, prices)
def test_closing_in_two_parts_never_pays_more_than_at_once(first: int, second: int, entry: int, price: int) -> None:
    """A7: a split never gains, and loses at most a wei for each rounding."""
    size = first + second
    notional = floor_div(size * entry, WAD)
    whole = future_leg(size=size, notional=notional, change=-size, price=price)
    one = future_leg(size=size, notional=notional, change=-first, price=price)
    two = future_leg(size=one.size, notional=one.notional, change=-second, price=price)
    assert two.size == whole.size == 0
    assert 0 <= whole.cash_delta - one.cash_delta - two.cash_delta <= 1


@given(st.integers(1, 10**24), st.integers(1, 10**24), prices)
def test_opening_in_two_parts_never_costs_less_than_at_once(first: int, second: int, price: int) -> None:
    whole = future_leg(size=0, notional=0, change=first + second, price=price)
    one = future_leg(size=0, notional=0, change=first, price=price)
    two = future_leg(size=one.size, notional=one.notional, change=second, price=price)
    assert 0 <= two.notional - whole.notional <= 1


def test_a_reduction_releases_the_ceiled_share_of_the_notional() -> None:
    """3 wei bought for 10 wei in all; one of three sold at 5e18: releases ce(10/3) = 4, brings 5, leaves N = 6."""
    leg = future_leg(size=3, notional=10, change=-1, price=5 * WAD)
    assert (leg.size, leg.notional, leg.cash_delta, leg.credited) == (2, 6, 1, 5)


def test_a_short_releases_toward_plus_infinity_too() -> None:
    """Short 3 wei for N = −10; buying one back at 2e18: ce(−10/3) = −3, n = −2, cash 1, N = −7."""
    leg = future_leg(size=-3, notional=-10, change=1, price=2 * WAD)
    assert (leg.size, leg.notional, leg.cash_delta) == (-2, -7, 1)


def test_a_flip_closes_all_and_opens_the_rest() -> None:
    """Long 2 at 100 sells 5 at 110: 20 profit in cash, short 3 with N = −330."""
    leg = future_leg(size=2 * WAD, notional=200 * WAD, change=-5 * WAD, price=110 * WAD)
    assert (leg.size, leg.notional, leg.cash_delta) == (-3 * WAD, -330 * WAD, 20 * WAD)
    assert leg.roundings == 2


@given(st.sampled_from(list(Kind)), sizes, prices, st.integers(1, 10**23))
def test_requirements_are_those_of_the_published_tables(kind: Kind, size: int, price: int, strike: int) -> None:
    got = requirement(kind, strike=strike, size=size, price=price, params=FAST)
    words = ("future", "call", "put", "future")[kind]
    assert tuple(got) == shadow.requirement(
        words, Fraction(size, WAD), Fraction(price, WAD), Fraction(strike, WAD)
    )


@given(st.sampled_from(list(Kind)), st.integers(0, 10**24), st.integers(0, 10**24), prices, st.integers(1, 10**23))
def test_requirements_are_ordered_and_grow_with_size(kind: Kind, size: int, more: int, price: int, strike: int) -> None:
    """M3: IM ≥ MM ≥ 0, both non-decreasing in |q|, long or short."""
    for sign in (1, -1):
        small = requirement(kind, strike=strike, size=sign * size, price=price, params=FAST)
        large = requirement(kind, strike=strike, size=sign * (size + more), price=price, params=FAST)
        assert small.im >= small.mm >= 0
        assert large.im >= small.im
        assert large.mm >= small.mm


@pytest.mark.parametrize(
    ("kind", "size", "price", "strike", "im", "mm"),
    [
        (Kind.FUTURE, 3, 200, 0, 60, "37.5"),
        (Kind.FUTURE, -3, -200, 0, 60, "37.5"),
        (Kind.CALL, 5, 200, 150, 0, 0),
        (Kind.CALL, -1, 200, 150, 80, 65),          # 50 in + 15 % · 200; 50 + 7.5 % · 200
        (Kind.CALL, -1, 200, 215, 20, 15),          # 30 − 15 out = 15 < the 10 % floor of 20
        (Kind.CALL, -1, 200, 205, 25, 15),          # 30 − 5
        (Kind.PUT, -2, 200, 230, 120, 90),          # 30 in + 30 each; 30 + 15
        (Kind.PUT, -1, 10, 200, "204.25", "204.25"),  # 190 in; 7.5 % · 190 = 14.25 beats 1.5 % and is the floor of IM
        (Kind.PUT, -1, -5, 200, 215, 215),          # clamped at 0: 200 in + 7.5 % · 200
    ],
)
def test_worked_requirements(kind: Kind, size: int, price: int, strike: int, im: int | str, mm: int | str) -> None:
    got = requirement(kind, strike=strike * WAD, size=size * WAD, price=price * WAD, params=FAST)
    assert [Fraction(value, WAD) for value in got] == [Fraction(im), Fraction(mm)]


@given(prices, st.integers(1, 10**23))
def test_put_call_parity_at_settlement(price: int, strike: int) -> None:
    """S − K, at any sign of S (spec 3.1)."""
    call = payoff(Kind.CALL, strike=strike, settlement_price=price)
    assert call - payoff(Kind.PUT, strike=strike, settlement_price=price) == price - strike


def test_intrinsic_value_counts_a_negative_index_as_zero() -> None:
    assert intrinsic(Kind.PUT, strike=7, price=-3) == 7
    assert payoff(Kind.PUT, strike=7, settlement_price=-3) == 10


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        (Margin(0, 0, 0), Margin(10, 10, 6), True),
        (Margin(100, 10, 6), Margin(9, 10, 6), False),   # ratio falls
        (Margin(5, 20, 12), Margin(4, 10, 6), True),     # smaller, and 4/6 > 5/12
        (Margin(5, 20, 12), Margin(5, 21, 13), False),   # larger
        (Margin(6, 20, 12), Margin(3, 10, 6), True),     # equal ratio is enough
        (Margin(-6, 20, 12), Margin(-3, 10, 6), True),
        (Margin(-6, 20, 12), Margin(-4, 10, 6), False),
        (Margin(-1, 0, 0), Margin(-1, 0, 0), False),     # no requirement before: rule 3.9 is not for it
        (Margin(0, 0, 0), Margin(-1, 0, 0), False),
        (Margin(19, 20, 12), Margin(19, 20, 12), True),  # under-margined by one: unchanged is no worse
        (Margin(20, 20, 12), Margin(19, 20, 11), False),  # fully margined before: must be so after, however small
        (Margin(20, 20, 12), Margin(20, 20, 12), True),
    ],
)
def test_rule_three_nine(before: Margin, after: Margin, allowed: bool) -> None:
    assert may_move(before, after) is allowed


@pytest.mark.parametrize(
    ("given_prices", "expected"),
    [([3], 3), ([3, 1, 2], 2), ([1, 4, 2, 3], 2), ([1, 2], 1), ([-1, -2], -2), ([-3, 1, 2, 5], 1)],
)
def test_the_median_floors_between_the_middle_two(given_prices: list[int], expected: int) -> None:
    assert median(given_prices) == expected


def test_a_median_of_nothing_is_refused() -> None:
    with pytest.raises(NoPrice):
        median([])


@given(
    st.lists(st.tuples(st.integers(1, 9), prices), min_size=1, max_size=12),
    st.integers(0, 80), st.integers(1, 30),
)
def test_the_settlement_price_is_the_mean_of_the_seconds(
    steps: list[tuple[int, int]], expiry: int, window: int
) -> None:
    """3.12, against a plain average over every second of the window."""
    feed, observations, now = Feed(), list[tuple[int, Fraction]](), 0
    for index, (wait, price) in enumerate(steps):
        now += wait
        feed.accept(index + 1, timestamp=now, price=price)
        observations.append((now, Fraction(price, WAD)))
    if now < expiry:
        with pytest.raises(NoPrice):
            feed.settlement_price(expiry, window)
        return
    assert feed.settlement_price(expiry, window) == shadow.average(observations, expiry, window)


def test_a_late_observation_does_not_change_the_settlement_price() -> None:
    """S9: late relay equals on-time relay."""
    feed = Feed()
    for second, price in ((10, 100), (20, 120), (31, 7)):
        feed.accept(second, timestamp=second, price=price)
    before = feed.settlement_price(30, 15)
    feed.accept(99, timestamp=99, price=10**6)
    assert feed.settlement_price(30, 15) == before == (5 * 100 + 10 * 120) // 15


def test_the_cumulative_is_refused_outside_the_observations() -> None:
    feed = Feed()
    with pytest.raises(NoPrice):
        feed.cumulative_at(0)
    feed.accept(1, timestamp=10, price=5)
    feed.accept(2, timestamp=14, price=6)
    assert [feed.cumulative_at(t) for t in (10, 11, 13, 14)] == [0, 5, 15, 20]
    for outside in (9, 15):
        with pytest.raises(NoPrice):
            feed.cumulative_at(outside)


def test_profiles_differ_in_times_only() -> None:
    assert (FAST.im_bps, FAST.penalty_bps) == (MAINNET_LIKE.im_bps, MAINNET_LIKE.penalty_bps)
    assert (MAINNET_LIKE.max_price_age_s, MAINNET_LIKE.settlement_window_s) == (300, 1800)
    assert BPS == 10_000


@pytest.mark.parametrize(
    ("margin", "liquidatable"),
    [
        (Margin(6, 20, 7), True), (Margin(7, 20, 7), False), (Margin(8, 20, 7), False), (Margin(-1, 0, 0), False),
        (Margin(0, 2, 1), True),
    ],
)
def test_liquidatable_is_strictly_below_a_positive_maintenance_margin(margin: Margin, liquidatable: bool) -> None:
    """An account without requirement is never liquidated, whatever it owes."""
    assert margin.is_liquidatable is liquidatable
