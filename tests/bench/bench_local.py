"""What a local network costs to boot and to keep: `python tests/bench/bench_local.py`; exits 1 when a bound is missed.

25 role processes of which 8 have an Anvil, beside booting 8 bare Anvils in the same run. Memory is the proportional
set size of everything, so pages that forks share are counted once.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import IpcClient
from harness.anvil.spec import ChainSpec
from harness.plan import Plan
from harness.runtimes.conformance.echo import echo_factory, echo_plan
from harness.runtimes.local.http_network import HOST, HttpNetwork
from harness.runtimes.local.process_tree import descendants
from harness.runtimes.local.runtime import LocalRuntime
from harness.runtimes.local.world import AnvilEngines
from harness.runtimes.local.zygote_client import ZygoteProcess
from harness.toolchain import anvil_binary

NODES = 8
CLIENTS = 17
ROUNDS = 3
REQUESTS = 500
WARM_UP_S = 2.0
BOOT_S_MAX = 3.0
BOOT_RATIO_MAX = 4.0
MEMORY_MB_MAX = 600.0
CHAIN = ChainSpec(chain_id=901, genesis_timestamp=1_700_000_000, gas_limit=30_000_000, genesis_file=None)


def _plan() -> Plan:
    plan = echo_plan([f"node-{index}" for index in range(NODES)] + [f"client-{index}" for index in range(CLIENTS)])
    roles = [spec if spec.name.startswith("node") else replace(spec, kind="trader") for spec in plan.roles]
    return replace(plan, roles=tuple(roles))


def _bare_anvils_s() -> float:
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        nodes = [
            AnvilProcess(CHAIN, name=str(index), binary=anvil_binary(), home=Path(folder) / str(index))
            for index in range(NODES)
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


def _memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _by_kind(pids: list[int]) -> dict[str, float]:
    total: dict[str, float] = {"anvil": 0.0, "python": 0.0}
    for pid in pids:
        command = Path(f"/proc/{pid}/comm").read_text()
        total["anvil" if "anvil" in command else "python"] += _memory_mb(pid)
    return total


async def _boot(logs: Path, zygote: ZygoteProcess | None = None) -> tuple[float, dict[str, float], float]:
    """Seconds to boot, MB by kind of process, and the median round trip in µs between two roles."""
    began = time.monotonic()
    async with LocalRuntime(
        _plan(), echo_factory, logs=logs, genesis_timestamp=1_700_000_000, engines=AnvilEngines(CHAIN, CHAIN),
        zygote=zygote,
    ) as runtime:
        took = time.monotonic() - began
        memory = _by_kind(descendants(os.getpid()))
        peers = {"node-1": (HOST, runtime.ports()["node-0"]["node-1"])}
        network = HttpNetwork("node-0", peers, report=lambda what, detail: None)
        await network.open()
        trips = []
        for _ in range(REQUESTS):
            asked = time.perf_counter()
            await network.request("node-1", "echo", {"n": 1}, timeout=5.0)
            trips.append((time.perf_counter() - asked) * 1e6)
        await network.close()
        return took, memory, statistics.median(trips)


def main() -> int:
    bare, booted, warm, memories, trips = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        for round_number in range(ROUNDS):
            bare.append(_bare_anvils_s())
            took, memory, trip = asyncio.run(_boot(Path(folder) / str(round_number)))
            booted.append(took)
            memories.append(memory)
            trips.append(trip)
            zygote = ZygoteProcess()
            time.sleep(WARM_UP_S)
            warm.append(asyncio.run(_boot(Path(folder) / f"{round_number}-warm", zygote))[0])
    boot_s, bare_s = statistics.median(booted), statistics.median(bare)
    memory = max(memories, key=lambda each: sum(each.values()))
    total = sum(memory.values())
    print(f"local  boot of {NODES + CLIENTS} roles, {NODES} with an Anvil: {boot_s:.2f} s (bound {BOOT_S_MAX:g}); "
          f"{NODES} bare Anvils {bare_s:.2f} s, ratio {boot_s / bare_s:.1f} (bound {BOOT_RATIO_MAX:g})")
    print(f"local  the same from a zygote that was started earlier: {statistics.median(warm):.2f} s, "
          f"ratio {statistics.median(warm) / bare_s:.1f}")
    print(f"local  memory (PSS): {total:.0f} MB (bound {MEMORY_MB_MAX:.0f}): "
          + ", ".join(f"{kind} {size:.0f}" for kind, size in memory.items()))
    print(f"local  request between roles through the proxy, median: {statistics.median(trips):.0f} µs")
    return 0 if boot_s <= BOOT_S_MAX and boot_s <= BOOT_RATIO_MAX * bare_s and total <= MEMORY_MB_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
