"""What a result says was compared with the model: every event that tells an amount, and every field of every state."""

from __future__ import annotations

from harness.checks.amounts import compared_amounts
from harness.checks.results import JudgeBounds
from harness.checks.subject import Subject
from tests.checks.builder import Run


def traded(trades: int) -> Run:
    run = Run().block().price(2000).list_series(0, expires_in=30).deposit("alice", 10_000).deposit("maker", 10_000)
    for _ in range(trades):
        run.trade("alice", "maker", 1, 2000)
    return run


def compared(run: Run) -> dict[str, int]:
    return compared_amounts(Subject(run.history(), JudgeBounds()))


def test_each_kind_of_event_is_counted_and_so_are_the_fields_of_each_state() -> None:
    """As many as there were; a run of which nothing was compared says so by zeros, not by silence."""
    seen = compared(traded(2).state())
    assert (seen["trades"], seen["settlements"], seen["all"], seen["differing"]) == (2, 0, 2, 0)
    assert seen["storage_fields"] > 10
    assert seen["storage_fields_differing"] == 0
    assert compared(traded(0))["all"] == 0
    assert compared(traded(0))["storage_fields"] == 0


def test_a_field_that_differs_is_counted_as_one() -> None:
    assert compared(traded(1).state(corrupt={"totals.fees": 1}))["storage_fields_differing"] == 1
