"""The proxy as a process: its event loop, its control socket, and a bounded end."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Iterator

import uvloop
from aiohttp import web

from harness.proxy.config import USER, ProxyConfig
from harness.proxy.control import control_application
from harness.proxy.door import HOST
from harness.proxy.proxies import Proxies
from harness.proxy.server import ProxyServer
from harness.proxy.toxiproxy import toxiproxy_application

CLOSE_TIMEOUT_S = 1.0
DESCRIPTORS_MAX = 16_384


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
    proxies = Proxies(proxy, seed=config.seed)
    hosts = dict(config.hosts)
    # The ports of choice before those the system chooses, which might choose one of them.
    for role, port in config.fronts:
        with _naming(f"the front door of {role}", port):
            await proxy.open_front(role, port, host=hosts.get(USER, HOST))
    await proxy.open(config.links, latencies=config.latencies, hosts=hosts)
    public = web.AppRunner(
        toxiproxy_application(proxies), access_log=None, shutdown_timeout=CLOSE_TIMEOUT_S, keepalive_timeout=60
    )
    await public.setup()
    api_port: int | None = None
    if config.api_port is not None:
        with _naming("the fault proxy's API", config.api_port):
            site = web.TCPSite(public, hosts.get(USER, HOST), config.api_port)
            await site.start()
            api_port = public.addresses[0][1]
    runner = web.AppRunner(
        control_application(proxy, api_port=api_port), access_log=None, shutdown_timeout=CLOSE_TIMEOUT_S
    )
    await runner.setup()
    try:
        await web.SockSite(runner, control).start()
        await stop.wait()
    finally:
        proxies.close()
        await proxy.close()
        await public.cleanup()
        await runner.cleanup()


@contextlib.contextmanager
def _naming(what: str, port: int) -> Iterator[None]:
    """A port that is taken is the user's to free, so the message says whose port it was to be."""
    try:
        yield
    except OSError as error:
        raise SystemExit(
            f"{what} cannot listen on {HOST}:{port}: {error.strerror or error}; "
            "end what listens there, or choose another port (0: any)"
        ) from error
