"""What a `Clock` must do."""

from __future__ import annotations

import asyncio

from harness.runtimes.conformance.subject import Check, RuntimeUnderTest

SLACK_NS = 300_000_000
"""How late a real machine may be. The simulator needs none of it."""


async def a_sleep_lasts_at_least_as_long_as_asked(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()
    began = clock.monotonic()
    await clock.sleep(0.05)
    slept = clock.monotonic() - began
    assert 50_000_000 <= slept < 50_000_000 + SLACK_NS, f"a sleep of 50 ms took {slept} ns"


async def wall_time_and_monotonic_time_pass_alike(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()
    wall, monotonic = clock.now(), clock.monotonic()
    await clock.sleep(0.1)
    apart = abs((clock.now() - wall) - (clock.monotonic() - monotonic))
    assert apart < 50_000_000, f"in 100 ms the two clocks went {apart} ns apart"


async def monotonic_time_never_runs_backward(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()
    readings = []
    for _ in range(50):
        readings.append(clock.monotonic())
        await clock.sleep(0)
    assert readings == sorted(readings)
    assert readings[0] >= 0


async def a_sleep_of_nothing_lets_others_run(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()
    seen: list[str] = []

    async def other() -> None:
        seen.append("other")

    task = asyncio.ensure_future(other())
    for seconds in (0, -1.0):
        await clock.sleep(seconds)
    seen.append("me")
    await task
    assert seen == ["other", "me"]


async def sleepers_wake_in_the_order_of_their_deadlines(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()
    woken: list[int] = []

    async def sleep(number: int) -> None:
        await clock.sleep(0.05 * number)
        woken.append(number)

    await asyncio.gather(*[sleep(number) for number in (3, 1, 4, 2)])
    assert woken == [1, 2, 3, 4]


async def a_sleep_can_be_given_up(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()
    began = clock.monotonic()
    try:
        async with asyncio.timeout(0.05):
            await clock.sleep(30)
    except TimeoutError:
        assert clock.monotonic() - began < 50_000_000 + SLACK_NS
    else:
        raise AssertionError("a sleep of 30 s ended within 50 ms")


CHECKS: tuple[Check, ...] = (
    a_sleep_lasts_at_least_as_long_as_asked,
    wall_time_and_monotonic_time_pass_alike,
    monotonic_time_never_runs_backward,
    a_sleep_of_nothing_lets_others_run,
    sleepers_wake_in_the_order_of_their_deadlines,
    a_sleep_can_be_given_up,
)
