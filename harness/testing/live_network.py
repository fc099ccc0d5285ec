"""A network of processes as a test sees it: `harness up`, tied to the test's process, asked over HTTP."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from harness.anvil.scratch import ScratchFolder
from harness.network.client import NetworkClient
from harness.network.owner import Wanted
from harness.network.places import STATE
from harness.network.ports import ANY
from harness.network.starting import up
from harness.network.values import NetworkFailure, NetworkMisuse
from harness.plan import Plan
from harness.project_plan import ProjectCodec
from harness.rollup.blocks import Hash, Log
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
        # Ours only; the project's events are the codec's.
        own = {item.address for item in (plan.project.contracts if plan.project is not None else ())}
        self._contracts = {item.key: item.address for item in self.contracts() if item.address not in own}

    @classmethod
    def start_new(cls, plan: Plan, *, name: str, runtime: str) -> LiveNetwork:
        """Start one and wait for its first block. Raises NetworkFailure."""
        scratch = ScratchFolder()
        try:
            with _state_in(scratch.path):
                return cls(up(Wanted(plan, name=name, runtime=runtime, ports=ANY), tied=True), plan, scratch)
        except BaseException:
            scratch.remove()
            raise

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

    def history(self) -> Path:
        raise NetworkMisuse("a network of processes keeps no history to be judged by; use runtime=\"sim\" for check")

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
