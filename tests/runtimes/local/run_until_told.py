"""Boots a local network, prints what it consists of as one JSON line, and ends in the way its argument names."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import cast_of_local_tests
import orjson

from harness.runtimes.conformance.echo import echo_plan
from harness.runtimes.local.http_network import HOST, HttpNetwork
from harness.runtimes.local.runtime import LocalRuntime


class Deliberate(Exception):
    """The failure a test asked for."""


async def main(ending: str, logs: Path) -> None:
    plan = echo_plan(["a", "b", "c"])
    async with LocalRuntime(plan, cast_of_local_tests.actor, logs=logs, genesis_timestamp=1) as runtime:
        ports = runtime.ports()
        network = HttpNetwork("a", {"b": (HOST, ports["a"]["b"])}, report=lambda what, detail: None)
        await network.open()
        stubborn = await network.request("b", "stubborn", None, timeout=5)
        await network.close()
        await runtime.pause("c")
        pids = [*runtime.pids().values(), stubborn]
        listening = [port for peers in ports.values() for port in peers.values()]
        print(orjson.dumps({"pids": pids, "ports": listening}).decode(), flush=True)
        if ending == "exception":
            raise Deliberate("asked for")
        if ending != "normal":
            await asyncio.Event().wait()


if __name__ == "__main__":
    print(os.getpid(), file=sys.stderr)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
