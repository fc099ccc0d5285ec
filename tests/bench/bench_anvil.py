"""What the engine adapter costs beside bare Anvil in the same run: `python -m tests.bench.bench_anvil [--json]`.

Bare means: the same binary and flags, the same transactions in the same arrays over the same kind of socket, and
nothing read back. Absolute figures move with the machine's load; trust the ratios.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eth_account import Account

from harness.anvil import AnvilEngine, ChainSpec
from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import BATCH_MAX, Call, IpcClient
from harness.rollup.blocks import BlockInputs
from harness.toolchain import anvil_binary

BLOCKS = 150
SIGNERS = 10
NODES = 8
STORE = "0x" + "aa" * 20
_STORE_CODE = "0x60203560003555" + "6001600052602060" + "00a000"  # sstore(word 0, word 1); log0(1)


def transactions(sizes: list[int]) -> list[tuple[bytes, ...]]:
    """One tuple of signed storage writes per block."""
    accounts = [Account.from_key((1_000 + index).to_bytes(32, "big")) for index in range(SIGNERS)]
    nonces = [0] * SIGNERS
    blocks = []
    for size in sizes:
        block = []
        for index in range(size):
            who = index % SIGNERS
            data = (index % 7).to_bytes(32, "big") + (nonces[who] + 1).to_bytes(32, "big")
            block.append(bytes(accounts[who].sign_transaction({
                "type": 2, "chainId": 901, "nonce": nonces[who], "gas": 60_000, "value": 0, "data": data,
                "to": bytes.fromhex(STORE[2:]), "maxFeePerGas": 0, "maxPriorityFeePerGas": 0,
            }).raw_transaction))
            nonces[who] += 1
        blocks.append(tuple(block))
    return blocks


@contextmanager
def genesis(extra_accounts: int = 0) -> Iterator[ChainSpec]:
    """A chain's spec with the signers funded, and as many further accounts."""
    alloc: dict[str, dict[str, str]] = {
        Account.from_key((1_000 + index).to_bytes(32, "big")).address: {"balance": hex(10**20)}
        for index in range(SIGNERS)
    }
    alloc |= {f"0x{0xBEEF0000 + index:040x}": {"balance": "0x1"} for index in range(extra_accounts)}
    alloc[STORE] = {"balance": "0x0", "code": _STORE_CODE}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "genesis.json"
        path.write_text(json.dumps({"alloc": alloc}))
        yield ChainSpec(chain_id=901, genesis_timestamp=1_700_000_000, gas_limit=30_000_000, genesis_file=path)


def adapter_ms(spec: ChainSpec, blocks: list[tuple[bytes, ...]]) -> tuple[float, float, float, float]:
    """Median ms per block, CPU ms of this process per block, ms per block of a replay, and seconds of a reboot."""
    with AnvilEngine(spec) as engine:
        timestamp, spent = engine.genesis.timestamp, []
        before = _own_cpu_s()
        for number, raws in enumerate(blocks, start=1):
            timestamp += 1
            inputs = BlockInputs(chain_id=901, number=number, parent=engine.head, timestamp=timestamp, base_fee=0,
                                 transactions=raws)
            spent.append(_seconds(lambda inputs=inputs: engine.execute(inputs)))  # type: ignore[misc]  # bound now
        cpu = (_own_cpu_s() - before) / len(blocks)
        reboot = _seconds(engine.restart)
        assert engine.overtakes == 0, "arrays were out of order: these figures are of the slow way"
        replay = _seconds(lambda: engine.read("eth_getBalance", STORE, at=engine.head)) / len(blocks)
        return statistics.median(spent) * 1e3, cpu * 1e3, replay * 1e3, reboot


def bare_ms(spec: ChainSpec, blocks: list[tuple[bytes, ...]]) -> float:
    """Median ms per block of sending and mining alone."""
    process = AnvilProcess(spec, name="bare", binary=anvil_binary())
    client = IpcClient(process.socket_path, timeout_s=15)
    try:
        process.start()
        process.wait_until_ready(client)
        spent, timestamp = [], 1_700_000_000
        for raws in blocks:
            timestamp += 1
            calls: list[Call] = [("eth_sendRawTransaction", [f"0x{raw.hex()}"]) for raw in raws]
            arrays = [calls[start : start + BATCH_MAX] for start in range(0, len(calls), BATCH_MAX)]
            arrays.append([("evm_mine", [{"timestamp": timestamp, "blocks": 1}])])  # in one array it may overtake
            spent.append(_seconds(lambda arrays=arrays: [client.batch(array) for array in arrays]))  # type: ignore[misc]  # bound now
        return statistics.median(spent) * 1e3
    finally:
        client.close()
        process.close()


def boot_s(spec: ChainSpec) -> tuple[float, float]:
    """Seconds until `NODES` engines answer, started side by side, and their memory in MB then."""
    started = time.perf_counter()
    engines = [AnvilEngine(spec, name=f"node-{index}") for index in range(NODES)]
    try:
        for engine in engines:
            assert engine.genesis.number == 0
        return time.perf_counter() - started, sum(_rss_mb(engine.process.pid) for engine in engines)
    finally:
        for engine in engines:
            engine.close()


def main(arguments: list[str]) -> None:
    rows: dict[str, float] = {}
    with genesis() as spec:
        for size in (0, 4, 20, 60):
            blocks = transactions([size] * BLOCKS)
            bare = bare_ms(spec, blocks)
            whole, cpu, replay, reboot = adapter_ms(spec, blocks)
            rows[f"bare, {size} txs [ms/block]"] = bare
            rows[f"engine, {size} txs [ms/block]"] = whole
            rows[f"engine / bare, {size} txs"] = whole / bare
            rows[f"engine, {size} txs, own CPU [ms/block]"] = cpu
            rows[f"replay, {size} txs [ms/block]"] = replay
        rows["reboot of one node [s]"] = reboot
        rows[f"boot of {NODES} nodes [s]"], rows[f"memory of {NODES} fresh nodes [MB]"] = boot_s(spec)
    for accounts in (300, 1_000):
        with genesis(accounts) as spec:
            rows[f"engine, 4 txs, {accounts} more accounts [ms/block]"] = adapter_ms(
                spec, transactions([4] * BLOCKS))[0]
    if "--json" in arguments:
        print(json.dumps(rows))
        return
    for name, value in rows.items():
        print(f"{name:<45} {value:10.3f}")


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _rss_mb(pid: int | None) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main(sys.argv[1:])
