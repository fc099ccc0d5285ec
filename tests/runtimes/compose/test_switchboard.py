"""The switchboard joins whom it should, only those, and again after a break."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from harness.runtimes.compose.switchboard import JOINED, Switchboard, hello

SECRET = "s"
DEADLINE_S = 20.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Call = Callable[[], Awaitable[Streams]]


@contextlib.asynccontextmanager
async def board() -> AsyncIterator[tuple[Switchboard, Call, Callable[..., Awaitable[Streams]]]]:
    """A switchboard with one role `a`; calls as the role, and as a driver with a first line."""
    made = Switchboard(SECRET)
    await made.open({"a": ("127.0.0.1", 0)}, ("127.0.0.1", 0))
    role_port, edge_port = (server.sockets[0].getsockname()[1] for server in made._servers)
    opened: list[asyncio.StreamWriter] = []

    async def as_role() -> Streams:
        streams = await asyncio.open_connection("127.0.0.1", role_port)
        opened.append(streams[1])
        return streams

    async def as_driver(first: bytes = hello(SECRET, "a")) -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge_port)
        opened.append(writer)
        writer.write(first)
        return reader, writer

    async with asyncio.timeout(DEADLINE_S):
        try:
            yield made, as_role, as_driver
        finally:
            for writer in opened:
                writer.transport.abort()
            await made.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side ends the connection, in one way or the other, without another word."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("role_first", [True, False])
def test_both_ends_talk_whoever_calls_first(role_first: bool) -> None:
    async def check() -> None:
        async with board() as (_, as_role, as_driver):
            if role_first:
                role, driver = await as_role(), await as_driver()
            else:
                driver, role = await as_driver(), await as_role()
            assert await role[0].readline() == JOINED
            role[1].write(b"up\n")
            assert await driver[0].readline() == b"up\n"
            driver[1].write(b"down\n" * 1000)
            assert await role[0].readexactly(5000) == b"down\n" * 1000
            role[1].transport.abort()
            assert await ended(driver[0])

    asyncio.run(check())


@pytest.mark.parametrize("first", [hello("wrong", "a"), b"garbage\n", b"{}\n", b"\xff" * 100_000, b""])
def test_whoever_has_not_the_secret_is_hung_up_on(first: bytes) -> None:
    """The port is open to every program of this machine."""

    async def check() -> None:
        async with board() as (_, as_role, as_driver):
            role = await as_role()
            stranger = await as_driver(first)
            stranger[1].write_eof()
            assert await ended(stranger[0])
            driver = await as_driver()
            assert await role[0].readline() == JOINED
            role[1].write(b"mine\n")
            assert await driver[0].readline() == b"mine\n"

    asyncio.run(check())


def test_a_role_that_calls_again_takes_its_place_back() -> None:
    """Its former connection may be dead without anybody having been told: its network was cut."""

    async def check() -> None:
        async with board() as (_, as_role, as_driver):
            stale, driver = await as_role(), await as_driver()
            assert await stale[0].readline() == JOINED
            again = await as_role()
            assert await ended(driver[0])
            fresh = await as_driver()
            assert await again[0].readline() == JOINED
            again[1].write(b"back\n")
            assert await fresh[0].readline() == b"back\n"

    asyncio.run(check())


def test_it_knows_when_nobody_drives() -> None:
    async def check() -> None:
        async with board() as (made, _, as_driver):
            assert made.abandoned.is_set()
            driver = await as_driver()
            await made.driven.wait()
            assert not made.abandoned.is_set()
            driver[1].transport.abort()
            await made.abandoned.wait()

    asyncio.run(check())
