"""Text becomes an exact integer or is refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario import units


@given(st.integers(min_value=1, max_value=10**12 - 1), st.integers(min_value=0, max_value=10**18 - 1))
def test_a_price_of_up_to_18_decimals_is_exact(whole: int, part: int) -> None:
    assert units.price_wad(f"{whole}.{part:018d}") == whole * 10**18 + part


@given(st.decimals(min_value="0.000000000000000001", max_value="999999999", allow_nan=False, allow_infinity=False))
def test_a_price_is_the_number_written_or_refused(number: Decimal) -> None:
    try:
        wad = units.price_wad(number)
    except ValueError as error:
        assert "too many digits" in str(error) or "finite number" in str(error)  # noqa: PT017 - either answer is right
    else:
        assert Fraction(wad, 10**18) == Fraction(number)


@given(st.text(max_size=60))
def test_no_text_makes_a_unit_parser_fail_in_another_way(text: str) -> None:
    for parse in (
        units.duration_ns,
        units.price_wad,
        units.gwei,
        units.rate_milli,
        units.probability,
        units.bandwidth_bps,
        units.block_count,
        units.native_amount,
    ):
        try:
            parse(text)
        except ValueError:
            continue


@given(st.integers(min_value=0, max_value=10**15))
def test_a_duration_reads_back_as_it_is_written(nanoseconds: int) -> None:
    assert units.duration_ns(units.duration_text(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("50ms", 50_000_000), ("5s", 5 * 10**9), ("2m", 120 * 10**9), ("3h", 10_800 * 10**9), ("1.5s", 1_500_000_000)],
)
def test_durations_carry_their_unit(text: str, nanoseconds: int) -> None:
    assert units.duration_ns(text) == nanoseconds


@pytest.mark.parametrize("text", ["5", "5 parsecs", "", "s", "1e3s", "31d", "9999h", "0.0000000001s", "٣s٣"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|days|nanosecond"):
        units.duration_ns(text)


def test_rates_probabilities_bandwidths_and_blocks_have_their_units() -> None:
    assert units.rate_milli("4/s") == 4_000
    assert units.rate_milli("30/m") == 500
    assert units.probability("5%") == units.probability(Decimal("0.05")) == 0.05
    assert units.bandwidth_bps("64kbit") == 64_000
    assert units.block_count("10 blocks") == units.block_count(10) == 10
    assert units.gwei(Decimal("0.5")) == 500_000_000


@pytest.mark.parametrize("value", [True, None, [], "1_000", "0x10", "1,5", "1e99999", "9" * 80, "--1"])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"number|digits|range"):
        units.price_wad(value)
