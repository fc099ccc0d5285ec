"""Signed futures trades per second through the local network and through one bare Anvil, by the same client.

`python -m tests.bench.bench_local_trades [--json]`; exits 1 when the bound is missed. The network's six L2 nodes each
execute every trade on the same two cores, so a sixth of the bare rate is what perfect software would reach. The bare
node gets the same genesis, the same blocks up to the first trade and then the same signed bytes, and mines as soon as
a block is full. On both sides the clock runs from the first submission until the last trade is in a block (in the
network: of a replica).
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop

from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import BATCH_MAX, Call, IpcClient
from harness.evm.accounts import account
from harness.evm.wallet import Quote, sign_quote, sign_transaction, transaction_hash
from harness.plan import L2_CHAIN_ID, Plan
from harness.runtimes.local.http_network import HOST, HttpNetwork
from harness.runtimes.local.process_tree import descendants
from harness.scenario.stage import Stage, set_stage
from harness.toolchain import anvil_binary
from harness.venue.exchange import encode_trade
from tests.bench.bench_local import memory_by_kind
from tests.bench.default_network import PRICE, default_plan, network

SHARE_MIN = 0.60
TRADES_PER_TRADER = 200
IN_FLIGHT = 64
BARE_ROUNDS = 3                # they are short, and so more easily disturbed
GAS = 300_000
SIZE = 10**16
FIRST_QUOTE = 1_000_000        # far above the nonces the maker's role gives out
SET_UP_TIMEOUT_S = 60.0
TIMEOUT_S = 120.0
POLL_S = 0.1
BLOCK_TRADES = 200             # of `GAS` each fill a block
RPC_TIMEOUT_S = 15.0

Submit = Callable[[int, bytes], Coroutine[Any, Any, object]]
"""`await submit(trader, raw)`."""


def signed_trades(plan: Plan, stage: Stage) -> list[list[bytes]]:
    """Per trader its trades in nonce order, alternately buying and selling the same size."""
    maker = plan.of_kind("maker")[0]
    assert maker.account is not None
    key, house = account(maker.account).key, stage.deployment["clearing_house"]
    found = []
    for number, trader in enumerate(plan.of_kind("trader")):
        assert trader.account is not None
        trades = []
        for index in range(TRADES_PER_TRADER):
            size = SIZE if (index + number) % 2 else -SIZE
            quote = Quote(
                maker=account(maker.account).address, series_id=1, price=PRICE, size=size,
                deadline=stage.genesis_timestamp + 3_000, nonce=FIRST_QUOTE + number * TRADES_PER_TRADER + index,
            )
            signature = sign_quote(key, quote, chain_id=L2_CHAIN_ID, clearing_house=house)
            trades.append(sign_transaction(
                account(trader.account).key, chain_id=L2_CHAIN_ID, nonce=1 + index, to=house, gas=GAS,
                data=encode_trade(quote, signature, size),
            ))
        found.append(trades)
    return found


async def submit_all(trades: Sequence[Sequence[bytes]], submit: Submit) -> None:
    """The client: `IN_FLIGHT` requests at a time, each trader's trades in order as far as they do not overtake."""
    turns = iter([(trader, raws[index]) for index in range(TRADES_PER_TRADER) for trader, raws in enumerate(trades)])

    async def work() -> None:
        for trader, raw in turns:
            await submit(trader, raw)

    async with asyncio.TaskGroup() as workers:
        for _ in range(IN_FLIGHT):
            workers.create_task(work())


async def wait_for_nonces(ask: Callable[[str], Coroutine[Any, Any, int]], who: Sequence[str], nonce: int) -> None:
    """Return once every account has used this many nonces."""
    for address in who:
        while await ask(address) < nonce:  # noqa: ASYNC110  only the node knows, and it can only be asked
            await asyncio.sleep(POLL_S)


async def through_network(plan: Plan, stage: Stage, trades: Sequence[Sequence[bytes]], logs: Path) -> tuple[
    float, list[dict[str, Any]], dict[str, float], dict[str, float]
]:
    """Trades per second, the blocks before the first of them, CPU seconds by kind of role, MB at the end."""
    traders = plan.of_kind("trader")
    who = [stage.accounts[trader.name] for trader in traders]
    async with network(plan, stage, logs) as runtime:
        ports = runtime.ports()
        clients = [
            HttpNetwork(t.name, {to: (HOST, port) for to, port in ports[t.name].items()}, report=print) for t in traders
        ]
        for client in clients:
            await client.open()
        try:
            async def nonce(address: str) -> int:
                answer = await clients[0].request("replica-0", "nonce", {"address": address}, timeout=5.0)
                return int(answer["nonce"])

            async def submit(trader: int, raw: bytes) -> object:
                return await clients[trader].request(
                    traders[trader].gateways[0], "tx", {"raw": raw.hex()}, timeout=30.0
                )

            async with asyncio.timeout(SET_UP_TIMEOUT_S):
                await wait_for_nonces(nonce, who, 1)
                await wait_for_nonces(nonce, [stage.accounts["admin-0"]], 1 + len(plan.products))
            page = await clients[0].request("replica-0", "blocks", {"from": 1}, timeout=5.0)
            set_up = [block["inputs"] for block in page["blocks"]]
            began, cpu = time.monotonic(), cpu_by_role(runtime.pids())
            async with asyncio.timeout(TIMEOUT_S):
                await submit_all(trades, submit)
                submitted = time.monotonic() - began
                await wait_for_nonces(nonce, who, 1 + TRADES_PER_TRADER)
            took = time.monotonic() - began
            spent = {role: used - cpu[role] for role, used in cpu_by_role(runtime.pids()).items()}
            memory = memory_by_kind([os.getpid(), *descendants(os.getpid())])
            print(f"all submitted after {submitted:.1f} s, all committed after {took:.1f} s", file=sys.stderr)
        finally:
            for client in clients:
                await client.close()
        assert not runtime.problems, runtime.problems
    check_history(logs / "replica-0.history.jsonl", trades)
    return sum(map(len, trades)) / took, set_up, spent, memory


def check_history(history: Path, trades: Sequence[Sequence[bytes]]) -> None:
    """Every trade is in a block of the replica, and succeeded: a refused one would be cheap."""
    outcome: dict[str, object] = {}
    for line in history.read_bytes().splitlines():
        record = orjson.loads(line)
        if record["kind"] == "block" and record["chain"] == "l2":
            outcome |= {each["hash"]: each["error"] if not each["ok"] else "ok" for each in record["transactions"]}
    wrong = [outcome.get(transaction_hash(raw), "absent") for raws in trades for raw in raws]
    wrong = [each for each in wrong if each != "ok"]
    assert not wrong, f"{len(wrong)} trades did not succeed, the first because: {wrong[0]}"


async def through_bare(
    stage: Stage, set_up: Sequence[dict[str, Any]], trades: Sequence[Sequence[bytes]]
) -> tuple[float, float]:
    """Trades per second of one node, and the CPU seconds it used for them."""
    process = AnvilProcess(stage.l2, name="bare", binary=anvil_binary())
    ipc = IpcClient(process.socket_path, timeout_s=RPC_TIMEOUT_S)
    try:
        process.start()
        process.wait_until_ready(ipc)
        for inputs in set_up:
            calls: list[Call] = [("eth_sendRawTransaction", ["0x" + raw]) for raw in inputs["txs"]]
            for start in range(0, len(calls), BATCH_MAX):
                ipc.batch(calls[start : start + BATCH_MAX])
            ipc.call("evm_mine", {"timestamp": inputs["timestamp"], "blocks": 1})
        now = {"timestamp": set_up[-1]["timestamp"], "blocks": 1}
        url = f"http://{HOST}:{process.http_port()}"
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=IN_FLIGHT)
        timeout = aiohttp.ClientTimeout(total=RPC_TIMEOUT_S)
        taken = 0
        mining = asyncio.Lock()
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

            async def ask(method: str, *params: Any) -> Any:
                body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
                headers = {"Content-Type": "application/json"}
                async with session.post(url, data=body, headers=headers) as reply:
                    answer = orjson.loads(await reply.read())
                if "error" in answer:
                    raise RuntimeError(f"the bare node refused {method}: {answer['error']}")
                return answer["result"]

            async def submit(trader: int, raw: bytes) -> object:
                nonlocal taken
                name = await ask("eth_sendRawTransaction", "0x" + raw.hex())
                taken += 1
                if taken % BLOCK_TRADES == 0:
                    async with mining:
                        await ask("evm_mine", now)
                return name

            pid = process.pid
            assert pid is not None
            before, began = cpu_s(pid), time.monotonic()
            async with asyncio.timeout(TIMEOUT_S):
                await submit_all(trades, submit)
                while int((await ask("txpool_status"))["pending"], 16):
                    await ask("evm_mine", now)
            took, spent = time.monotonic() - began, cpu_s(pid) - before
            for raws in trades:
                receipt = await ask("eth_getTransactionReceipt", transaction_hash(raws[-1]))
                assert receipt is not None, "a trader's last trade is in no block"
                assert receipt["status"] == "0x1", "a trader's last trade failed on the bare node"
        return sum(map(len, trades)) / took, spent
    finally:
        ipc.close()
        process.close()


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_by_role(pids: dict[str, int]) -> dict[str, float]:
    """CPU seconds by kind of role, those of their nodes apart."""
    found: dict[str, float] = {}
    for name, pid in pids.items():
        kind = name.rpartition("-")[0] or name
        found[kind] = found.get(kind, 0.0) + cpu_s(pid)
        for child in descendants(pid):
            found[f"anvil of {kind}"] = found.get(f"anvil of {kind}", 0.0) + cpu_s(child)
    return found


def main(arguments: list[str]) -> int:
    plan = default_plan()
    stage = set_stage(plan, genesis_timestamp=int(time.time()))
    nodes = len(plan.of_kind("sequencer", "replica"))
    trades = signed_trades(plan, stage)
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        own = time.process_time()
        rate, set_up, spent, memory = uvloop.run(through_network(plan, stage, trades, Path(folder)))
        spent["client"] = time.process_time() - own
    bares = [uvloop.run(through_bare(stage, set_up, trades)) for _ in range(BARE_ROUNDS)]
    bare, bare_cpu = (statistics.median(column) for column in zip(*bares, strict=True))
    share, load, total = rate / (bare / nodes), os.getloadavg()[0], sum(memory.values())
    met = share >= SHARE_MIN
    count = sum(map(len, trades))
    if "--json" in arguments:
        print(json.dumps({
            "bench": "local-trades", "load": round(load, 1), "trades": count, "nodes": nodes,
            "trades_per_s": round(rate, 1), "bare_trades_per_s": round(bare, 1), "share": round(share, 2),
            "share_min": SHARE_MIN, "memory_mb": round(total),
            "met": met,
        }))
    else:
        print(f"local  {count} signed futures trades: network {rate:.0f}/s, bare Anvil {bare:.0f}/s, a {nodes}th of it "
              f"{bare / nodes:.0f}/s, share {share:.0%} (bound {SHARE_MIN:.0%}): "
              f"{'met' if met else 'missed'}")
        print(f"local  CPU per trade: bare node {bare_cpu / count * 1e3:.2f} ms; network "
              + ", ".join(f"{role} {used / count * 1e3:.2f}" for role, used in sorted(
                  spent.items(), key=lambda item: -item[1]) if used / count > 5e-5) + " ms")
        print(f"local  memory (PSS) after them, every node keeping every block: {total:.0f} MB; "
              + ", ".join(f"{kind} {size:.0f}" for kind, size in memory.items()))
        print(f"local  at a load of {load:.1f} on {os.cpu_count()} cores")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
