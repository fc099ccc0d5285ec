"""A link does to messages what its rules say: in what share, by how much, and in which order."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.faults.link import BACKLOG_NS_MAX, DISTRIBUTIONS, Fate, LinkPolicy, check_rule, jitter_factor
from harness.ports import LinkRule
from harness.runtimes.random import KeyedRandom

MS = 1_000_000


def policy(*rules: LinkRule, seed: int = 1, base_ms: float = 0.0, base_jitter_ms: float = 0.0) -> LinkPolicy:
    link = LinkPolicy("a", "b", KeyedRandom(seed), base_delay_ms=base_ms, base_jitter_ms=base_jitter_ms)
    link.set_rules({f"f{number}": rule for number, rule in enumerate(rules)})
    return link


def fates(link: LinkPolicy, count: int, *, every_ms: int = 1000, size: int = 100) -> list[Fate]:
    """The fates of `count` messages far enough apart not to queue behind each other."""
    return [link.offer(size, number * every_ms * MS) for number in range(count)]


def test_a_link_without_rules_adds_its_base_latency_and_no_more() -> None:
    link = policy(base_ms=12.5)
    assert [fate.deliveries for fate in fates(link, 3)] == [(12_500_000,)] * 3
    assert link.counters().messages == 3
    assert link.counters().delayed == 0


def test_base_jitter_is_not_taken_for_a_fault() -> None:
    """Messages that queue behind a slow one of the same link were held up by the world."""
    link = policy(base_ms=50, base_jitter_ms=40)
    found = fates(link, 500, every_ms=1)
    assert all(fate.added_delay_ns == 0 for fate in found)
    assert len({fate.deliveries for fate in found}) > 50
    assert link.counters().delayed == 0


def test_delays_of_several_rules_add_and_are_counted() -> None:
    link = policy(LinkRule(delay_ms=10), LinkRule(delay_ms=25), base_ms=5)
    assert fates(link, 2)[1].deliveries == (40 * MS,)
    assert link.counters().delayed == 2
    assert link.counters().delay_ms_total == pytest.approx(70)


@pytest.mark.parametrize(
    ("distribution", "mean", "deviation"),
    [("uniform", 0.0, 0.577), ("normal", 0.0, 1.0), ("pareto", 0.0, 1.1), ("exponential", 1.0, 1.0)],
)
def test_jitter_has_the_mean_and_spread_of_its_distribution(distribution: str, mean: float, deviation: float) -> None:
    link = policy(LinkRule(delay_ms=100, jitter_ms=10, distribution=distribution))
    added = [(fate.deliveries[0] / MS - 100) / 10 for fate in fates(link, 4000)]
    assert statistics.mean(added) == pytest.approx(mean, abs=0.06)
    assert statistics.pstdev(added) == pytest.approx(deviation, rel=0.15)


@given(unit=st.floats(min_value=0.0, max_value=1.0, exclude_max=True), distribution=st.sampled_from(DISTRIBUTIONS))
def test_jitter_is_finite_for_every_draw(unit: float, distribution: str) -> None:
    assert -4.0 <= jitter_factor(distribution, unit) <= 40.0


@pytest.mark.parametrize(
    ("rule", "counter"),
    [
        (LinkRule(loss=0.3), "lost"),
        (LinkRule(duplicate=0.3), "duplicated"),
        (LinkRule(corrupt=0.3), "corrupted"),
    ],
)
def test_a_chance_comes_up_as_often_as_it_says(rule: LinkRule, counter: str) -> None:
    link = policy(rule)
    fates(link, 4000)
    assert getattr(link.counters(), counter) / 4000 == pytest.approx(0.3, abs=0.025)


def test_probabilities_of_several_rules_combine() -> None:
    link = policy(LinkRule(loss=0.3), LinkRule(loss=0.5))
    fates(link, 4000)
    assert link.counters().lost / 4000 == pytest.approx(1 - 0.7 * 0.5, abs=0.025)


def test_correlation_makes_bursts_and_keeps_the_rate() -> None:
    """netem's own blending would lose almost nothing here."""
    link = policy(LinkRule(loss=0.2, correlation=0.8))
    lost = [fate.lost for fate in fates(link, 20_000)]
    assert sum(lost) / len(lost) == pytest.approx(0.2, abs=0.03)
    after_a_loss = [second for first, second in itertools.pairwise(lost) if first]
    assert sum(after_a_loss) / len(after_a_loss) == pytest.approx(0.8 + 0.2 * 0.2, abs=0.03)


def test_a_corrupted_message_does_not_arrive_and_counts_as_lost_too() -> None:
    link = policy(LinkRule(corrupt=1.0))
    fate = link.offer(100, 0)
    assert fate == Fate((), lost=True, corrupted=True)
    assert (link.counters().lost, link.counters().corrupted) == (1, 1)


@given(seed=st.integers(0, 1000), gap_us=st.integers(0, 5000), jitter=st.floats(0, 200))
def test_a_link_is_first_in_first_out_whatever_its_jitter(seed: int, gap_us: int, jitter: float) -> None:
    """Roles speak over TCP: nothing overtakes, copies included, unless a rule reorders."""
    rule = LinkRule(delay_ms=20, jitter_ms=jitter, distribution="pareto", duplicate=0.3, loss=0.1)
    link = policy(rule, seed=seed, base_ms=3, base_jitter_ms=2)
    arrivals = [
        number * gap_us * 1000 + delay
        for number in range(60)
        for delay in link.offer(100, number * gap_us * 1000).deliveries
    ]
    assert arrivals == sorted(arrivals)


def test_a_reordered_message_overtakes_those_that_are_delayed() -> None:
    link = policy(LinkRule(delay_ms=50, reorder=0.25))
    found = [link.offer(100, number * MS) for number in range(1000)]
    overtook = [fate for fate in found if fate.reordered]
    assert 180 < len(overtook) < 320
    assert all(fate.deliveries == (0,) for fate in overtook)
    assert link.counters().reordered == len(overtook)


def test_a_reorder_rule_that_overtakes_nothing_counts_nothing() -> None:
    link = policy(LinkRule(delay_ms=50, reorder=1.0))
    fates(link, 20)
    assert link.counters().reordered == 0


def test_a_rate_serialises_and_its_full_queue_drops() -> None:
    link = policy(LinkRule(rate_bps=8000), LinkRule(rate_bps=80_000))
    first, second = link.offer(500, 0), link.offer(500, 0)
    assert (first.deliveries, second.deliveries) == ((500 * MS,), (1000 * MS,))
    more = [link.offer(500, 0) for _ in range(20)]
    assert sum(fate.lost for fate in more) == 20 - (BACKLOG_NS_MAX // (500 * MS) - 2)
    assert all(delay <= BACKLOG_NS_MAX for fate in more for delay in fate.deliveries)


def test_a_cut_loses_what_is_offered_and_what_is_on_the_way() -> None:
    link = policy(LinkRule(delay_ms=10))
    assert link.offer(100, 0).deliveries
    link.set_rules({"p": LinkRule(cut=True), "f0": LinkRule(delay_ms=10)})
    assert link.offer(100, MS) == Fate((), cut=True, lost=True)
    assert not link.arrive()
    assert link.counters().lost == 2
    link.set_rules({})
    assert link.arrive()
    assert link.offer(100, 50 * MS).deliveries == (0,)


def test_draws_of_one_fault_do_not_depend_on_another() -> None:
    """What lets a schedule shrink: taking one fault away leaves the other's victims the same."""
    alone, together = policy(), policy()
    alone.set_rules({"f2": LinkRule(loss=0.3)})
    together.set_rules({"f1": LinkRule(delay_ms=5, jitter_ms=5, duplicate=0.5), "f2": LinkRule(loss=0.3)})
    assert [fate.lost for fate in fates(alone, 500)] == [fate.lost for fate in fates(together, 500)]


def test_probes_do_not_change_what_happens_to_messages() -> None:
    """Measuring a link must not change the run."""
    rule = LinkRule(delay_ms=30, jitter_ms=20, loss=0.2, correlation=0.5, rate_bps=1_000_000)
    quiet, probed = policy(rule, base_ms=5, base_jitter_ms=3), policy(rule, base_ms=5, base_jitter_ms=3)
    for number in range(300):
        probed.offer(100, number * MS, probe=True)
        assert quiet.offer(100, number * MS) == probed.offer(100, number * MS)


def test_one_seed_gives_one_link_and_another_seed_another() -> None:
    rule = LinkRule(delay_ms=30, jitter_ms=20, loss=0.2)
    assert fates(policy(rule, seed=3), 100) == fates(policy(rule, seed=3), 100)
    assert fates(policy(rule, seed=3), 100) != fates(policy(rule, seed=4), 100)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (LinkRule(loss=1.5), "loss is 1.5, but a probability lies between 0 and 1"),
        (LinkRule(delay_ms=-1.0), "delay_ms is -1.0"),
        (LinkRule(jitter_ms=float("nan")), "jitter_ms is nan"),
        (LinkRule(distribution="gamma"), "unknown jitter distribution 'gamma'; use one of uniform"),
        (LinkRule(rate_bps=0), "to stop a link, cut it"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: LinkRule, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_rule(rule, where="fault f1")
    with pytest.raises(ValueError, match=r"fault f0 on link a→b"):
        policy(rule)
