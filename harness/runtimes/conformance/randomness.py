"""What a `Random` must do."""

from __future__ import annotations

from harness.runtimes.conformance.subject import Check, RuntimeUnderTest


async def a_draw_depends_on_its_names_only(subject: RuntimeUnderTest) -> None:
    one, two = subject.random(7), subject.random(7)
    for number in range(100):
        two.bits("noise", number)
    assert one.bits("link", "a", "b", 3) == two.bits("link", "a", "b", 3)
    assert one.unit("link", "a") == two.unit("link", "a")
    assert one.below(10**30, "x") == two.below(10**30, "x")


async def every_name_matters(subject: RuntimeUnderTest) -> None:
    random = subject.random(7)
    draws = [
        random.bits("s"), random.bits("t"), random.bits("s", 1), random.bits("s", "1"), random.bits("s", 1, 1),
        random.bits("s", 11), random.bits("s", "1", "1"), random.bits("s", "11"), random.bits("s1"),
        random.bits("s", ""), random.bits("s", -1), subject.random(8).bits("s"), random.bits("s", "1,1"),
    ]  # fmt: skip
    assert len(set(draws)) == len(draws)


async def draws_stay_in_their_range(subject: RuntimeUnderTest) -> None:
    random = subject.random(1)
    for number in range(200):
        assert 0 <= random.bits("w", number, width=5) < 32
        assert 0 <= random.bits("w", number, width=1000) < 1 << 1000
        assert 0 <= random.below(7, "b", number) < 7
        assert 0.0 <= random.unit("u", number) < 1.0
    assert random.below(1, "b") == 0
    assert max(random.bits("w", number, width=1000) for number in range(8)) >= 1 << 990


async def draws_are_spread_evenly(subject: RuntimeUnderTest) -> None:
    random = subject.random(2)
    counts = [0] * 10
    for number in range(5000):
        counts[random.below(10, "even", number)] += 1
    assert all(400 < count < 600 for count in counts), counts
    mean = sum(random.unit("even", number) for number in range(5000)) / 5000
    assert 0.48 < mean < 0.52


async def the_draws_are_those_of_every_runtime_and_version(subject: RuntimeUnderTest) -> None:
    """Golden values: a change here changes every seed's plan, and must be a decision."""
    random = subject.random(7)
    assert random.bits("golden", "a", 1) == GOLDEN_BITS
    assert random.below(10**9, "golden", "a", 1) == GOLDEN_BELOW


GOLDEN_BITS = 10592786763859387295
GOLDEN_BELOW = 679113718

CHECKS: tuple[Check, ...] = (
    a_draw_depends_on_its_names_only,
    every_name_matters,
    draws_stay_in_their_range,
    draws_are_spread_evenly,
    the_draws_are_those_of_every_runtime_and_version,
)
