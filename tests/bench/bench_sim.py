"""Events per second of the virtual loop: ten nodes that tick and gossip, as the project's prototypes were measured.

Run it directly; it prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import time

from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.loop import run_virtual, virtual_loop

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


def main() -> None:
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        callbacks = run_virtual(gossip(), KeyedRandom(1))
        best = max(best, callbacks / (time.perf_counter() - started))
    print(
        json.dumps(
            {
                "bench": "sim-loop",
                "callbacks_per_second": round(best),
                "target": TARGET_CALLBACKS_PER_SECOND,
                "met": best >= TARGET_CALLBACKS_PER_SECOND,
            }
        )
    )


if __name__ == "__main__":
    main()
