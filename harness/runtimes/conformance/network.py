"""What a `Network` must do, and what faults on its links must do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from harness.ports import LinkRule, Network, Refused, Unreachable
from harness.runtimes.conformance.subject import Check, RuntimeUnderTest

TIMEOUT_S = 5.0
SHORT_S = 0.3


async def _echo(sender: str, kind: str, payload: Any) -> Any:
    return {"sender": sender, "kind": kind, "payload": payload}


async def _is_unreachable(asking: Awaitable[Any]) -> bool:
    try:
        await asking
    except Unreachable:
        return True
    return False


def _collector(count: int) -> tuple[Callable[[str, str, Any], Awaitable[Any]], list[Any], asyncio.Event]:
    seen: list[Any] = []
    complete = asyncio.Event()

    async def collect(sender: str, kind: str, payload: Any) -> None:
        seen.append(payload)
        if len(seen) >= count:
            complete.set()

    return collect, seen, complete


async def _wait_until_lost(subject: RuntimeUnderTest) -> None:
    """Long enough that a message that was not lost would have arrived."""
    await subject.clock().sleep(SHORT_S)


async def a_request_is_answered_with_what_the_handler_returns(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        peers.networks["b"].serve(_echo)
        payload = {"n": 2**53, "text": "żółć", "list": [None, True, 0.5]}
        answer = await peers.networks["a"].request("b", "greet", payload, timeout=TIMEOUT_S)
        assert answer == {"sender": "a", "kind": "greet", "payload": payload}
        assert peers.networks["a"].name == "a"


async def a_sent_message_arrives_and_its_answer_is_dropped(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        collect, seen, complete = _collector(1)
        peers.networks["b"].serve(collect)
        peers.networks["a"].send("b", "note", {"x": 1})
        async with asyncio.timeout(TIMEOUT_S):
            await complete.wait()
        assert seen == [{"x": 1}]


async def sent_messages_arrive_in_order(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        collect, seen, complete = _collector(50)
        peers.networks["b"].serve(collect)
        for number in range(50):
            peers.networks["a"].send("b", "n", number)
        async with asyncio.timeout(TIMEOUT_S):
            await complete.wait()
        assert seen == list(range(50))


async def jitter_alone_does_not_reorder(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        await peers.links.set_link("a", "b", {"f": LinkRule(delay_ms=30, jitter_ms=30)})
        collect, seen, complete = _collector(20)
        peers.networks["b"].serve(collect)
        for number in range(20):
            peers.networks["a"].send("b", "n", number)
            await subject.clock().sleep(0.002)
        async with asyncio.timeout(TIMEOUT_S):
            await complete.wait()
        assert seen == list(range(20))


async def a_payload_is_a_copy(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        collect, seen, complete = _collector(1)
        peers.networks["b"].serve(collect)
        payload = {"list": [1]}
        peers.networks["a"].send("b", "n", payload)
        payload["list"].append(2)
        async with asyncio.timeout(TIMEOUT_S):
            await complete.wait()
        assert seen == [{"list": [1]}]


async def a_payload_that_is_not_json_is_the_callers_error(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        for attempt in (b"bytes", {1, 2}, object()):
            try:
                peers.networks["a"].send("b", "n", attempt)
            except TypeError:
                continue
            raise AssertionError(f"{attempt!r} was sent")


async def a_refusal_reaches_the_caller_with_its_reason(subject: RuntimeUnderTest) -> None:
    async def refuse(sender: str, kind: str, payload: Any) -> Any:
        raise Refused("too late by 3 blocks")

    async with subject.peers(["a", "b"]) as peers:
        peers.networks["b"].serve(refuse)
        reason = None
        try:
            await peers.networks["a"].request("b", "ask", None, timeout=TIMEOUT_S)
        except Refused as refusal:
            reason = refusal.args[0]
        assert reason == "too late by 3 blocks"


async def a_slow_answer_is_unreachable_at_the_deadline(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()

    async def dawdle(sender: str, kind: str, payload: Any) -> Any:
        await clock.sleep(3.0)

    async with subject.peers(["a", "b"]) as peers:
        peers.networks["b"].serve(dawdle)
        began = clock.monotonic()
        assert await _is_unreachable(peers.networks["a"].request("b", "ask", None, timeout=0.1))
        assert 0.1 <= (clock.monotonic() - began) / 1e9 < 1.0


async def an_unknown_peer_is_unreachable(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        assert await _is_unreachable(peers.networks["a"].request("nobody", "ask", None, timeout=TIMEOUT_S))


async def messages_before_serve_are_lost(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        peers.networks["a"].send("b", "n", 1)
        assert await _is_unreachable(peers.networks["a"].request("b", "ask", None, timeout=SHORT_S))
        collect, seen, complete = _collector(1)
        peers.networks["b"].serve(collect)
        peers.networks["a"].send("b", "n", 2)
        async with asyncio.timeout(TIMEOUT_S):
            await complete.wait()
        assert seen == [2]


async def requests_are_answered_side_by_side(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()

    async def take_a_while(sender: str, kind: str, payload: Any) -> Any:
        await clock.sleep(0.1)
        return payload

    async with subject.peers(["a", "b"]) as peers:
        peers.networks["b"].serve(take_a_while)
        began = clock.monotonic()
        asked = [peers.networks["a"].request("b", "n", n, timeout=TIMEOUT_S) for n in range(10)]
        assert await asyncio.gather(*asked) == list(range(10))
        assert (clock.monotonic() - began) / 1e9 < 0.8


async def a_megabyte_passes(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        peers.networks["b"].serve(_echo)
        text = "x" * 1_000_000
        answer = await peers.networks["a"].request("b", "big", text, timeout=TIMEOUT_S)
        assert answer["payload"] == text


async def two_peers_may_ask_each_other_at_once(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        def chained(network: Network, peer: str) -> Callable[[str, str, Any], Awaitable[Any]]:
            async def handle(sender: str, kind: str, payload: Any) -> Any:
                if payload == 0:
                    return [network.name]
                return [network.name, *await network.request(peer, kind, payload - 1, timeout=TIMEOUT_S)]

            return handle

        for name, peer in (("a", "b"), ("b", "a")):
            peers.networks[name].serve(chained(peers.networks[name], peer))
        answer = await peers.networks["a"].request("b", "chain", 3, timeout=TIMEOUT_S)
        assert answer == ["b", "a", "b", "a"]


async def a_cut_stops_what_passed_before_and_its_healing_lets_it_pass(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        peers.networks["b"].serve(_echo)
        ask = peers.networks["a"].request
        await ask("b", "n", 1, timeout=TIMEOUT_S)
        await peers.links.set_link("a", "b", {"f": LinkRule(cut=True)})
        assert await _is_unreachable(ask("b", "n", 2, timeout=SHORT_S))
        counters = await peers.links.link_counters("a", "b")
        assert counters.lost + counters.refused > 0
        await peers.links.set_link("a", "b", {})
        assert (await ask("b", "n", 3, timeout=TIMEOUT_S))["payload"] == 3


async def a_cut_of_the_way_back_hides_an_answer_that_was_made(subject: RuntimeUnderTest) -> None:
    """The request is carried out and the caller cannot know: the indeterminate write."""
    async with subject.peers(["a", "b"]) as peers:
        collect, seen, _ = _collector(1)
        peers.networks["b"].serve(collect)
        await peers.networks["a"].request("b", "n", "before", timeout=TIMEOUT_S)
        await peers.links.set_link("b", "a", {"f": LinkRule(cut=True)})
        assert await _is_unreachable(peers.networks["a"].request("b", "n", "during", timeout=SHORT_S))
        assert seen == ["before", "during"]


async def a_one_way_cut_leaves_the_other_way_open(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        collect, seen, complete = _collector(2)
        peers.networks["a"].serve(collect)
        peers.networks["b"].send("a", "n", 1)
        await _wait_until_lost(subject)
        await peers.links.set_link("a", "b", {"f": LinkRule(cut=True)})
        peers.networks["b"].send("a", "n", 2)
        async with asyncio.timeout(TIMEOUT_S):
            await complete.wait()
        assert seen == [1, 2]


async def a_delay_is_felt_by_an_existing_connection(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()
    async with subject.peers(["a", "b"]) as peers:
        peers.networks["b"].serve(_echo)
        await peers.networks["a"].request("b", "n", 1, timeout=TIMEOUT_S)
        await peers.links.set_link("a", "b", {"f": LinkRule(delay_ms=60), "g": LinkRule(delay_ms=60)})
        began = clock.monotonic()
        await peers.networks["a"].request("b", "n", 2, timeout=TIMEOUT_S)
        assert (clock.monotonic() - began) / 1e6 >= 119
        counters = await peers.links.link_counters("a", "b")
        assert counters.delayed >= 1
        assert counters.delay_ms_total >= 119


async def certain_loss_loses_everything(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        collect, seen, _ = _collector(1)
        peers.networks["b"].serve(collect)
        await peers.links.set_link("a", "b", {"f": LinkRule(loss=1.0)})
        peers.networks["a"].send("b", "n", 1)
        await _wait_until_lost(subject)
        assert seen == []
        assert (await peers.links.link_counters("a", "b")).lost >= 1


async def a_duplicated_message_arrives_twice(subject: RuntimeUnderTest) -> None:
    async with subject.peers(["a", "b"]) as peers:
        collect, seen, complete = _collector(2)
        peers.networks["b"].serve(collect)
        await peers.links.set_link("a", "b", {"f": LinkRule(duplicate=1.0)})
        peers.networks["a"].send("b", "n", 1)
        async with asyncio.timeout(TIMEOUT_S):
            await complete.wait()
        assert seen == [1, 1]
        assert (await peers.links.link_counters("a", "b")).duplicated >= 1


async def a_rate_makes_large_messages_slow(subject: RuntimeUnderTest) -> None:
    clock = subject.clock()
    async with subject.peers(["a", "b"]) as peers:
        peers.networks["b"].serve(_echo)
        await peers.networks["a"].request("b", "n", 1, timeout=TIMEOUT_S)
        await peers.links.set_link("a", "b", {"f": LinkRule(rate_bps=800_000)})
        began = clock.monotonic()
        await peers.networks["a"].request("b", "n", "x" * 20_000, timeout=TIMEOUT_S)
        assert (clock.monotonic() - began) / 1e6 >= 180


CHECKS: tuple[Check, ...] = (
    a_request_is_answered_with_what_the_handler_returns,
    a_sent_message_arrives_and_its_answer_is_dropped,
    sent_messages_arrive_in_order,
    jitter_alone_does_not_reorder,
    a_payload_is_a_copy,
    a_payload_that_is_not_json_is_the_callers_error,
    a_refusal_reaches_the_caller_with_its_reason,
    a_slow_answer_is_unreachable_at_the_deadline,
    an_unknown_peer_is_unreachable,
    messages_before_serve_are_lost,
    requests_are_answered_side_by_side,
    a_megabyte_passes,
    two_peers_may_ask_each_other_at_once,
    a_cut_stops_what_passed_before_and_its_healing_lets_it_pass,
    a_cut_of_the_way_back_hides_an_answer_that_was_made,
    a_one_way_cut_leaves_the_other_way_open,
    a_delay_is_felt_by_an_existing_connection,
    certain_loss_loses_everything,
    a_duplicated_message_arrives_twice,
    a_rate_makes_large_messages_slow,
)
