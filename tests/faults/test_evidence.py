"""The judge of link faults says bit only for what the rule can have done."""

from __future__ import annotations

import pytest

from harness.faults.evidence import LinkMeasurement, difference, link_fault_bit, link_healed
from harness.ports import LinkCounters, LinkRule


def measured(
    *, before: float | None = 10.0, during: tuple[float | None, ...] = (10.0,), **moved: float
) -> LinkMeasurement:
    return LinkMeasurement("a", "b", LinkCounters(**moved), before, during)  # type: ignore[arg-type]  # ints are floats


@pytest.mark.parametrize(
    ("rule", "seen"),
    [
        (LinkRule(delay_ms=100), measured(delayed=3)),
        (LinkRule(delay_ms=100), measured(during=(110.0,))),
        (LinkRule(jitter_ms=100), measured(delayed=1)),
        (LinkRule(rate_bps=1000), measured(delayed=1)),
        (LinkRule(loss=0.1), measured(lost=1)),
        (LinkRule(corrupt=0.1), measured(lost=1, corrupted=1)),
        (LinkRule(duplicate=0.1), measured(duplicated=1)),
        (LinkRule(reorder=0.1), measured(reordered=1)),
        (LinkRule(cut=True), measured(during=(None,), lost=1)),
        (LinkRule(cut=True), measured(during=(None,), refused=1)),
    ],
)
def test_its_own_trace_convicts_a_rule(rule: LinkRule, seen: LinkMeasurement) -> None:
    assert link_fault_bit(rule, [seen])


@pytest.mark.parametrize(
    ("rule", "seen"),
    [
        (LinkRule(delay_ms=100), measured(messages=50, lost=2)),
        (LinkRule(delay_ms=100), measured(before=None, during=(500.0,))),
        (LinkRule(delay_ms=100), measured(during=(30.0,))),
        (LinkRule(loss=0.1), measured(messages=50, delayed=5)),
        (LinkRule(duplicate=0.1), measured(delayed=5, lost=5)),
        (LinkRule(cut=True), measured(during=(None,))),
        (LinkRule(cut=True), measured(during=(12.0,), lost=5)),
        (LinkRule(cut=True), measured(during=(None, 12.0), lost=5)),
    ],
)
def test_other_traces_do_not(rule: LinkRule, seen: LinkMeasurement) -> None:
    assert not link_fault_bit(rule, [seen])


def test_one_leaking_link_acquits_a_partition() -> None:
    tight, leaking = measured(during=(None,), lost=3), measured(during=(9.0,))
    assert link_fault_bit(LinkRule(cut=True), [tight, tight])
    assert not link_fault_bit(LinkRule(cut=True), [tight, leaking])


def test_a_link_is_healed_when_it_answers_as_before() -> None:
    rule = LinkRule(delay_ms=100)
    assert link_healed(rule, rtt_before_ms=10, rtt_after_ms=12)
    assert link_healed(rule, rtt_before_ms=None, rtt_after_ms=12)
    assert not link_healed(rule, rtt_before_ms=10, rtt_after_ms=111)
    assert not link_healed(rule, rtt_before_ms=10, rtt_after_ms=None)


def test_counters_are_compared_field_by_field() -> None:
    before, after = LinkCounters(messages=3, lost=1), LinkCounters(messages=10, lost=1, delay_ms_total=2.5)
    assert difference(after, before) == LinkCounters(messages=7, delay_ms_total=2.5)
