"""Large bodies take the short way through the kernel, and a fault in their middle still finds them there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
import uvloop

from harness.ports import LinkRule
from harness.proxy import pipe
from harness.proxy.relay import IS_POSSIBLE, RELAY_BYTES_MIN, Relay
from harness.proxy.server import ProxyServer

pytestmark = pytest.mark.skipif(not IS_POSSIBLE, reason="this system has no splice, so bodies go through transports")

DEADLINE_S = 20.0
STALL_S = 0.1
BODY = hashlib.shake_128(b"body").digest(8 << 20)
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Ends:
    """A connection through the proxy, held at both of its ends."""

    proxy: ProxyServer
    client: Stream
    server: Stream
    relays: list[Relay]


@contextlib.asynccontextmanager
async def _connected(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    relays: list[Relay] = []

    class Seen(Relay):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)  # type: ignore[arg-type]  # passed through as they come
            relays.append(self)

    monkeypatch.setattr(pipe, "Relay", Seen)
    accepted: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
    listener = await asyncio.start_server(lambda *stream: accepted.set_result(stream), "127.0.0.1", 0)
    proxy = ProxyServer(seed=1)
    await proxy.open([("a", "b")])
    proxy.set_target("b", listener.sockets[0].getsockname()[:2])
    client = await asyncio.open_connection("127.0.0.1", proxy.ports()["a"]["b"])
    server = await accepted
    try:
        yield Ends(proxy, client, server, relays)
    finally:
        await proxy.close()
        listener.close()
        for _, writer in (client, server):
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def _run(monkeypatch: pytest.MonkeyPatch, check: Callable[[Ends], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE_S), _connected(monkeypatch) as ends:
            await check(ends)

    uvloop.run(main())


def _request(body: bytes, *, length: int | None = None) -> bytes:
    return b"POST /request HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (length or len(body)) + body


async def _receive(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))


def test_large_bodies_arrive_intact_both_ways_and_messages_after_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(ends: Ends) -> None:
        (from_server, to_server), (from_client, to_client) = ends.client, ends.server
        for body in (BODY, b"small", BODY[::-1], BODY[: RELAY_BYTES_MIN // 2]):
            to_server.write(_request(body))
            assert await _receive(from_client) == body
            to_client.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert await _receive(from_server) == body
        assert len(ends.relays) == 4
        assert ends.proxy.counters("a", "b").messages == 4

    _run(monkeypatch, check)


def test_a_message_behind_a_large_body_is_not_swallowed_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(ends: Ends) -> None:
        ends.client[1].write(_request(BODY) + _request(b"1") + _request(BODY) + _request(b"2"))
        assert [await _receive(ends.server[0]) for _ in range(4)] == [BODY, b"1", BODY, b"2"]
        assert ends.proxy.counters("a", "b").messages == 4

    _run(monkeypatch, check)


def test_a_receiver_that_does_not_read_holds_up_the_sender_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(ends: Ends) -> None:
        body = BODY * 8
        ends.server[1].transport.pause_reading()  # type: ignore[attr-defined]  # it reads too
        ends.client[1].write(_request(body))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(STALL_S):
                await ends.client[1].drain()
        ends.server[1].transport.resume_reading()  # type: ignore[attr-defined]
        assert await _receive(ends.server[0]) == body

    _run(monkeypatch, check)


def test_a_cut_stops_a_body_in_its_middle_at_once_and_the_heal_resets_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def check(ends: Ends) -> None:
        half = len(BODY) // 2
        ends.client[1].write(_request(BODY[:half], length=len(BODY)))
        await ends.server[0].readuntil(b"\r\n\r\n")
        assert await ends.server[0].readexactly(half) == BODY[:half]
        ends.proxy.set_rules("a", "b", {"f": LinkRule(cut=True)})
        ends.client[1].write(BODY[half:])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(STALL_S):
                await ends.server[0].read(1)
        ends.proxy.set_rules("a", "b", {})
        with contextlib.suppress(ConnectionError):
            assert await ends.server[0].read() == b""
        with contextlib.suppress(ConnectionError):
            assert await ends.client[0].read() == b""

    _run(monkeypatch, check)


def test_a_cut_of_the_way_back_leaves_the_body_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(ends: Ends) -> None:
        half = len(BODY) // 2
        ends.client[1].write(_request(BODY[:half], length=len(BODY)))
        await ends.server[0].readuntil(b"\r\n\r\n")
        ends.proxy.set_rules("b", "a", {"f": LinkRule(cut=True)})
        ends.client[1].write(BODY[half:])
        assert await ends.server[0].readexactly(len(BODY)) == BODY

    _run(monkeypatch, check)


@pytest.mark.parametrize("leaver", ["client", "server"])
def test_an_end_that_leaves_in_mid_body_takes_the_other_with_it(monkeypatch: pytest.MonkeyPatch, leaver: str) -> None:
    async def check(ends: Ends) -> None:
        gone, left = (ends.client, ends.server) if leaver == "client" else (ends.server, ends.client)
        ends.client[1].write(_request(BODY[: len(BODY) // 2], length=len(BODY)))
        await ends.server[0].readuntil(b"\r\n\r\n")
        gone[1].transport.abort()
        with contextlib.suppress(ConnectionError):
            await left[0].read()  # until the end, or the deadline
        assert ends.relays
        assert all(relay.is_stopped for relay in ends.relays)
        assert not ends.proxy.link("a", "b").connections

    _run(monkeypatch, check)
