"""What the proxy does to connections that are open when a fault begins and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import uvloop

from harness.ports import LinkRule
from harness.proxy.connection import Connection
from harness.proxy.endpoint import WRITE_BUFFER_BYTES
from harness.proxy.server import ProxyServer, UnknownLink

DEADLINE_S = 10.0
CUT = {"f": LinkRule(cut=True)}


@dataclass
class Target:
    """An HTTP server that answers every request with its body and remembers what came."""

    bodies: list[bytes] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    heads: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.reached.set()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.put_nowait(head)
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.bodies.append(body)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)


@dataclass
class Setup:
    proxy: ProxyServer
    target: Target
    port: int


@contextlib.asynccontextmanager
async def _proxied() -> AsyncIterator[Setup]:
    target, proxy = Target(), ProxyServer(seed=1)
    listener = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    await proxy.open([("a", "b")])
    proxy.set_target("b", listener.sockets[0].getsockname()[:2])
    try:
        yield Setup(proxy, target, proxy.ports()["a"]["b"])
    finally:
        await proxy.close()
        listener.close()
        for writer in target.writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def post(self, body: bytes, *, path: bytes = b"/request") -> None:
        self.writer.write(b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (path, len(body)) + body)

    async def answer(self, *, within_s: float = DEADLINE_S) -> bytes | None:
        """The next reply's body; None if none comes in time; ConnectionError if the connection ends."""
        try:
            async with asyncio.timeout(within_s):
                head = await self.reader.readuntil(b"\r\n\r\n")
                return await self.reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        except TimeoutError:
            return None
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("closed by the proxy") from error

    async def ask(self, body: bytes, *, within_s: float = DEADLINE_S) -> bytes | None:
        self.post(body)
        return await self.answer(within_s=within_s)


@contextlib.asynccontextmanager
async def _client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _run(check: Callable[[Setup], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE_S), _proxied() as setup:
            await check(setup)

    uvloop.run(main())


def test_a_cut_stalls_an_open_connection_without_a_reset_and_it_works_again_after_the_heal() -> None:
    async def check(setup: Setup) -> None:
        async with _client(setup.port) as client:
            assert await client.ask(b"1") == b"1"
            setup.proxy.set_rules("a", "b", CUT)
            assert await client.ask(b"2", within_s=0.1) is None
            setup.proxy.set_rules("a", "b", {})
            assert await client.ask(b"3") == b"3"
            assert setup.target.bodies == [b"1", b"3"]
            assert setup.proxy.counters("a", "b").lost == 1

    _run(check)


def test_a_cut_refuses_new_connections_and_counts_them() -> None:
    async def check(setup: Setup) -> None:
        setup.proxy.set_rules("a", "b", CUT)
        async with _client(setup.port) as client:
            with pytest.raises(ConnectionError):
                await client.ask(b"1")
        assert setup.proxy.counters("a", "b").refused == 1
        setup.proxy.set_rules("a", "b", {})
        async with _client(setup.port) as client:
            assert await client.ask(b"2") == b"2"

    _run(check)


def test_a_cut_of_the_way_back_carries_the_request_and_hides_the_reply() -> None:
    async def check(setup: Setup) -> None:
        async with _client(setup.port) as client:
            setup.proxy.set_rules("b", "a", CUT)
            assert await client.ask(b"1", within_s=0.1) is None
            assert setup.target.bodies == [b"1"]
            assert setup.proxy.counters("a", "b").lost == 0
            assert setup.proxy.counters("b", "a").lost == 1

    _run(check)


def test_a_message_that_a_cut_tears_resets_its_connection_at_the_heal_and_not_before() -> None:
    async def check(setup: Setup) -> None:
        async with _client(setup.port) as client:
            assert await client.ask(b"1") == b"1"
            client.writer.write(b"POST /request HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
            await setup.target.heads.get()
            await setup.target.heads.get()
            setup.proxy.set_rules("a", "b", CUT)
            client.writer.write(b"thwart")
            assert await client.answer(within_s=0.1) is None
            setup.proxy.set_rules("a", "b", {})
            with pytest.raises(ConnectionError):
                await client.answer()
            assert setup.target.bodies == [b"1"]

    _run(check)


def test_the_death_of_the_target_is_hidden_by_a_cut_of_the_way_back_until_it_heals() -> None:
    async def check(setup: Setup) -> None:
        async with _client(setup.port) as client:
            assert await client.ask(b"1") == b"1"
            setup.proxy.set_rules("b", "a", CUT)
            setup.target.writers[0].transport.abort()
            assert await client.answer(within_s=0.1) is None
            setup.proxy.set_rules("b", "a", {})
            with pytest.raises(ConnectionError):
                await client.answer()

    _run(check)


def test_a_lost_reply_leaves_a_request_that_was_carried_out() -> None:
    async def check(setup: Setup) -> None:
        async with _client(setup.port) as client:
            setup.proxy.set_rules("b", "a", {"f": LinkRule(loss=1.0)})
            assert await client.ask(b"1", within_s=0.1) is None
            assert setup.target.bodies == [b"1"]

    _run(check)


def test_a_duplicated_request_is_carried_out_twice_and_answered_once() -> None:
    async def check(setup: Setup) -> None:
        async with _client(setup.port) as client:
            setup.proxy.set_rules("a", "b", {"f": LinkRule(duplicate=1.0)})
            assert await client.ask(b"1") == b"1"
            setup.proxy.set_rules("a", "b", {})
            assert await client.ask(b"2") == b"2"
            assert setup.target.bodies == [b"1", b"1", b"2"]

    _run(check)


def test_delays_of_both_directions_add_up_for_a_round_trip_on_an_open_connection() -> None:
    async def check(setup: Setup) -> None:
        loop = asyncio.get_running_loop()
        async with _client(setup.port) as client:
            assert await client.ask(b"1") == b"1"
            setup.proxy.set_rules("a", "b", {"f": LinkRule(delay_ms=40)})
            setup.proxy.set_rules("b", "a", {"f": LinkRule(delay_ms=30)})
            began = loop.time()
            assert await client.ask(b"2") == b"2"
            assert 0.069 <= loop.time() - began < 1.0
            assert setup.proxy.counters("b", "a").delay_ms_total == 30.0

    _run(check)


def test_receipts_of_one_way_messages_end_in_the_proxy_and_are_not_counted() -> None:
    async def check(setup: Setup) -> None:
        async with _client(setup.port) as client:
            for number in range(3):
                client.post(b"%d" % number, path=b"/send")
            assert await client.ask(b"question") == b"question"
            assert setup.target.bodies == [b"0", b"1", b"2", b"question"]
            assert setup.proxy.counters("a", "b").messages == 4
            assert setup.proxy.counters("b", "a").messages == 1

    _run(check)


@pytest.mark.parametrize("delay_ms", [0.0, 1.0])
def test_a_body_that_comes_faster_than_its_target_connects_arrives_whole(
    monkeypatch: pytest.MonkeyPatch, delay_ms: float
) -> None:
    """On loopback megabytes are there before the target's connection is; what has no room waits in the sender."""
    gate, connect, opened = asyncio.Event(), Connection._connect, list[Connection]()

    async def connect_late(connection: Connection) -> None:
        opened.append(connection)
        await gate.wait()
        await connect(connection)

    monkeypatch.setattr(Connection, "_connect", connect_late)

    async def check(setup: Setup) -> None:
        if delay_ms:
            setup.proxy.set_rules("a", "b", {"f": LinkRule(delay_ms=delay_ms)})
        async with _client(setup.port) as client:
            body = bytes(16 << 20)
            client.post(body)
            for _ in range(2_000):   # rounds of the loop, in which all of it would come
                await asyncio.sleep(0)
            if not delay_ms:         # a message under a rule is held whole
                assert WRITE_BUFFER_BYTES < opened[0].target._early_bytes < 2 * WRITE_BUFFER_BYTES
            gate.set()
            assert await client.answer() == body

    _run(check)


def test_a_role_that_does_not_listen_is_a_broken_connection_at_once() -> None:
    async def check(setup: Setup) -> None:
        setup.proxy.set_target("b", None)
        async with _client(setup.port) as client:
            with pytest.raises(ConnectionError):
                await client.ask(b"1")
        assert setup.proxy.counters("a", "b").refused == 0

    _run(check)


def test_rules_for_a_link_that_is_not_there_are_refused_by_name() -> None:
    async def check(setup: Setup) -> None:
        with pytest.raises(UnknownLink, match="a → nobody"):
            setup.proxy.set_rules("a", "nobody", {})

    _run(check)


def test_a_target_never_hears_of_callers_at_the_front_door_who_leave_without_a_word() -> None:
    """A flood of them would fill the queue in which everybody else waits for the node."""

    async def check(setup: Setup) -> None:
        port = await setup.proxy.open_front("b", 0)
        setup.proxy.set_front("b", setup.proxy.link("a", "b").target)
        for _ in range(50):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.transport.abort()
        async with _client(port) as client:
            assert await client.ask(b"hello") == b"hello"
        assert len(setup.target.writers) == 1

    _run(check)


def test_who_is_silent_at_the_front_door_is_shown_to_the_target_all_the_same() -> None:
    """It is the target that knows how long it wants to wait for a request."""

    async def check(setup: Setup) -> None:
        port = await setup.proxy.open_front("b", 0)
        setup.proxy.set_front("b", setup.proxy.link("a", "b").target)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await setup.target.reached.wait()
        setup.target.writers[0].close()
        assert await reader.read() == b""
        writer.close()

    _run(check)
