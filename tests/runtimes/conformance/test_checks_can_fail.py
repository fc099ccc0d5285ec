"""The conformance checks reject runtimes that break a promise: a check nobody has seen fail is not yet a check."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from harness.ports import Clock, FaultControl, Random, Store
from harness.runtimes.conformance import clock, fault_control, network, randomness, store
from harness.runtimes.conformance.subject import Check, Peers
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.clock import SimClock
from harness.runtimes.sim.loop import virtual_loop
from harness.runtimes.sim.network import SimNetwork
from harness.runtimes.sim.subject import GENESIS, SimUnderTest


async def do_nothing(*args: Any, **kwargs: Any) -> None:
    return


class Inert(SimUnderTest):
    """A simulator some of whose control calls do nothing."""

    def __init__(self, *calls: str) -> None:
        super().__init__()
        self._calls = calls

    @contextlib.asynccontextmanager
    async def world(self, names: Sequence[str]) -> AsyncIterator[FaultControl]:
        async with super().world(names) as control:
            for call in self._calls:
                setattr(control, call, do_nothing)
            yield control

    @contextlib.asynccontextmanager
    async def peers(self, names: Sequence[str]) -> AsyncIterator[Peers]:
        async with super().peers(names) as peers:
            for call in self._calls:
                setattr(peers.links, call, do_nothing)
            yield peers


class Immortal(SimUnderTest):
    """A store that a crash does not touch."""

    def crash_and_reopen(self, store: Store) -> Store:
        return store


class Forgetful(SimUnderTest):
    """A store whose flush does nothing."""

    def store(self) -> Store:
        made = super().store()
        made.flush = lambda: None  # type: ignore[method-assign]
        return made


class Hasty(SimUnderTest):
    """A clock that sleeps half as long as asked."""

    def clock(self) -> Clock:
        class HastyClock(SimClock):
            async def sleep(self, seconds: float) -> None:
                await super().sleep(seconds / 2)

        return HastyClock(virtual_loop(), genesis_ns=GENESIS * 10**9)


class Sequential(SimUnderTest):
    """A generator whose draws depend on those before."""

    def random(self, seed: int) -> Random:
        class Counting(KeyedRandom):
            drawn = 0

            def bits(self, stream: str, *keys: int | str, width: int = 64) -> int:
                self.drawn += 1
                return super().bits(stream, *keys, self.drawn, width=width)

        return Counting(seed)


class Eager(SimUnderTest):
    """Networks whose requests have no deadline of their own but a second more."""

    @contextlib.asynccontextmanager
    async def peers(self, names: Sequence[str]) -> AsyncIterator[Peers]:
        async with super().peers(names) as peers:
            for place in peers.networks.values():
                assert isinstance(place, SimNetwork)
                original = place.request

                async def request(to: str, kind: str, payload: Any, *, timeout: float, ask: Any = original) -> Any:
                    return await ask(to, kind, payload, timeout=timeout + 1)

                place.request = request  # type: ignore[method-assign]
            yield peers


BROKEN: list[tuple[SimUnderTest, Check]] = [
    (Immortal(), store.a_crash_loses_what_was_not_flushed),
    (Forgetful(), store.a_crash_keeps_what_was_flushed),
    (Hasty(), clock.a_sleep_lasts_at_least_as_long_as_asked),
    (Sequential(), randomness.a_draw_depends_on_its_names_only),
    (Sequential(), randomness.the_draws_are_those_of_every_runtime_and_version),
    (Eager(), network.a_slow_answer_is_unreachable_at_the_deadline),
    (Inert("kill"), fault_control.a_killed_role_is_dead_until_it_is_started),
    (Inert("start"), fault_control.a_killed_role_is_dead_until_it_is_started),
    (Inert("pause"), fault_control.a_paused_role_is_alive_and_silent_until_it_is_resumed),
    (Inert("resume"), fault_control.a_paused_role_is_alive_and_silent_until_it_is_resumed),
    (Inert("skew"), fault_control.a_skewed_clock_is_wrong_by_the_offset_until_healed),
    (Inert("skew"), fault_control.a_drifting_clock_goes_wrong_with_time),
    (Inert("set_rpc"), fault_control.a_node_lies_to_whom_its_rule_names_and_is_honest_again),
    (Inert("set_rpc"), fault_control.a_dropped_answer_is_silence_and_a_lie_outlives_its_liar),
    (Inert("order"), fault_control.an_order_reaches_its_role_and_nobody_who_is_dead),
    (Inert("set_link"), fault_control.a_cut_link_answers_no_probe_until_healed),
    (Inert("set_link"), fault_control.a_delayed_link_shows_in_probe_and_counters),
    (Inert("set_link"), network.a_cut_stops_what_passed_before_and_its_healing_lets_it_pass),
    (Inert("set_link"), network.a_cut_of_the_way_back_hides_an_answer_that_was_made),
    (Inert("set_link"), network.a_delay_is_felt_by_an_existing_connection),
    (Inert("set_link"), network.certain_loss_loses_everything),
    (Inert("set_link"), network.a_duplicated_message_arrives_twice),
    (Inert("set_link"), network.a_rate_makes_large_messages_slow),
]


@pytest.mark.parametrize(
    ("subject", "check"), BROKEN, ids=[f"{type(broken).__name__}-{check.__name__}" for broken, check in BROKEN]
)
def test_a_broken_runtime_is_rejected(subject: SimUnderTest, check: Check) -> None:
    with pytest.raises((AssertionError, TimeoutError)):
        subject.execute(lambda: check(subject))
