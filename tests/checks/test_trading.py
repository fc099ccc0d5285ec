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


@pytest.mark.parametrize("check", ["M1", "M9"])
def test_options_bought_with_money_that_is_not_there_are_found(check: str) -> None:
    """An account without requirement was never under-margined, so rule 3.9 is not for it: premium needs cash."""
    def run(premium_wad: int) -> Run:
        # The maker pays no fee: five options at 0.2 take the whole deposit of 1.
        return market().deposit("pauper", 1).trade("alice", "pauper", -5, 0, price_wad=premium_wad, series=2)

    assert run(2 * 10**17).judge(check).verdict is Verdict.HOLDS
    assert run(2 * 10**17 + 1).judge(check).verdict is Verdict.VIOLATED


def test_a_fully_margined_account_may_not_reduce_into_less_than_its_margin() -> None:
    """E = IM + 9 at 100: smaller afterwards and even a better ratio, but under IM, where it was not before.

    Long 9 of margin 99 and IM 90; selling 3 at 88 leaves E = 63 and IM = 60, at 86 E = 57. Only the second is refused.
    """
    def run(price_wad: int) -> Run:
        run = market().trade("maker", "alice", -9, 100).block()
        return run.trade("maker", "alice", 3, 0, price_wad=price_wad)

    at_requirement = 100 * 10**18 - 40 * 10**18 // 3
    assert run(at_requirement + 1).judge("M1").verdict is Verdict.HOLDS
    result = run(at_requirement - 1).judge("M1")
    assert result.verdict is Verdict.VIOLATED
    assert int(result.evidence[0]["equity_before"]) > int(result.evidence[0]["im_before"])


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


def test_a_final_payoff_still_owed_to_the_holder_cannot_be_withdrawn_before_settlement() -> None:
    """Only losses count: the call that is worth 100 each adds nothing to what may be taken now."""
    run = market(expires_in=20).trade("alice", "writer", 5, 8, series=2).blocks(3, price=100)
    run.blocks(17, price=200).block().finalize(2).block()
    assert run.venue.margin(address("alice")).equity > 500 * 10**18
    cash = run.venue.book.account(address("alice")).cash // 10**18
    assert run.withdraw("alice", cash).judge("M2").verdict is Verdict.HOLDS
    assert run.block().withdraw("alice", 1).judge("M2").verdict is Verdict.VIOLATED


def test_a_profit_in_one_series_does_not_free_the_loss_of_another() -> None:
    """Long futures up 100, short the same in a later one down 100: E is whole, but the loss binds the cash."""
    run = market(expires_in=20).list_series(0, expires_in=500)
    run.trade("maker", "writer", -5, 100).trade("maker", "writer", 5, 100, series=4).block().price(120).block()
    assert run.venue.margin(address("writer")).equity == 1000 * 10**18
    assert run.withdraw("writer", 780).judge("M2").verdict is Verdict.HOLDS  # 1000 − 100 − IM of 120
    assert run.block().withdraw("writer", 1).judge("M2").verdict is Verdict.VIOLATED


def test_a_final_future_counts_at_its_settlement_price_in_a_withdrawal() -> None:
    """Settled at 90 while the index is at 200 again: a long of 5 from 100 owes 50, whatever the index says."""
    run = market(expires_in=20).trade("maker", "alice", -5, 100).blocks(20, price=90).block().finalize(1)
    run.block().price(200).block()
    assert run.withdraw("alice", 50).judge("M2").verdict is Verdict.HOLDS
    assert run.block().withdraw("alice", 1).judge("M2").verdict is Verdict.VIOLATED


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
