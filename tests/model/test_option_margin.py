"""The three option margin modules: figures that others published, and what no module may get wrong."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.fixed import BPS, WAD
from harness.model.margin import Kind
from harness.model.option_margin import (
    DERIBIT,
    DERIVE,
    Bounded,
    Option,
    StandardRates,
    bounded,
    isolated,
    naked,
    relieved,
    unpaired_calls,
    value_at,
    worst_loss,
)

C, P = Kind.CALL, Kind.PUT
MAINNET = Bounded(11_000, 11_000)
"""Derive's published cases of July 2023 scale an unpaired call by 1.1 in both margins."""


def units(numerators: tuple[int, int]) -> tuple[Fraction, Fraction]:
    im, mm = (Fraction(item, BPS * WAD * WAD) for item in numerators)
    return im, mm


def option(kind: Kind, strike: int, size: str = "-1", mark_wad: int = 0) -> Option:
    return Option(kind, strike * WAD, int(Fraction(size) * WAD), mark_wad)


@pytest.mark.parametrize(
    ("kind", "strike", "mark", "initial", "maintenance"),
    [
        (C, 1500, 100, "325", "212.5"), (C, 400, 1100, "1325", "1212.5"), (C, 3000, 10, "160", "122.5"),
        (P, 1500, 100, "325", "212.5"), (P, 3000, 1500, "1725", "1612.5"), (P, 400, 10, "160", "122.5"),
    ],
)
def test_derives_isolated_margins_of_a_short_option(
    kind: Kind, strike: int, mark: int, initial: str, maintenance: str
) -> None:
    """derivexyz/v2-core TestStandardManager_Option.t.sol, spot 1 500, rates 15 %, 10 %, 7.5 %: whole units there."""
    found = units(isolated(option(kind, strike, mark_wad=mark * WAD), index=1500 * WAD, rates=DERIBIT))
    assert found == (Fraction(initial), Fraction(maintenance))


FORWARD = 1500833279310993817600
CASES = {
    # name: (options, marks from PortfolioMtM where one short gives it, IM, MM)
    "Test1 short call at the money": ([option(C, 1500, mark_wad=79333811131402452992)], "304.371585", "191.871585"),
    "Test3 short call out of the money": ([option(C, 1900, mark_wad=6005402418817408000)], "156.008261", "118.508261"),
    "Test4 short put out of the money": ([option(P, 1300, mark_wad=14315977874414643200)], "164.322794", "126.822794"),
}


@pytest.mark.parametrize("name", CASES)
def test_derives_published_cases_of_naked_shorts(name: str) -> None:
    """derivexyz/v2-core test-cases.json: spot 1 500, rates 15 %, 10 %, 7.5 %; its Black prices as marks.

    Their file's prices come from floats through a discount, so that marks and margins agree to a cent only.
    """
    options, initial, maintenance = CASES[name]
    found = relieved(options, index=1500 * WAD, rates=DERIBIT, bounds=MAINNET)
    for mine, theirs in zip(found, (initial, maintenance), strict=True):
        assert abs(Fraction(mine, WAD) - Fraction(theirs)) < Fraction(5, 100)


@pytest.mark.parametrize(
    ("name", "options", "im", "mm"),
    [
        ("Test1", [option(C, 1500)], "1650.916607242093199", "1650.916607242093199"),
        ("Test4", [option(P, 1300)], "1300", "1300"),
        ("Test5", [option(C, 1100), option(C, 1300, "1")], "200", "200"),
        ("Test6", [option(C, 1900, "1"), option(C, 1700)], "200", "200"),
        ("Test7", [option(C, 1200, "1"), option(C, 1000), option(C, 2500, "-0.1")],
         "365.091660724209320", "365.091660724209320"),
    ],
)
def test_derives_published_bounded_margins(name: str, options: list[Option], im: str, mm: str) -> None:
    """The same file's `ETHOptionBoundedIM` and `MM`: worst loss over strikes, and 110 % of the forward for each call
    written without one held. Their doubles carry 15 digits or so."""
    found = units(bounded(options, index=FORWARD, bounds=MAINNET))
    for mine, theirs in zip(found, (im, mm), strict=True):
        assert abs(mine - Fraction(theirs)) < Fraction(1, 10**12), name


def test_of_the_two_figures_the_smaller_is_asked() -> None:
    """Test5 is bounded by 200, less than each by itself; Test6, far out of the money, asks less of each by itself."""
    deep = [option(C, 1100, mark_wad=400 * WAD), option(C, 1300, "1", 200 * WAD)]
    assert relieved(deep, index=1500 * WAD, rates=DERIBIT, bounds=MAINNET) == (200 * WAD, 200 * WAD)
    far = [option(C, 1900, "1", 6 * WAD), option(C, 1700, mark_wad=23 * WAD)]
    assert relieved(far, index=1500 * WAD, rates=DERIBIT, bounds=MAINNET) == (173 * WAD, 2710 * WAD // 20)


def test_derives_call_spread_asks_its_width_and_an_unpaired_hundredth_twenty_two_more() -> None:
    """testCanTradeSpreadWithMaxLoss: 100. testUnpairedLegsAreChargedInMargin: 0.01 · 1 500 · 1.4 = 21 and 1 of loss."""
    scale = Bounded(14_000, 12_000)
    spread = [option(C, 1500), option(C, 1600, "1")]
    assert units(bounded(spread, index=1500 * WAD, bounds=scale)) == (100, 100)
    assert units(bounded([option(C, 1500, "-1.01"), spread[1]], index=1500 * WAD, bounds=scale))[0] == 122
    zero = [option(C, 0), option(C, 400, "1")]
    assert units(bounded(zero, index=1500 * WAD, bounds=scale)) == (400, 400)


UPPER = {7: 1_678, 14: 2_370}
"""Opyn's table of upper bounds, by days to expiry."""


@pytest.mark.parametrize(
    ("kind", "strike", "index", "days", "published", "precision"),
    [
        (P, 100, 150, 7, "16.77778677", "0.01"), (P, 100, 150, 14, "23.6996538", "0.001"),
        (C, 2500, 1800, 7, "0.1677778677", "0.0001"),
    ],
)
def test_opyns_naked_margins(
    kind: Kind, strike: int, index: int, days: int, published: str, precision: str
) -> None:
    """opynfinance/GammaProtocol marginCalculatorNakedMargin.test.ts: spot shock 0.75; calls there are in underlying.

    The published figures were made with a table of more digits than the test's own; they allow each other 0.1.
    """
    found = Fraction(naked(option(kind, strike), index=index * WAD, upper_bps=UPPER[days], shock_bps=7_500),
                     BPS * BPS * WAD * WAD)
    if kind is C:
        found /= index
    assert abs(found - Fraction(published)) < Fraction(precision)


def test_opyns_call_in_the_money_owes_its_depth_after_the_shock() -> None:
    """K·shock below the index: 0.1678 · 75 + (150 − 75), by the formula of MarginCalculator.sol."""
    found = naked(option(C, 100), index=150 * WAD, upper_bps=1_678, shock_bps=7_500)
    assert Fraction(found, BPS * BPS * WAD * WAD) == Fraction("87.585")


options_of_an_expiry = st.lists(
    st.builds(
        Option, st.sampled_from((C, P)), st.integers(1, 30).map(lambda n: n * 100 * WAD + n),
        st.integers(-20 * WAD, 20 * WAD), st.just(0),
    ),
    min_size=1, max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(options_of_an_expiry, st.integers(0, 10_000 * WAD))
def test_no_price_up_to_where_calls_run_away_costs_more_than_the_worst_loss(options: list[Option], price: int) -> None:
    """M6's bound, at prices that are no strikes; above the highest strike at most the unpaired calls add to it."""
    highest = max(item.strike for item in options)
    beyond = max(0, price - highest) * unpaired_calls(options)
    assert -value_at(options, price) <= worst_loss(options) + beyond


@settings(max_examples=200, deadline=None)
@given(options_of_an_expiry, st.integers(0, 10_000 * WAD))
def test_relief_never_asks_more_than_each_alone_nor_less_for_upkeep_than_to_open(
    options: list[Option], index: int
) -> None:
    """M3 for a whole book, and what relief means."""
    for rates in (DERIBIT, DERIVE, StandardRates(2_000, 100, 50, 3_000)):
        found = relieved(options, index=index, rates=rates, bounds=Bounded(12_000, 11_000))
        assert found.im >= found.mm >= 0
        alone = [isolated(item, index=index, rates=rates)[0] for item in options]
        assert found.im <= sum(-(-item // (BPS * WAD)) for item in alone)


@settings(max_examples=100, deadline=None)
@given(options_of_an_expiry, st.integers(1, 10_000 * WAD), st.integers(1, 5 * WAD))
def test_writing_more_of_a_naked_option_never_asks_less(options: list[Option], index: int, more: int) -> None:
    """M3 for single positions, in every module."""
    for held in options:
        written = held._replace(size=-abs(held.size))
        larger = written._replace(size=written.size - more)
        assert isolated(larger, index=index, rates=DERIVE) >= isolated(written, index=index, rates=DERIVE)
        naked_both = [naked(item, index=index, upper_bps=1_678, shock_bps=7_500) for item in (written, larger)]
        assert naked_both[1] >= naked_both[0]
        assert all(
            a >= b for a, b in zip(bounded([larger], index=index, bounds=MAINNET),
                                   bounded([written], index=index, bounds=MAINNET), strict=True)
        )
