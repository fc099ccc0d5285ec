"""What the default network costs to boot and to keep: `python -m tests.bench.bench_local [--json]`.

All roles of a default run, eight of them with an Anvil and the venue in its genesis, beside as many bare Anvils that
load the same genesis files; in turns, and the median counts. A boot lasts from nothing until every role has begun.
Memory is the proportional set size of everything, this process too, so pages that forks share are counted once; it
is taken when the network has run a while, for forks share less and less.
Exits 1 when a bound is missed.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import uvloop

from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import IpcClient
from harness.plan import CHAIN_OF_KIND, Plan
from harness.runtimes.local.process_tree import descendants
from harness.scenario.stage import Stage, set_stage
from harness.toolchain import anvil_binary
from tests.bench.default_network import default_plan, network

ROUNDS = 7
SPAWNED_ROUNDS = 2
RUN_S = 15.0
TIMEOUT_S = 60.0
BOOT_S_MAX = 3.0
BOOT_RATIO_MAX = 4.0
MEMORY_MB_MAX = 600.0


def bare_anvils_s(plan: Plan, stage: Stage) -> float:
    """Seconds until as many nodes as the plan has answer, each with its chain's genesis."""
    chains = [stage.l1 if chain == "l1" else stage.l2
              for role in plan.roles if (chain := CHAIN_OF_KIND.get(role.kind)) is not None]
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        nodes = [
            AnvilProcess(chain, name=str(index), binary=anvil_binary(), home=Path(folder) / str(index))
            for index, chain in enumerate(chains)
        ]
        try:
            began = time.monotonic()
            for node in nodes:
                node.start()
            for node in nodes:
                client = IpcClient(node.socket_path, timeout_s=10.0)
                node.wait_until_ready(client)
                client.close()
            return time.monotonic() - began
        finally:
            for node in nodes:
                node.close()


def memory_by_kind(pids: list[int]) -> dict[str, float]:
    """MB of these processes, nodes and Python apart."""
    total: dict[str, float] = {"anvil": 0.0, "python": 0.0}
    for pid in pids:
        kind = "anvil" if "anvil" in Path(f"/proc/{pid}/comm").read_text() else "python"
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total[kind] += int(line.split()[1]) / 1024
    return total


async def boot(plan: Plan, stage: Stage, logs: Path, *, run_s: float = 0.0) -> tuple[float, dict[str, float]]:
    """Seconds to boot, and MB by kind of process when it has run for so long."""
    began = time.monotonic()
    async with asyncio.timeout(TIMEOUT_S), network(plan, stage, logs):
        took = time.monotonic() - began
        await asyncio.sleep(run_s)
        memory = memory_by_kind([os.getpid(), *descendants(os.getpid())])
        return took, memory


def spawned_boot_s(plan: Plan, stage: Stage, logs: Path) -> float:
    """The boot where this process has another thread, so that the zygote can not be forked and imports anew."""
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        return uvloop.run(boot(plan, stage, logs))[0]
    finally:
        over.set()
        other.join()


def main(arguments: list[str]) -> int:
    plan = default_plan()
    stage = set_stage(plan, genesis_timestamp=int(time.time()))
    pairs = []
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        for number in range(ROUNDS):
            bare = bare_anvils_s(plan, stage)
            took, _ = uvloop.run(boot(plan, stage, Path(folder) / str(number)))
            pairs.append((took, bare))
        _, memory = uvloop.run(boot(plan, stage, Path(folder) / "memory", run_s=RUN_S))
        spawned = [spawned_boot_s(plan, stage, Path(folder) / f"spawned-{each}") for each in range(SPAWNED_ROUNDS)]
    boot_s, bare_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(took / bare for took, bare in pairs)
    total, load = sum(memory.values()), os.getloadavg()[0]
    met = {"boot_s": boot_s <= BOOT_S_MAX, "ratio": ratio <= BOOT_RATIO_MAX, "memory": total <= MEMORY_MB_MAX}
    if "--json" in arguments:
        print(json.dumps({
            "bench": "local", "load": round(load, 1), "boot_s": round(boot_s, 3), "boot_s_max": BOOT_S_MAX,
            "bare_s": round(bare_s, 3), "ratio": round(ratio, 2), "ratio_max": BOOT_RATIO_MAX,
            "spawned_boot_s": round(statistics.median(spawned), 3), "memory_mb": round(total),
            "memory_mb_max": MEMORY_MB_MAX, "met": all(met.values()),
        }))
    else:
        words = {what: "met" if is_met else "missed" for what, is_met in met.items()}
        nodes = sum(role.kind in CHAIN_OF_KIND for role in plan.roles)
        print(f"local  boot of {len(plan.roles)} roles, {nodes} with an Anvil: {boot_s:.2f} s (bound {BOOT_S_MAX:g}): "
              f"{words['boot_s']}")
        print(f"local  {nodes} bare Anvils with the same genesis: {bare_s:.2f} s, ratio {ratio:.1f} "
              f"(bound {BOOT_RATIO_MAX:g}): {words['ratio']}")
        print(f"local  the boot from a process with threads, imported anew: {statistics.median(spawned):.2f} s")
        print(f"local  memory (PSS) after {RUN_S:.0f} s: {total:.0f} MB (bound {MEMORY_MB_MAX:.0f}): "
              f"{words['memory']}; " + ", ".join(f"{kind} {size:.0f}" for kind, size in memory.items()))
        print(f"local  at a load of {load:.1f} on {os.cpu_count()} cores")
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
