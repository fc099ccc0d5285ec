"""Bad trades and withdrawals that must be rejected, and edge cases that must not."""

from __future__ import annotations

import pytest

from harness.checks.results import Verdict
from tests.checks.builder import Run, address
from tests.checks.stories import market


def test_a_position_larger_than_the_margin_allows_is_found() -> None:
    """100 of cash carries at most 10 × leverage less the fee; 10 contracts at 100 need exactly all of it."""
    result = market().trade("alice", "maker", 10, 100).judge("M1")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["account"] == address("alice")
    assert int(result.evidence[0]["equity"]) == 100 * 10**18 - 10**18 // 2


def test_a_maker_without_margin_is_found_too() -> None:
    result = market().trade("maker", "alice", 11, 100).judge("M1")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["account"] == address("alice")


def test_the_margin_boundary_is_inclusive_to_the_wei() -> None:
    """E == IM may open; one wei of cash less may not."""
    def run(price_wad: int) -> Run:
        # The maker pays no fee: bought one wei above the index, each contract starts with a loss of one wei.
        return market().trade("maker", "alice", -10, 0, price_wad=price_wad)

    assert run(100 * 10**18).judge("M1").verdict is Verdict.HOLDS
    assert run(100 * 10**18 + 1).judge("M1").verdict is Verdict.VIOLATED


def test_reducing_under_water_is_allowed_when_the_ratio_does_not_fall() -> None:
    """Rule 3.9: an account between MM and IM may always make itself smaller at the index."""
    run = market().trade("alice", "maker", 9, 100).block().price(97)
    run.block().trade("maker", "alice", 3, 97)
    assert run.judge("M1").verdict is Verdict.HOLDS


def test_reducing_at_a_price_that_worsens_the_ratio_is_found() -> None:
    """The same reduction ten percent under the index hands equity to the other side."""
    run = market().trade("alice", "maker", 9, 100).block().price(97)
    run.block().trade("maker", "alice", 3, 88)
    result = run.judge("M1")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["size_after"] == str(6 * 10**18)


def test_a_keeper_left_under_initial_margin_is_found() -> None:
    run = market().deposit("poor", 1).trade("alice", "maker", 9, 100).block().price(90).block()
    result = run.liquidate("alice", "poor").judge("M1")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[-1]["keeper"] == address("poor")


def test_options_bought_with_money_that_is_not_there_are_found() -> None:
    """Rule 3.9 alone allows it: without requirement before and after, any equity passes crosswise."""
    run = market().deposit("pauper", 1).trade("pauper", "writer", 5, 10, series=2)
    assert run.judge("M1").verdict is not Verdict.VIOLATED
    assert run.judge("M9").verdict is Verdict.VIOLATED


def test_a_withdrawal_of_margin_is_found() -> None:
    run = market().trade("alice", "maker", 5, 100).block().withdraw("alice", 50)
    result = run.judge("M2")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["im"] == str(50 * 10**18)


def test_unrealised_profit_cannot_be_withdrawn() -> None:
    """At 110 alice is 50 up; her cash is still only what she put in."""
    run = market().trade("alice", "maker", 5, 100).block().price(110)
    assert run.block().withdraw("alice", 44).judge("M2").verdict is Verdict.HOLDS
    assert run.block().withdraw("alice", 1).judge("M2").verdict is Verdict.VIOLATED


def test_a_writer_cannot_withdraw_what_a_final_price_already_took() -> None:
    """Between finality and settlement a short option needs no margin, but it is owed for."""
    run = market(expires_in=20).trade("maker", "writer", 5, 8, series=2).blocks(3, price=100)
    run.blocks(17, price=200).block().finalize(2)
    assert run.block().withdraw("writer", 540).judge("M2").verdict is Verdict.HOLDS
    run.block().withdraw("writer", 1)
    assert run.judge("M2").verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("series", "price_wad", "verdict"),
    [
        (1, 110 * 10**18, Verdict.HOLDS), (1, 110 * 10**18 + 1, Verdict.VIOLATED),
        (1, 90 * 10**18, Verdict.HOLDS), (1, 90 * 10**18 - 1, Verdict.VIOLATED),
        (2, 0, Verdict.HOLDS), (2, 100 * 10**18, Verdict.HOLDS), (2, 100 * 10**18 + 1, Verdict.VIOLATED),
        (3, 100 * 10**18, Verdict.HOLDS), (3, 100 * 10**18 + 1, Verdict.VIOLATED), (3, -1, Verdict.VIOLATED),
    ],
)
def test_the_price_band_is_inclusive_to_the_wei(series: int, price_wad: int, verdict: Verdict) -> None:
    assert market().trade("alice", "maker", 1, 0, price_wad=price_wad, series=series).judge("T1").verdict is verdict


def test_a_quote_filled_twice_is_found() -> None:
    run = market().trade("alice", "maker", 1, 100, nonce=7).trade("bob", "keeper", 1, 100, nonce=7)
    assert run.judge("T2").verdict is Verdict.HOLDS
    assert run.block().trade("bob", "maker", 1, 100, nonce=7).judge("T2").verdict is Verdict.VIOLATED
