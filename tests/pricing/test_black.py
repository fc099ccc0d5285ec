"""Black's formula against published values, parity, bounds, and the platform's own float mathematics."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.pricing.black import WAD, OptionKind, delta, implied_variance, normal_cdf, price
from harness.pricing.volatility import RealisedVariance

PRICES = st.integers(1, 100_000).map(lambda dollars: dollars * WAD)
VARIANCES = st.decimals("0.000001", "4", places=6)
KINDS = st.sampled_from(["call", "put"])


def by_floats(kind: str, forward: int, strike: int, variance: Decimal) -> float:
    f, k, s = forward / WAD, strike / WAD, math.sqrt(variance)
    d1 = math.log(f / k) / s + s / 2
    cdf = lambda x: math.erfc(-x / math.sqrt(2)) / 2  # noqa: E731  one line of mathematics
    return f * cdf(d1) - k * cdf(d1 - s) if kind == "call" else k * cdf(s - d1) - f * cdf(-d1)


@pytest.mark.parametrize(
    ("x", "expected"),
    # Abramowitz & Stegun, Handbook of Mathematical Functions (1964), table 26.1: P(x) to 15 places.
    [("0", "0.500000000000000"), ("0.5", "0.691462461274013"), ("1", "0.841344746068543"), ("2", "0.977249868051821"),
     ("3", "0.998650101968370"), ("-1", "0.158655253931457")],
)
def test_the_normal_distribution_is_that_of_the_tables(x: str, expected: str) -> None:
    """To all the places that were printed."""
    assert abs(normal_cdf(Decimal(x)) - Decimal(expected)) <= Decimal("1e-15")


def test_values_agree_with_a_published_example() -> None:
    """Hull, Options, Futures, and Other Derivatives, European put on crude oil futures by Black's model: F = K = 20,
    σ = 25 %, four months, r = 9 %: 1.12 after discounting."""
    undiscounted = price("put", forward=20 * WAD, strike=20 * WAD, variance=Decimal("0.0625") / 3)
    assert round(undiscounted / WAD * math.exp(-0.09 * 4 / 12), 2) == 1.12


@given(kind=KINDS, forward=PRICES, strike=PRICES, variance=VARIANCES)
@settings(max_examples=150)
def test_prices_agree_with_floats_to_their_precision(
    kind: OptionKind, forward: int, strike: int, variance: Decimal
) -> None:
    """Two ways to the same number; the exact one is the reference, so floats get their own rounding as slack."""
    found = price(kind, forward=forward, strike=strike, variance=variance) / WAD
    assert found == pytest.approx(by_floats(kind, forward, strike, variance), rel=1e-9, abs=forward / WAD * 1e-11)


@given(forward=PRICES, strike=PRICES, variance=VARIANCES)
@settings(max_examples=150)
def test_parity_is_exact_and_bounds_hold(forward: int, strike: int, variance: Decimal) -> None:
    """Call − put = F − K, and no option is worth more than it can pay."""
    call = price("call", forward=forward, strike=strike, variance=variance)
    put = price("put", forward=forward, strike=strike, variance=variance)
    assert max(forward - strike, 0) <= call <= forward
    assert max(strike - forward, 0) <= put <= strike
    assert abs((call - put) - (forward - strike)) <= max(1, forward // 10**20)
    assert 0 <= delta("call", forward=forward, strike=strike, variance=variance) <= WAD
    assert -WAD <= delta("put", forward=forward, strike=strike, variance=variance) <= 0


@given(kind=KINDS, forward=PRICES, strike=PRICES, variance=VARIANCES)
@settings(max_examples=50)
def test_value_grows_with_variance(kind: OptionKind, forward: int, strike: int, variance: Decimal) -> None:
    """So the implied variance is a bisection away, and gives the value back."""
    value = price(kind, forward=forward, strike=strike, variance=variance)
    assert value <= price(kind, forward=forward, strike=strike, variance=variance * 2)
    implied = implied_variance(kind, forward=forward, strike=strike, value=value)
    again = price(kind, forward=forward, strike=strike, variance=implied)
    # The value jumps where a tail is cut off, TAIL standard deviations out: by Φ(−8) of either price.
    assert 0 <= again - value <= max(forward, strike) // 10**15


def test_no_variance_leaves_the_intrinsic_value_and_a_value_beyond_reach_is_refused() -> None:
    """At expiry an option is its payoff; a call at the forward's price has no volatility."""
    assert price("call", forward=110 * WAD, strike=100 * WAD, variance=Decimal(0)) == 10 * WAD
    assert price("put", forward=110 * WAD, strike=100 * WAD, variance=Decimal(0)) == 0
    assert implied_variance("call", forward=110, strike=100, value=10) == 0
    with pytest.raises(ValueError, match="no variance gives 110"):
        implied_variance("call", forward=110, strike=100, value=110)


def test_a_view_that_misses_the_fall_misses_the_volatility() -> None:
    """The same market seen every second and every ten: the sparse view thinks it is calm."""
    swings = [(t, (100 + (t % 2) * 2) * WAD) for t in range(60)]
    close, sparse = (RealisedVariance(prior=Decimal("1e-6"), prior_seconds=5, window_seconds=60) for _ in range(2))
    for t, value in swings:
        close.see(t, value)
        if t % 10 == 0:
            sparse.see(t, value)
    assert close.per_second() > 100 * sparse.per_second()


def test_the_same_or_an_older_observation_teaches_nothing() -> None:
    """A stale read repeated is not a calm market: it is no information, and the prior's share stays."""
    view = RealisedVariance(prior=Decimal("4e-4"), prior_seconds=10, window_seconds=60)
    view.see(10, 100 * WAD)
    for _ in range(50):
        view.see(10, 120 * WAD)
    assert view.per_second() == Decimal("4e-4")
