"""Two runs of one plan side by side: what the faults alone did must hurt nobody."""

from __future__ import annotations

import pytest

from harness.checks.paired import NoPair, healthy_without_faults
from harness.checks.results import Finding, Verdict
from harness.checks.subject import Subject
from tests.checks.builder import BOUNDS, Run, W
from tests.checks.stories import market


def subject(run: Run) -> Subject:
    return Subject(run.history(), BOUNDS)


def long_at(*prices: int, expires_in: int = 500) -> Run:
    """Alice long 9 from 100, due below 94.81; one block for each price, and one more that is open."""
    run = market(expires_in=expires_in).trade("alice", "maker", 9, 100)
    for price in prices:
        run.block().price(price)
    return run.block()


def pair(calm: Run, storm: Run) -> Finding:
    return healthy_without_faults(subject(calm), subject(storm))


def test_who_is_due_without_faults_too_may_be_liquidated_under_them() -> None:
    found = pair(long_at(97, 94).liquidate("alice"), long_at(97, 94).liquidate("alice"))
    assert (found.verdict, found.guarded) == (Verdict.HOLDS, 1)
    assert "0 accounts of 1 were liquidated only under faults" in found.summary


def test_who_was_healthy_at_every_price_without_faults_must_not_be_liquidated_under_them() -> None:
    """The storm's own oracle says 94, and its own observations agree with it; the calm run never fell below 96."""
    found = pair(long_at(97, 96), long_at(97, 94).liquidate("alice"))
    assert (found.verdict, found.guarded) == (Verdict.VIOLATED, 1)
    first = found.evidence[0]
    assert (first["case"], first["block"], first["surplus_at_worst_price"]) == ("first", 4, str(955 * 10**16))
    assert first["prices"] == {"ETH": [str(96 * W), str(100 * W)]}


def test_a_price_of_the_calm_run_counts_as_long_as_a_price_may_be_used() -> None:
    """A dip that the calm run saw for a second is a price the storm may still use 20 s later, and no longer."""
    def dipped(seconds: int) -> Finding:
        return pair(long_at(94, *[99] * (seconds + 2)), long_at(94, *[94] * (seconds - 1)).liquidate("alice"))

    assert dipped(20).verdict is Verdict.HOLDS
    assert dipped(22).verdict is Verdict.VIOLATED


def test_a_top_up_that_only_the_calm_run_took_up_is_told_and_not_held_against_the_storm() -> None:
    """Whose message a fault kept away rightly fares otherwise: the account had what the storm says it had."""
    found = pair(long_at(97).deposit("alice", 50).block().price(94), long_at(97, 94).liquidate("alice"))
    assert found.verdict is Verdict.HOLDS
    assert "1 accounts of 1 were liquidated only under faults" in found.summary


def test_what_an_honest_reporter_saw_without_faults_counts_as_a_price() -> None:
    calm = long_at(97)
    calm.price(96, observed=(96 * W, 96 * W, 956 * 10**17))
    assert pair(calm, long_at(97, 94).liquidate("alice")).verdict is Verdict.VIOLATED
    nearer = long_at(97)
    nearer.price(95, observed=(95 * W, 95 * W, 947 * 10**17))
    assert pair(nearer, long_at(97, 94).liquidate("alice")).verdict is Verdict.HOLDS


def test_nothing_to_compare_is_unknown() -> None:
    assert pair(long_at(97, 94), long_at(97, 94)).verdict is Verdict.UNKNOWN
    without = Run().block().deposit("alice", 5)
    assert pair(without, long_at(94).liquidate("alice")).verdict is Verdict.UNKNOWN


def test_runs_of_two_plans_are_refused() -> None:
    other = long_at(94)
    other.lines[0]["seed"] = 2
    with pytest.raises(NoPair, match="not two runs of one plan"):
        pair(other, long_at(94))
