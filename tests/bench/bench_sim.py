"""Speed of the virtual loop and of the simulated network: ten nodes that tick and gossip, as the prototypes did.

Rates are per second of CPU: the simulator is one thread, and a busy machine would otherwise be measured instead.
Run it directly; it prints one line of JSON per measurement.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

from harness.plan import BaseLatency
from harness.ports import LinkRule, Unreachable
from harness.roles.context import RoleContext
from harness.runtimes.conformance.echo import echo_plan
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.loop import run_virtual, virtual_loop
from harness.runtimes.sim.runtime import SimRuntime

NODES = 10
VIRTUAL_SECONDS = 100
TARGET_CALLBACKS_PER_SECOND = 100_000


async def gossip() -> int:
    """Ten nodes tick every 100 ms and send three messages each, by timers of 5 to 35 ms; returns callbacks run."""
    loop = virtual_loop()
    queues: list[asyncio.Queue[int]] = [asyncio.Queue() for _ in range(NODES)]
    nodes = [loop.node(f"node-{index}") for index in range(NODES)]

    async def tick(index: int) -> None:
        for number in range(VIRTUAL_SECONDS * 10):
            await asyncio.sleep(0.1)
            for peer in range(1, 4):
                delay_ns = 5_000_000 + (index * 7919 + number * 104_729 + peer * 1_299_709) % 30_000_000
                loop.call_at_ns(loop.now_ns + delay_ns, queues[(index + peer) % NODES].put_nowait, number)

    async def listen(index: int) -> None:
        while True:
            await queues[index].get()

    listeners = [loop.create_task(listen(i), context=node.context.copy()) for i, node in enumerate(nodes)]
    await asyncio.gather(*[loop.create_task(tick(i), context=node.context.copy()) for i, node in enumerate(nodes)])
    for listener in listeners:
        listener.cancel()
    return loop.callbacks


class Gossip:
    """Ten times a second, asks one peer and tells two."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context

    async def run(self) -> None:
        context = self._context

        async def answer(sender: str, kind: str, payload: Any) -> Any:
            return payload

        context.network.serve(answer)
        peers = [spec.name for spec in context.plan.roles if spec.name != context.name]
        for number in range(VIRTUAL_SECONDS * 10):
            await context.clock.sleep(0.1)
            payload = {"number": number, "heard": list(range(20))}
            context.network.send(peers[number % len(peers)], "gossip", payload)
            context.network.send(peers[(number + 1) % len(peers)], "gossip", payload)
            with contextlib.suppress(Unreachable):
                await context.network.request(peers[(number + 2) % len(peers)], "ask", payload, timeout=0.09)


class Nowhere:
    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        return


async def networked() -> int:
    """The same gossip through the network port over lossy, jittery links; returns the messages sent."""
    names = [f"node-{index}" for index in range(NODES)]
    latencies = [BaseLatency(src, dst, 5.0, 2.0) for src in names for dst in names if src != dst]
    runtime = SimRuntime(echo_plan(names, latencies=latencies), Gossip, Nowhere(), genesis_timestamp=1)
    await runtime.boot()
    rule = LinkRule(delay_ms=10, jitter_ms=10, distribution="exponential", loss=0.05, duplicate=0.02)
    for latency in latencies:
        await runtime.set_link(latency.src, latency.dst, {"f1": rule})
    await runtime.clock.sleep(VIRTUAL_SECONDS + 1)
    messages = 0
    for latency in latencies:
        messages += (await runtime.link_counters(latency.src, latency.dst)).messages
    await runtime.shutdown()
    return messages


def measure_network() -> None:
    started = time.process_time()
    messages = run_virtual(networked(), KeyedRandom(1))
    seconds = time.process_time() - started
    print(
        json.dumps(
            {
                "bench": "sim-network",
                "messages_per_cpu_second": round(messages / seconds),
                "virtual_seconds_per_cpu_second": round(VIRTUAL_SECONDS / seconds, 1),
            }
        )
    )


def measure_loop() -> None:
    best = 0.0
    for _ in range(3):
        started = time.process_time()
        callbacks = run_virtual(gossip(), KeyedRandom(1))
        best = max(best, callbacks / (time.process_time() - started))
    print(
        json.dumps(
            {
                "bench": "sim-loop",
                "callbacks_per_cpu_second": round(best),
                "target": TARGET_CALLBACKS_PER_SECOND,
                "met": best >= TARGET_CALLBACKS_PER_SECOND,
            }
        )
    )


def main() -> None:
    measure_loop()
    measure_network()


if __name__ == "__main__":
    main()
