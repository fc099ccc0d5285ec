"""A network of processes as a test sees it: `harness up`, tied to the test's process, asked over HTTP."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson

from harness.anvil.scratch import ScratchFolder
from harness.evm.accounts import account
from harness.network.client import NetworkClient
from harness.network.owner import Wanted
from harness.network.places import STATE
from harness.network.ports import ANY
from harness.network.starting import up
from harness.network.values import HandFault, NetworkFailure, NetworkMisuse, Snapshot
from harness.plan import Plan
from harness.project_plan import ProjectCodec
from harness.rollup.blocks import Hash, Log
from harness.runtimes.local.merging import merge_histories
from harness.runtimes.processes import RUNNER
from harness.scenario.stage import versions
from harness.testing.committed import SeenEvent
from harness.venue.exchange import decode_log

T = TypeVar("T")
STEP_S = 0.05
ADVANCE_S_MAX = 120.0


class LiveNetwork(NetworkClient):
    """Satisfies `NetworkUnderTest`. Its state folder is a temporary one, removed by the next run after a SIGKILL."""

    def __init__(self, client: NetworkClient, plan: Plan, scratch: ScratchFolder) -> None:
        super().__init__(client.name, client.folder, client.runtime, tie=client._tie)
        client._tie = -1   # it is this one's now
        self.plan = plan
        self._scratch = scratch
        self._codec = ProjectCodec(plan.project)
        self._faults_done: list[dict[str, Any]] = []
        """Records of the faults since the network was last restored."""
        # Ours only; the project's events are the codec's.
        own = {item.address for item in (plan.project.contracts if plan.project is not None else ())}
        self._contracts = {item.key: item.address for item in self.contracts() if item.address not in own}

    @classmethod
    def start_new(cls, plan: Plan, *, name: str, runtime: str) -> LiveNetwork:
        """Start one and wait for its first block. Raises NetworkFailure."""
        scratch = ScratchFolder()
        wanted = Wanted(plan, name=name, runtime=runtime, ports=ANY, keeps_history=True)
        try:
            with _state_in(scratch.path):
                return cls(up(wanted, tied=True), plan, scratch)
        except BaseException:
            scratch.remove()
            raise

    def __repr__(self) -> str:
        return f"<network {self.name} ({self.runtime}) in {self.folder}>"

    @property
    def now(self) -> float:
        return self.status().clock_s

    @property
    def height(self) -> int:
        return self.status().l2_block

    @property
    def is_worn(self) -> bool:
        return False   # its nodes keep what they need and no more

    def advance(self, seconds: float) -> None:
        """Real time: wait for what you need instead, where you can."""
        if not 0 <= seconds <= ADVANCE_S_MAX:
            raise NetworkMisuse(f"advance({seconds:g}) takes real time here; 0 to {ADVANCE_S_MAX:g} s, or runtime sim")
        time.sleep(seconds)

    def jump(self, seconds: float) -> None:
        raise NetworkMisuse(f"{seconds:g} s cannot be skipped where time is real; use runtime=\"sim\"")

    def wait_until(self, condition: Callable[[], T], *, within: float) -> T | None:
        deadline = time.monotonic() + within
        while not (found := condition()):
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(STEP_S, left))
        return found

    def web3(self, role: str | None = None) -> Any:
        from web3 import HTTPProvider, Web3

        return Web3(HTTPProvider(self._url(role)))

    def events(self, name: str | None = None, *, above: int = 0) -> list[SeenEvent]:
        contract, _, wanted = (name or "").rpartition(".")
        w3 = self.web3()
        top = self.height
        found: list[SeenEvent] = []
        for raw in w3.eth.get_logs({"fromBlock": above + 1, "toBlock": top}) if top > above else ():
            topics = tuple(Hash("0x" + bytes(topic).hex()) for topic in raw["topics"])
            log = Log(str(raw["address"]).lower(), topics, bytes(raw["data"]))
            event = self._codec.event(log) or decode_log(log, self._contracts)
            if event is None or (wanted and event.name != wanted) or (contract and event.contract != contract):
                continue
            timestamp = w3.eth.get_block(raw["blockNumber"])["timestamp"]
            hash_ = "0x" + bytes(raw["transactionHash"]).hex()
            found.append(SeenEvent(event.name, event.contract, dict(event.args), raw["blockNumber"], timestamp, hash_))
        return found

    # -- what it has done, for checks

    def fault(self, fault: Mapping[str, Any]) -> HandFault:
        made = super().fault(fault)
        self._note(made, "inject", made.began_s)
        return made

    def heal(self, fault: str | None = None) -> tuple[HandFault, ...]:
        healed = super().heal(fault)
        now = self.now
        for item in healed:
            self._note(item, "heal", now)
        return healed

    def load_snapshot(self, name: str) -> Snapshot:
        about = super().load_snapshot(name)
        self._faults_done.clear()
        return about

    def history(self) -> Path:
        """What its processes have written so far, with the faults of this test."""
        nodes = self.folder / "nodes"
        if self.runtime == "swarm":
            raise NetworkMisuse("the history of a swarm's network lies on its nodes; use sim, local or compose")
        # A container writes into a folder of its own.
        parts = [
            (nodes / spec.name if self.runtime == "compose" else nodes) / f"{spec.name}.history.jsonl"
            for spec in self.plan.roles
        ]
        accounts = {spec.name: account(spec.account).address for spec in self.plan.roles if spec.account is not None}
        began = {
            "t": 0, "node": RUNNER, "kind": "run", "scenario": self.plan.scenario, "seed": self.plan.seed,
            "runtime": self.runtime, "versions": versions(), "deployment": self._contracts, "accounts": accounts,
            "genesis_timestamp": self.web3().eth.get_block(0)["timestamp"],
        }  # fmt: skip
        own = self._scratch.path / "own.jsonl"
        own.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in (began, *self._faults_done)))
        whole = self._scratch.path / "history.jsonl"
        merge_histories([own, *parts], whole)
        return whole

    def _note(self, fault: HandFault, phase: str, at_s: float) -> None:
        self._faults_done.append({
            "t": round(at_s * 1e9), "node": RUNNER, "kind": "fault", "id": fault.id, "fault": fault.word,
            "phase": phase, "target": fault.target, "detail": {"text": fault.text},
        })  # fmt: skip

    def remove(self) -> None:
        with suppress(NetworkFailure), _state_in(self._scratch.path):   # it may be gone already
            self.stop()
        self._scratch.remove()

    def _url(self, role: str | None) -> str:
        nodes = [item for item in self.endpoints() if item.chain == "l2"]
        nodes.sort(key=lambda item: item.kind != "replica")
        if role is not None:
            nodes = [item for item in self.endpoints() if item.role == role]
        if not nodes:
            raise NetworkMisuse(f"no node {role or ''} answers JSON-RPC now")
        return nodes[0].http


@contextmanager
def _state_in(folder: Path) -> Iterator[None]:
    """Meanwhile networks live in this folder, not among the user's own."""
    before = os.environ.get(STATE)
    os.environ[STATE] = str(folder / "state")
    try:
        yield
    finally:
        if before is None:
            del os.environ[STATE]
        else:
            os.environ[STATE] = before
