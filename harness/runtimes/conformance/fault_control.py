"""What a runtime must let the supervisor do to its roles and links."""

from __future__ import annotations

from harness.faults.rules import RpcCounters, RpcRule
from harness.ports import OPERATOR, FaultControl, LinkRule, Unreachable
from harness.runtimes.conformance.subject import Check, RuntimeUnderTest

PROBE_S = 0.3
RECOVERY_S_MAX = 10.0


async def _answers(subject: RuntimeUnderTest, control: FaultControl, src: str, dst: str) -> bool:
    """Whether dst answers src before the deadline; a role that has just started may need a moment."""
    clock = subject.clock()
    deadline = clock.monotonic() + round(RECOVERY_S_MAX * 1e9)
    while clock.monotonic() < deadline:
        if await control.probe(src, dst, timeout=1.0) is not None:
            return True
        await clock.sleep(0.05)
    return False


async def booted_roles_are_alive_and_answer_probes(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b", "c"]) as control:
        assert sorted(control.roles()) == ["a", "b", "c"]
        for role in control.roles():
            assert await control.is_alive(role)
        assert await _answers(subject, control, "a", "b")
        round_trip = await control.probe("b", "c", timeout=2.0)
        assert round_trip is not None
        assert 0.0 <= round_trip < 1000.0


async def a_killed_role_is_dead_until_it_is_started(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b"]) as control:
        assert await _answers(subject, control, "a", "b")
        for _ in range(2):
            await control.kill("b")
        assert not await control.is_alive("b")
        assert await control.probe("a", "b", timeout=PROBE_S) is None
        for _ in range(2):
            await control.start("b")
        assert await control.is_alive("b")
        assert await _answers(subject, control, "a", "b")


async def a_paused_role_is_alive_and_silent_until_it_is_resumed(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b"]) as control:
        assert await _answers(subject, control, "a", "b")
        for _ in range(2):
            await control.pause("b")
        assert await control.is_alive("b")
        assert await control.probe("a", "b", timeout=PROBE_S) is None
        for _ in range(2):
            await control.resume("b")
        assert await _answers(subject, control, "a", "b")


async def a_paused_role_can_be_killed_and_started(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b"]) as control:
        assert await _answers(subject, control, "a", "b")
        await control.pause("b")
        await control.kill("b")
        assert not await control.is_alive("b")
        await control.resume("b")
        await control.start("b")
        assert await _answers(subject, control, "a", "b")


async def a_skewed_clock_is_wrong_by_the_offset_until_healed(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b"]) as control:
        assert await _answers(subject, control, "a", "b")
        await control.skew("b", offset_ms=-5000)
        assert abs(await control.clock_offset("b") + 5000) < 200
        assert abs(await control.clock_offset("a")) < 200
        await control.skew("b", offset_ms=0)
        assert abs(await control.clock_offset("b")) < 200


async def a_drifting_clock_goes_wrong_with_time(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b"]) as control:
        assert await _answers(subject, control, "a", "b")
        await control.skew("b", offset_ms=0, drift_ppm=500_000)
        await subject.clock().sleep(1.0)
        assert 450 <= await control.clock_offset("b") < 900
        await control.skew("b", offset_ms=0)


async def a_cut_link_answers_no_probe_until_healed(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b", "c"]) as control:
        assert await _answers(subject, control, "a", "b")
        await control.set_link("a", "b", {"f1": LinkRule(cut=True)})
        assert await control.probe("a", "b", timeout=PROBE_S) is None
        assert await _answers(subject, control, "a", "c")
        counters = await control.link_counters("a", "b")
        assert counters.lost + counters.refused > 0
        await control.set_link("a", "b", {})
        assert await _answers(subject, control, "a", "b")


async def a_delayed_link_shows_in_probe_and_counters(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b"]) as control:
        assert await _answers(subject, control, "a", "b")
        before = await control.link_counters("a", "b")
        await control.set_link("a", "b", {"f1": LinkRule(delay_ms=100)})
        round_trip = await control.probe("a", "b", timeout=2.0)
        assert round_trip is not None
        assert round_trip >= 99
        after = await control.link_counters("a", "b")
        assert after.delayed > before.delayed
        assert after.messages > before.messages
        await control.set_link("a", "b", {})


async def a_node_lies_to_whom_its_rule_names_and_is_honest_again(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b"]) as control:
        assert await _answers(subject, control, "a", "b")
        rule = RpcRule(senders=("a",), methods=("call",), action="error")
        for told, expected in ((rule, "refused"), (None, "answered")):
            await control.set_rpc("b", {} if told is None else {"f1": told})
            # The echo role passes a question on: a asks b, and says what it heard.
            heard = await control.order("a", "ask", {"to": "b", "kind": "call"}, timeout=5.0)
            assert heard == expected, (heard, expected)
        assert (await control.rpc_counters("b"))["f1"] == RpcCounters(met=1, lied=1)


async def a_dropped_answer_is_silence_and_a_lie_outlives_its_liar(subject: RuntimeUnderTest) -> None:
    """The caller meets its own deadline, not an error; and a node that is started again still lies."""
    async with subject.world(["a", "b"]) as control:
        await control.set_rpc("b", {"f1": RpcRule(senders=(), methods=("ca*",), action="drop-reply")})
        for _ in range(2):
            assert await _answers(subject, control, "a", "b")
            assert await control.order("a", "ask", {"to": "b", "kind": "call"}, timeout=5.0) == "unreachable"
            assert (await control.rpc_counters("b"))["f1"].lied == 1
            await control.kill("b")
            await control.start("b")


async def an_order_reaches_its_role_and_nobody_who_is_dead(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b"]) as control:
        answer = await control.order("a", "anything", {"depth": 3}, timeout=5.0)
        assert answer == {"from": OPERATOR, "kind": "anything", "payload": {"depth": 3}}
        await control.kill("a")
        try:
            await control.order("a", "anything", None, timeout=PROBE_S)
        except Unreachable:
            return
        raise AssertionError("a dead role carried out an order")


async def a_probe_from_a_dead_role_brings_nothing(subject: RuntimeUnderTest) -> None:
    async with subject.world(["a", "b"]) as control:
        await control.kill("a")
        assert await control.probe("a", "b", timeout=PROBE_S) is None


CHECKS: tuple[Check, ...] = (
    booted_roles_are_alive_and_answer_probes,
    a_killed_role_is_dead_until_it_is_started,
    a_paused_role_is_alive_and_silent_until_it_is_resumed,
    a_paused_role_can_be_killed_and_started,
    a_skewed_clock_is_wrong_by_the_offset_until_healed,
    a_drifting_clock_goes_wrong_with_time,
    a_cut_link_answers_no_probe_until_healed,
    a_delayed_link_shows_in_probe_and_counters,
    a_probe_from_a_dead_role_brings_nothing,
    a_node_lies_to_whom_its_rule_names_and_is_honest_again,
    a_dropped_answer_is_silence_and_a_lie_outlives_its_liar,
    an_order_reaches_its_role_and_nobody_who_is_dead,
)
