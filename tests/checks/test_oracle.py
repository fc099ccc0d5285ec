"""Prices that were stale, out of order, or from nowhere."""

from __future__ import annotations

import pytest

from harness.checks.results import Verdict
from tests.checks.builder import Run
from tests.checks.cases import dismissed, quiet
from tests.checks.stories import market

W = 10**18


@pytest.mark.parametrize(("seconds", "verdict"), [(20, Verdict.HOLDS), (21, Verdict.VIOLATED)])
def test_the_age_limit_is_inclusive_to_the_second(seconds: int, verdict: Verdict) -> None:
    assert market().blocks(seconds).trade("alice", "maker", 1, 100).judge("O1").verdict is verdict


def test_a_withdrawal_on_a_stale_price_is_found() -> None:
    run = market().trade("alice", "maker", 1, 100).blocks(21).withdraw("alice", 1)
    assert run.judge("O1").verdict is Verdict.VIOLATED


def test_a_withdrawal_without_positions_needs_no_price() -> None:
    assert market().blocks(100).withdraw("alice", 1).judge("O1").verdict is Verdict.HOLDS


def test_a_liquidation_on_a_stale_price_is_found() -> None:
    run = market().trade("alice", "maker", 9, 100).block().price(90).blocks(21).liquidate("alice")
    assert run.judge("O1").verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("age", "round_"),
    [(0, 1), (0, 0), (1, 2), (2, 2), (-1, 2)],
    ids=["round again", "round back", "timestamp again", "timestamp back", "from the future"],
)
def test_a_round_that_does_not_move_the_feed_forward_is_found(age: int, round_: int) -> None:
    run = Run().block().price(100).block()
    assert run.price(100, age=age, round_=round_).judge("O2").verdict is Verdict.VIOLATED


def test_rounds_may_skip_numbers() -> None:
    assert Run().block().price(100).block().price(101, round_=9).judge("O2").verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("observed", "verdict"),
    [
        ((99 * W, 100 * W, 101 * W), Verdict.HOLDS),
        ((100 * W, 101 * W, 102 * W), Verdict.HOLDS),
        ((100 * W + 1, 101 * W, 102 * W), Verdict.VIOLATED),
        ((98 * W, 99 * W, 100 * W - 1), Verdict.VIOLATED),
    ],
)
def test_a_price_outside_what_was_signed_is_found(observed: tuple[int, ...], verdict: Verdict) -> None:
    run = Run().block().price(100, observed=observed, prices=observed, said=100 * W)
    assert run.judge("P1").verdict is verdict


def test_a_round_nobody_recorded_signing_is_not_judged() -> None:
    result = Run().block().price(100, observed=()).judge("P1")
    assert result.verdict is Verdict.UNKNOWN
    assert "1 rounds have no recorded observation" in result.summary


def test_as_many_sign_a_round_as_have_a_vote() -> None:
    """Three once one of four has lost it, four again once it is back; who a run's reporters are may be unknown."""
    for run, verdict in ((dismissed(3), Verdict.HOLDS), (dismissed(4), Verdict.VIOLATED),
                         (dismissed(4, back=True), Verdict.HOLDS), (dismissed(5, back=True), Verdict.VIOLATED)):
        assert run.judge("O6").verdict is verdict
    assert quiet().block().price(100, sources=9).judge("O6").verdict is Verdict.HOLDS
