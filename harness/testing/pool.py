"""The networks of one test process: started when first asked for, kept for the next test, restored in between."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.anvil.scratch import ScratchFolder, sweep
from harness.network.values import NetworkFailure
from harness.scenario.folder import RunFolder
from harness.scenario.plan_file import plan_bytes
from harness.scenario.run import judge
from harness.testing.network import NetworkUnderTest
from harness.testing.wanted import WantedNetwork

KEPT_MAX = 3
"""Networks kept at once; the one used longest ago is ended for another."""
READY = "ready"


@dataclass(slots=True)
class _Kept:
    network: NetworkUnderTest
    scratch: ScratchFolder
    module: str
    used: int
    is_fresh: bool = True    # nobody has touched it since it was ready


class Pool:
    """Not for several threads: tests of one process run one after another."""

    def __init__(self, worker: str) -> None:
        """`worker` names this process among those of a test run."""
        self._worker = worker
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._number = 0
        sweep()

    def take(self, wanted: WantedNetwork, *, module: str) -> NetworkUnderTest:
        """A network as wanted, as it was when it became ready, or as its scope lets the tests before leave it.

        Raises:
            NetworkFailure, ToolError, EngineFailure: it did not come up.
        """
        self._number += 1
        key = (hashlib.sha256(plan_bytes(wanted.plan)).hexdigest(), f"{wanted.runtime} {wanted.scope} {wanted.warm:g}")
        kept = self._kept.get(key)
        if kept is not None and not self._is_usable(kept, wanted, module):
            self._end(key)
            kept = None
        if kept is None:
            while len(self._kept) >= KEPT_MAX:
                self._end(min(self._kept, key=lambda other: self._kept[other].used))
            kept = self._kept[key] = self._start(wanted, module)
        kept.module, kept.used, kept.is_fresh = module, self._number, False
        return kept.network

    def give_back(self, network: NetworkUnderTest) -> None:
        """The test is over: its faults are. One that cannot be healed costs the network."""
        for key, kept in list(self._kept.items()):
            if kept.network is network:
                try:
                    network.heal()
                except NetworkFailure:
                    self._end(key)

    def close(self) -> None:
        for key in list(self._kept):
            self._end(key)

    def _is_usable(self, kept: _Kept, wanted: WantedNetwork, module: str) -> bool:
        """Whether it is, or has been brought, into the state its scope promises."""
        stays = wanted.scope == "session" or (wanted.scope == "module" and kept.module == module)
        if kept.network.is_worn and not stays:
            return False
        try:
            if not stays and not kept.is_fresh:
                kept.network.load_snapshot(READY)
            return kept.network.status().state == "ready"
        except NetworkFailure:
            return False

    def _start(self, wanted: WantedNetwork, module: str) -> _Kept:
        scratch = ScratchFolder()
        try:
            network = self._started(wanted, scratch)
            try:
                if wanted.warm:
                    network.advance(wanted.warm)
                if wanted.scope != "session":
                    network.save_snapshot(READY)
                    # The first test, too, gets what every later one gets: a network brought back from its snapshot.
                    network.load_snapshot(READY)
            except BaseException:
                network.remove()
                raise
        except BaseException:
            scratch.remove()
            raise
        return _Kept(network, scratch, module, self._number)

    def _started(self, wanted: WantedNetwork, scratch: ScratchFolder) -> NetworkUnderTest:
        name = f"pytest-{self._worker}-{self._number}"
        if wanted.runtime == "sim":
            from harness.testing.sim_network import SimNetwork

            network = SimNetwork(wanted.plan, name=name, folder=scratch.path / "network")
            network.boot()
            return network
        from harness.testing.live_network import LiveNetwork

        return LiveNetwork.start_new(wanted.plan, name=name, runtime=wanted.runtime)

    def _end(self, key: tuple[str, str]) -> None:
        kept = self._kept.pop(key)
        try:
            kept.network.remove()
        finally:
            kept.scratch.remove()


def keep_evidence(network: NetworkUnderTest, test: str, out: Path) -> Path:
    """Copy what a failed test's network leaves behind into a folder of its own, and return that."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", test).strip("-")[-120:]
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "plan.json").write_bytes(plan_bytes(network.plan))
    if network.runtime != "compose":
        history = network.history().read_bytes()
        (folder / "history.jsonl").write_bytes(history)
        # With a result it is a run's folder like any other: `harness report` draws it.
        judge(
            network.plan, RunFolder(folder), network.runtime, (), hashlib.sha256(history).hexdigest(), {}, report=False
        )
    if (network.folder / "nodes").is_dir():
        shutil.copytree(network.folder / "nodes", folder / "nodes")
    return folder
