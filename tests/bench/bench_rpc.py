"""JSON-RPC reads through a node's public port, next to a bare Anvil's own HTTP in the same run.

`python -m tests.bench.bench_rpc [seconds]`. To reach: 3 000 reads/s on one pool of connections, and at most 1 ms added
at the median. Every number is printed whether or not it is reached; the exit code says which.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import uvloop

from harness.evm.accounts import account
from harness.toolchain import anvil_binary
from tests.rpc.network import USERS, Rpc, Running, running

POOL = 32
WANTED_PER_S = 3_000
WANTED_ADDED_MS = 1.0
SINGLE_READS = 1_500
FIRST = 1 << 80  # the first of the accounts nobody has; far from the precompiles
HEAD_END = b"\r\n\r\n"


class Client:
    """One keep-alive connection that has one request in flight; lean, so that what is measured is the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, host: str, port: int) -> Client:
        return cls(*await asyncio.open_connection(host, port))

    async def ask(self, body: bytes) -> bytes:
        self._writer.write(
            b"POST / HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        head = (await self._reader.readuntil(HEAD_END)).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        return await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def requests(kind: str) -> Iterator[bytes]:
    """Endless requests of a kind. `fresh` ones name another account each time, so that nothing kept answers them."""
    users = [account(index).address for index in USERS]
    for number in itertools.count(1):
        method, params = {
            "blockNumber": ("eth_blockNumber", []),
            "balance": ("eth_getBalance", [users[number % len(users)], "latest"]),
            "fresh balance": ("eth_getBalance", [f"0x{FIRST + number:040x}", "latest"]),
            "fresh call": ("eth_call", [{"to": f"0x{FIRST + number:040x}", "data": "0x8381f58a"}, "latest"]),
            "block": ("eth_getBlockByNumber", ["latest", False]),
        }[kind]
        yield orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


async def median_ms(host: str, port: int, kind: str) -> float:
    """One request after the other on one connection."""
    client = await Client.open(host, port)
    source, took = requests(kind), []
    try:
        for at in range(SINGLE_READS + 100):
            body = next(source)
            began = time.perf_counter_ns()
            answer = await client.ask(body)
            if at >= 100:
                took.append(time.perf_counter_ns() - began)
            assert b'"result"' in answer, answer
    finally:
        client.close()
    return statistics.median(took) / 1e6


async def reads_per_s(host: str, port: int, kind: str, seconds: float) -> float:
    """A pool of connections, each busy all the time."""
    clients = [await Client.open(host, port) for _ in range(POOL)]
    source = requests(kind)
    end = time.monotonic() + seconds

    async def work(client: Client) -> int:
        done = 0
        while time.monotonic() < end:
            assert b'"result"' in await client.ask(next(source))
            done += 1
        return done

    try:
        began = time.monotonic()
        done = sum(await asyncio.gather(*map(work, clients)))
        return done / (time.monotonic() - began)
    finally:
        for client in clients:
            client.close()


@contextmanager
def bare_anvil(network: Running) -> Iterator[tuple[str, int]]:
    """An Anvil of the same genesis, asked over its own HTTP; quiet, for its log would cost more than its answers."""
    spec = network.stage.l2
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    command: list[Any] = [anvil_binary(), "--port", port, "--init", spec.genesis_file, "--chain-id", spec.chain_id]
    command += ["-q", "--accounts", "0", "--hardfork", "cancun", "--no-mining", "--prune-history", "64"]
    process = subprocess.Popen(list(map(str, command)))
    try:
        Rpc("127.0.0.1", port).wait(lambda: _is_listening(port), what="anvil listens")
        yield "127.0.0.1", port
    finally:
        process.kill()
        process.wait()


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu_s(pid: int) -> float:
    """Processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(rpc: Rpc, pid: int, anvil: tuple[str, int], seconds: float) -> bool:
    """`pid` is the node's own process: its time per read says what a busy machine hides."""
    is_reached = True
    print(f"{'read':<15}{'anvil ms':>10}{'gateway ms':>12}{'added ms':>10}{'anvil /s':>10}{'gateway /s':>12}"
          f"{'node µs/read':>14}")
    for kind in ("blockNumber", "balance", "fresh balance", "fresh call", "block"):
        theirs, ours = (
            uvloop.run(median_ms(*where, kind)) for where in (anvil, (rpc.host, rpc.port))
        )
        their_rate = uvloop.run(reads_per_s(*anvil, kind, seconds))
        spent = cpu_s(pid)
        our_rate = uvloop.run(reads_per_s(rpc.host, rpc.port, kind, seconds))
        cost_us = (cpu_s(pid) - spent) / (our_rate * seconds) * 1e6
        print(f"{kind:<15}{theirs:>10.3f}{ours:>12.3f}{ours - theirs:>10.3f}{their_rate:>10.0f}{our_rate:>12.0f}"
              f"{cost_us:>14.0f}")
        is_reached &= our_rate >= WANTED_PER_S and ours - theirs <= WANTED_ADDED_MS
    verdict = "reached" if is_reached else "MISSED"
    print(f"wanted: {WANTED_PER_S} reads/s, at most {WANTED_ADDED_MS} ms added: {verdict}")
    return is_reached


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as network, bare_anvil(network) as anvil:
        pid = network.runtime.pids()["replica-0"]
        return 0 if measure(network.rpc("replica-0"), pid, anvil, seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
