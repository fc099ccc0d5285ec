"""Rounding, legs, requirements, medians and averages, against fractions and by hand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.model.feed import Feed, NoPrice, clamped_mean, median
from harness.model.fixed import BPS, WAD, ceil_div, floor_div, truncate
from harness.model.legs import future_leg, option_leg
from harness.model.margin import Kind, Margin, intrinsic, may_move, payoff, requirement
from harness.model.params import FAST, MAINNET_LIKE, VenueParams
from harness.model.window import carried_price, closing_window, next_quorum, settlement_price
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
    assume(price > 0 or kind is not Kind.INVERSE)
    got = requirement(kind, strike=strike, size=size, price=price, params=FAST)
    words = ("future", "call", "put", "future", "inverse")[kind]
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
    feed, observations, now = Feed(gap_max=10**9), list[tuple[int, Fraction]](), 0
    params = lenient(window)
    for index, (wait, price) in enumerate(steps):
        now += wait
        feed.accept(index + 1, timestamp=now, price=price)
        observations.append((now, Fraction(price, WAD)))
    if now < expiry or observations[0][0] >= expiry:
        with pytest.raises(NoPrice):
            settlement_price(feed, expiry, params)
        return
    assert settlement_price(feed, expiry, params) == shadow.average(observations, expiry, window)
    assert carried_price(feed, expiry, params) == shadow.average(observations, expiry, window)


@given(
    st.lists(st.tuples(st.integers(1, 30), prices), min_size=1, max_size=8),
    st.integers(1, 120), st.integers(1, 40), st.integers(1, 20), st.integers(1, 25),
)
def test_what_a_window_had_of_prices_is_counted_by_the_second(
    steps: list[tuple[int, int]], expiry: int, window: int, age_max: int, gap_max: int
) -> None:
    """Each second of the window has the price that held at its start: young enough, or too old to bear, or neither.

    Where observations end before the window the newest is carried on; what comes after expiry changes nothing.
    """
    feed, times, now = Feed(age_max=age_max, gap_max=gap_max), list[int](), 0
    for index, (wait, price) in enumerate(steps):
        now += wait
        feed.accept(index + 1, timestamp=now, price=price)
        times.append(now)
    params = dataclasses.replace(lenient(window), max_price_age_s=age_max, settlement_max_gap_s=gap_max)
    found = closing_window(feed, expiry, params)
    if times[0] >= expiry:
        assert found is None
        assert carried_price(feed, expiry, params) == steps[0][1]
        return
    assert found is not None
    ages = [second - max(t for t in times if t <= second) for second in range(max(expiry - window, times[0]), expiry)]
    assert found.covered == sum(age < age_max for age in ages)
    assert found.beyond == sum(age >= gap_max for age in ages)
    feed.accept(99, timestamp=max(now, expiry) + 7, price=5)
    assert closing_window(feed, expiry, params) == found


@pytest.mark.parametrize(
    ("covered", "is_sound"), [(9, True), (8, False)], ids=["nine of fifteen", "a second less than 60 %"]
)
def test_the_boundary_of_coverage(covered: int, is_sound: bool) -> None:
    """60 % of 15 s is 9 s exactly; with an age limit of so many seconds one observation covers so many."""
    params = dataclasses.replace(FAST, max_price_age_s=covered, settlement_max_gap_s=15)
    feed = Feed(age_max=covered, gap_max=15)
    feed.accept(1, timestamp=100, price=7)
    feed.accept(2, timestamp=115, price=8)
    found = closing_window(feed, 115, params)
    assert found is not None
    assert (found.covered, found.beyond, found.is_sound(params)) == (covered, 0, is_sound)


@pytest.mark.parametrize(("silence", "is_sound"), [(25, True), (26, False)])
def test_the_boundary_of_the_gap(silence: int, is_sound: bool) -> None:
    """A price may be 25 s old in its last second and not 26, although the window was well covered before."""
    params = dataclasses.replace(FAST, settlement_window_s=40)
    feed = Feed(age_max=20, gap_max=25)
    feed.accept(1, timestamp=0, price=7)
    feed.accept(2, timestamp=40 - silence, price=7)
    feed.accept(3, timestamp=40, price=8)
    found = closing_window(feed, 40, params)
    assert found is not None
    assert (found.beyond, found.is_sound(params)) == (silence - 25, is_sound)


def test_the_first_window_after_a_dispute_opens_with_the_first_round_after_it() -> None:
    feed = Feed(age_max=20, gap_max=25)
    for second, price in ((10, 100), (100, 900), (105, 200), (114, 300)):
        feed.accept(second, timestamp=second, price=price)
    assert next_quorum(feed, 99, FAST) is None                       # 100 to 115 is not over at 114
    feed.accept(120, timestamp=120, price=10**9)
    assert next_quorum(feed, 99, FAST) == (5 * 900 + 9 * 200 + 300) // 15
    assert next_quorum(feed, 100, FAST) == (9 * 200 + 6 * 300) // 15     # from 105; the round at 100 is not after it
    assert next_quorum(feed, 105, FAST) is None


@pytest.mark.parametrize(
    ("given_prices", "expected"),
    [
        ([100 * WAD] * 3, 100 * WAD),
        ([100 * WAD, 100 * WAD, 200 * WAD], (300 * WAD + WAD // 2) // 3),    # 200 counts as 100.5
        ([1, 2, 3], 2),                                                      # the clamp is nothing: all count as 2
        ([-9 * WAD, -3 * WAD, -2 * WAD], (-9 * WAD) // 3),                   # −3 ± 0.015: −3.015, −3, −2.985
        ([-1, -2, -2, -2], -2),
    ],
)
def test_the_index_clamps_every_price_to_the_median(given_prices: list[int], expected: int) -> None:
    assert clamped_mean(given_prices, 50) == expected


@given(st.lists(prices, min_size=3, max_size=7), st.integers(0, 10**30))
def test_a_liar_moves_the_index_by_no_more_than_its_share_of_the_clamp(given_prices: list[int], lie: int) -> None:
    """Of n prices, one replaced by anything at all: the index stays among the others, or within clamp / n of them."""
    others, n = sorted(given_prices), len(given_prices) + 1
    got = clamped_mean([*others, lie], 50)
    middle = Fraction(abs(median([*others, lie])) * 50, BPS)
    assert others[0] - middle / n - 1 <= got <= others[-1] + middle / n


def lenient(window: int) -> VenueParams:
    """A venue that settles on whatever was observed."""
    return dataclasses.replace(FAST, settlement_window_s=window, coverage_bps=0, settlement_max_gap_s=10**9)


def test_a_late_observation_does_not_change_the_settlement_price() -> None:
    """S9: late relay equals on-time relay."""
    feed = Feed(age_max=20, gap_max=25)
    for second, price in ((10, 100), (20, 120), (31, 7)):
        feed.accept(second, timestamp=second, price=price)
    before = settlement_price(feed, 30, FAST)
    feed.accept(99, timestamp=99, price=10**6)
    assert settlement_price(feed, 30, FAST) == before == (5 * 100 + 10 * 120) // 15


def test_the_cumulative_is_refused_before_the_observations_and_carried_on_after() -> None:
    feed = Feed()
    with pytest.raises(NoPrice):
        feed.cumulative_at(0)
    feed.accept(1, timestamp=10, price=5)
    feed.accept(2, timestamp=14, price=6)
    assert [feed.cumulative_at(t) for t in (10, 11, 13, 14, 16)] == [0, 5, 15, 20, 32]
    with pytest.raises(NoPrice):
        feed.cumulative_at(9)


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
