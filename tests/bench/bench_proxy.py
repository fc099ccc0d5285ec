"""What the fault proxy costs while it has no fault: `python -m tests.bench.bench_proxy [--json]`.

Added latency and share of raw loopback throughput, each against a direct connection to the same server, in pairs one
after the other; the median pair counts. Exits 1 when a bound is missed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from harness.proxy.client import ProxyClient
from harness.proxy.config import ProxyConfig
from harness.proxy.process import run_proxy
from harness.runtimes.local.mortality import die_with_parent

ADDED_US_MAX = 150.0
THROUGHPUT_SHARE_MIN = 0.40
ROUNDS = 7
ROUND_TRIPS = 2000
BULK_BYTES = 1 << 30
CHUNK = 1 << 18
TIMEOUT_S = 20.0

REQUEST = b"POST /request HTTP/1.1\r\nHost: b\r\nX-Sender: a\r\nContent-Length: 200\r\n\r\n" + b"x" * 200
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"y" * 100


def _serve(listener: socket.socket) -> None:
    """Answer one connection at a time: small requests at once, a bulk one when all of it has come."""
    buffer = bytearray(1 << 20)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            got = connection.recv(65536)
            while got:
                if got.startswith(b"POST /bulk") and b"\r\n\r\n" in got:
                    left = BULK_BYTES - (len(got) - got.index(b"\r\n\r\n") - 4)
                    while left > 0:
                        left -= connection.recv_into(buffer)
                elif len(got) < len(REQUEST):
                    got += connection.recv(65536)
                    continue
                connection.sendall(REPLY)
                got = connection.recv(65536)


def _fork(run: object, *arguments: object) -> int:
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            die_with_parent(parent)
            run(*arguments)  # type: ignore[operator]  # each caller passes a function and its arguments
        finally:
            os._exit(0)
    return child


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _round_trip_us(port: int) -> float:
    took = []
    with _connect(port) as connection:
        for _ in range(ROUND_TRIPS):
            began = time.perf_counter()
            connection.sendall(REQUEST)
            connection.recv(65536)
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


def _bulk_gigabytes_per_s(port: int) -> float:
    chunk = memoryview(bytes(CHUNK))
    with _connect(port) as connection:
        began = time.perf_counter()
        connection.sendall(b"POST /bulk HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % BULK_BYTES)
        for _ in range(BULK_BYTES // CHUNK):
            connection.sendall(chunk)
        connection.recv(65536)
        return BULK_BYTES / (time.perf_counter() - began) / 1e9


async def _proxy_port(control: Path, server_port: int) -> int:
    async with ProxyClient(control) as proxy:
        await proxy.set_targets({"b": ("127.0.0.1", server_port)})
        return (await proxy.ports())["a"]["b"]


def main(arguments: list[str]) -> int:
    server, proxy = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    children: list[int] = []
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        control = Path(folder) / "proxy.sock"
        proxy.bind(str(control))
        proxy.listen()
        try:
            children.append(_fork(_serve, server))
            children.append(_fork(run_proxy, ProxyConfig(seed=1, links=(("a", "b"),)), proxy))
            direct_port = server.getsockname()[1]
            proxied_port = asyncio.run(_proxy_port(control, direct_port))
            trips = [(_round_trip_us(direct_port), _round_trip_us(proxied_port)) for _ in range(ROUNDS)]
            bulks = [(_bulk_gigabytes_per_s(direct_port), _bulk_gigabytes_per_s(proxied_port)) for _ in range(ROUNDS)]
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            server.close()
            proxy.close()
    direct_us, proxied_us = (statistics.median(column) for column in zip(*trips, strict=True))
    direct_gb, proxied_gb = (statistics.median(column) for column in zip(*bulks, strict=True))
    added = statistics.median(proxied - direct for direct, proxied in trips)
    share = statistics.median(proxied / direct for direct, proxied in bulks)
    load = os.getloadavg()[0]
    is_met = added <= ADDED_US_MAX, share >= THROUGHPUT_SHARE_MIN
    if "--json" in arguments:
        print(json.dumps({
            "bench": "proxy", "load": round(load, 1), "direct_us": round(direct_us, 1),
            "proxied_us": round(proxied_us, 1), "added_us": round(added, 1), "added_us_max": ADDED_US_MAX,
            "direct_gb_s": round(direct_gb, 2), "proxied_gb_s": round(proxied_gb, 2), "share": round(share, 2),
            "share_min": THROUGHPUT_SHARE_MIN, "met": all(is_met),
        }))
    else:
        print(f"proxy  request/response, median: direct {direct_us:.0f} µs, proxied {proxied_us:.0f} µs, "
              f"added {added:.0f} µs (bound {ADDED_US_MAX:.0f}): {_word(is_met[0])}")
        print(f"proxy  one connection, bulk: direct {direct_gb:.2f} GB/s, proxied {proxied_gb:.2f} GB/s, "
              f"share {share:.0%} (bound {THROUGHPUT_SHARE_MIN:.0%}): {_word(is_met[1])}")
        print(f"proxy  at a load of {load:.1f} on {os.cpu_count()} cores")
    return 0 if all(is_met) else 1


def _word(is_met: bool) -> str:
    return "met" if is_met else "missed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
