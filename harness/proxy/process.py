"""The proxy as a process: its event loop, its control socket, and a bounded end."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from dataclasses import dataclass

import uvloop
from aiohttp import web

from harness.plan import BaseLatency
from harness.proxy.control import control_application
from harness.proxy.server import ProxyServer

PROXY = "proxy"
"""What the process is called among those of the roles."""

CLOSE_TIMEOUT_S = 1.0
DESCRIPTORS_MAX = 16_384


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """What a proxy process is born with."""

    seed: int
    links: tuple[tuple[str, str], ...]
    latencies: tuple[BaseLatency, ...] = ()
    """Part of the world, and never counted as a fault."""
    hosts: tuple[tuple[str, str], ...] = ()
    """(source, address to listen at for its links), where that is not 127.0.0.1."""


def run_proxy(config: ProxyConfig, control: socket.socket) -> None:
    """Serve until SIGTERM. `control` is a listening socket: what is asked of it before all links are open waits."""
    raise_descriptor_limit()
    uvloop.run(serve_proxy(config, control))


def raise_descriptor_limit() -> None:
    """A socket per link and two per connection: the usual soft limit of 1024 is soon reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


async def serve_proxy(config: ProxyConfig, control: socket.socket) -> None:
    """`run_proxy` on the running loop, for a process that does more."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    proxy = ProxyServer(seed=config.seed)
    await proxy.open(config.links, latencies=config.latencies, hosts=dict(config.hosts))
    runner = web.AppRunner(control_application(proxy), access_log=None, shutdown_timeout=CLOSE_TIMEOUT_S)
    await runner.setup()
    try:
        await web.SockSite(runner, control).start()
        await stop.wait()
    finally:
        await proxy.close()
        await runner.cleanup()
