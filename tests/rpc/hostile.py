"""Clients a public port has to survive: `python -m tests.rpc.hostile HOST PORT IDLE HOSTILE`, until it is ended.

Prints `ready` once all of them are there. A hostile client that is cut off comes back a moment later and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import resource
import sys
from collections.abc import Awaitable, Callable

import uvloop

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PAUSE_S = 0.01
"""Between two blows of one client: fifty of them share this machine's cores with those they attack."""

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LARGE = b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",true]}'


async def _upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(UPGRADE)
    await writer.drain()
    await reader.readuntil(b"\r\n\r\n")


def _post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _frame(opcode: int, payload: bytes = b"") -> bytes:
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(random.randbytes(4096))
        await writer.drain()
        await asyncio.sleep(PAUSE_S)


async def garbage_json(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(_post(b"[" * 100_000))
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(PAUSE_S)


async def huge_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(PAUSE_S)


async def large_batches(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    batch = b"[" + b",".join([LARGE] * 100) + b"]"
    while True:
        writer.write(_post(batch))
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
        await asyncio.sleep(PAUSE_S)


async def never_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(_post(LARGE) * 20)
        await writer.drain()
        await asyncio.sleep(PAUSE_S)


async def slow_loris(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in itertools.cycle(b"POST / HTTP/1.1\r\nX-Slow: yes"):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def ping_flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _upgraded(reader, writer)
    while True:
        writer.write(_frame(9) * 2000)
        await writer.drain()
        await asyncio.sleep(PAUSE_S)


async def no_requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _upgraded(reader, writer)
    while True:
        writer.write(_frame(1, b"not json") * 50)
        await writer.drain()
        await asyncio.sleep(PAUSE_S)


async def spinning_calls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Calls that burn all the gas they may: an endless loop as the code of the account called, by override."""
    for number in itertools.count(1):
        account = f"0x{(1 << 81) + number:040x}"
        body = (
            f'{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{{"to":"{account}"}},"latest",'
            f'{{"{account}":{{"code":"0x5b600056"}}}}]}}'
        )
        writer.write(_post(body.encode()))
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(PAUSE_S)


async def churn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


KINDS = (
    garbage, garbage_json, huge_body, large_batches, never_reading, slow_loris, ping_flood, no_requests,
    spinning_calls, churn,
)  # fmt: skip


async def for_ever(host: str, port: int, blow: Callable[[asyncio.StreamReader, asyncio.StreamWriter],
                                                        Awaitable[None]]) -> None:
    while True:
        # A RuntimeError is how uvloop says that the transport was cut off.
        with contextlib.suppress(OSError, RuntimeError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                await blow(reader, writer)
            finally:
                writer.transport.abort()
        await asyncio.sleep(PAUSE_S)


async def idle(host: str, port: int) -> Streams:
    reader, writer = await asyncio.open_connection(host, port)
    await _upgraded(reader, writer)
    return reader, writer


async def main(host: str, port: int, idle_count: int, hostile_count: int) -> None:
    quiet: list[Streams] = []
    while len(quiet) < idle_count:
        batch = min(50, idle_count - len(quiet))
        quiet += await asyncio.gather(*[idle(host, port) for _ in range(batch)])
    async with asyncio.TaskGroup() as tasks:
        for _, blow in zip(range(hostile_count), itertools.cycle(KINDS), strict=False):
            tasks.create_task(for_ever(host, port, blow))
        print("ready", flush=True)
        while os.getppid() != 1:
            await asyncio.sleep(1)
            alive = sum(not reader.at_eof() for reader, _ in quiet)
            print(f"idle {alive}", flush=True)
        os._exit(0)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
