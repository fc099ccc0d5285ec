"""A small rollup of real processes whose nodes answer JSON-RPC on real ports, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from harness.evm.accounts import account
from harness.plan import Plan
from harness.roles.registry import make_role
from harness.rollup.profile import Profile
from harness.runtimes.local.runtime import LocalRuntime
from harness.runtimes.local.world import AnvilEngines
from harness.scenario.planning import plan_from_file
from harness.scenario.stage import Stage, set_stage

T = TypeVar("T")

SCENARIO = """\
version: 1
name: rpc
seed: 1
network: {l1: {followers: 1}, l2: {sequencers: %d, replicas: 1}, oracles: 4}
market:
  ETH: {knots: {0s: 200, 20s: 200}}
products:
  - {id: ETH-F1, kind: future, underlying: ETH, expires: 200s}
storm: 250s
"""
NODES = ("l1-builder", "l1-follower", "sequencer", "replica")
USERS = range(3, 11)
USER_WEI = 10_000 * 10**18
BOOT_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Rpc:
    """One node's public address, and a client without manners of its own."""

    host: str
    port: int

    @property
    def http(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://{self.host}:{self.port}"

    def ask(self, method: str, *params: Any) -> Any:
        """The whole reply of one call."""
        return self.post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))

    def call(self, method: str, *params: Any) -> Any:
        reply = self.ask(method, *params)
        assert "error" not in reply, reply["error"]
        return reply["result"]

    def error(self, method: str, *params: Any) -> dict[str, Any]:
        reply = self.ask(method, *params)
        assert "error" in reply, reply
        return dict(reply["error"])

    def post(self, body: str | bytes) -> Any:
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(self.http, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as reply:
            content = reply.read()
        return json.loads(content) if content else None

    def wait(self, condition: Callable[[], T | None], *, within: float = CALL_TIMEOUT_S, what: str = "") -> T:
        """What the condition gives, once it gives something; a bounded poll, for over HTTP there is nothing else."""
        deadline = time.monotonic() + within
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < deadline, f"not within {within} s: {what}"
            time.sleep(0.05)

    def receipt(self, name: str) -> dict[str, Any]:
        return dict(self.wait(lambda: self.call("eth_getTransactionReceipt", name), what=f"receipt of {name}"))


@dataclass(slots=True)
class Running:
    """A booted network, for tests in another thread than its loop."""

    loop: asyncio.AbstractEventLoop
    runtime: LocalRuntime
    stage: Stage

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(CALL_TIMEOUT_S)

    def rpc(self, role: str) -> Rpc:
        return Rpc(*self.runtime.rpc_endpoints()[role])


def make_plan(folder: Path, *, sequencers: int = 1, change: Callable[[Profile], Profile] = lambda p: p) -> Plan:
    """The nodes and the batcher alone, at a quick pace."""
    file = folder / "plan.yaml"
    file.write_text(SCENARIO % sequencers, encoding="utf-8")
    plan = plan_from_file(file)
    roles = tuple(spec for spec in plan.roles if spec.kind in (*NODES, "batcher"))
    quick = replace(
        plan.profile, l1_block_ms=1_000, l2_block_ms=250, network_bound_ms=200,
        # A batcher that a busy machine holds up for 20 s would else stop the safe head for good.
        sequencing_window_l1_blocks=240, brake_l1_blocks=200,
    )  # fmt: skip
    quick = change(quick.check())
    return replace(plan, profile=quick, faults=(), operations=(), latencies=(), roles=(*roles, *plan.of_kind("admin")))


def with_users(stage: Stage, folder: Path) -> Stage:
    """The stage with money for the users on both chains."""
    specs = []
    for spec in (stage.l1, stage.l2):
        assert spec.genesis_file is not None
        genesis = json.loads(spec.genesis_file.read_text())
        for index in USERS:
            genesis["alloc"].setdefault(account(index).address, {"balance": hex(USER_WEI)})
        file = folder / f"{spec.kind}.json"
        file.write_text(json.dumps(genesis))
        specs.append(replace(spec, genesis_file=file))
    return replace(stage, l1=specs[0], l2=specs[1])


def idle_admin(context: Any) -> Any:
    """The plan needs an admin for its venue; nobody administers anything here."""
    return _Idle() if context.spec.kind == "admin" else make_role(context)


class _Idle:
    async def run(self) -> None:
        await asyncio.Event().wait()


@contextmanager
def running(
    folder: Path, *, sequencers: int = 1, change: Callable[[Profile], Profile] = lambda profile: profile
) -> Iterator[Running]:
    """Boot a network and end it; its loop runs in a thread."""
    plan = make_plan(folder, sequencers=sequencers, change=change)
    stage = with_users(set_stage(plan, genesis_timestamp=int(time.time())), folder)
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="network")
    thread.start()
    try:
        async def boot() -> LocalRuntime:
            runtime = LocalRuntime(
                plan, idle_admin, logs=folder / "nodes", genesis_timestamp=stage.genesis_timestamp,
                engines=AnvilEngines(stage.l1, stage.l2), deployment=stage.deployment, accounts=stage.accounts,
                rpc_ports={spec.name: 0 for spec in plan.of_kind(*NODES)},  # type: ignore[arg-type]
                fault_api_port=0,
            )  # fmt: skip
            try:
                await runtime.boot()
            except BaseException:
                await runtime.shutdown()
                raise
            return runtime

        runtime = asyncio.run_coroutine_threadsafe(boot(), loop).result(BOOT_TIMEOUT_S)
        try:
            yield Running(loop, runtime, stage)
            assert runtime.problems == []
        finally:
            asyncio.run_coroutine_threadsafe(runtime.shutdown(), loop).result(BOOT_TIMEOUT_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(BOOT_TIMEOUT_S)
        loop.close()
