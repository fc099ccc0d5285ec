"""The process that owns a network: claims its name, boots it, answers on its control socket, and ends it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

import uvloop

from harness.network import snapshots
from harness.network.claim import Claim
from harness.network.control import control_socket
from harness.network.live import LiveNetwork, Origin, Platform
from harness.network.places import DEFAULT
from harness.network.ports import Ports, refuse_taken, rpc_ports, settled
from harness.network.values import NetworkFailure, NetworkMisuse
from harness.plan import Plan
from harness.scenario.plan_file import plan_bytes

RUNTIMES = ("local", "compose", "swarm")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A network to start. `snapshot` names a saved state to start from; the plan is then that one's."""

    plan: Plan
    name: str = DEFAULT
    runtime: str = "local"
    ports: Ports = field(default_factory=Ports)
    keeps_history: bool = False
    snapshot: str | None = None

    def resolved(self) -> tuple[Plan, snapshots.Saved | None]:
        """Raises `NetworkMisuse`: there is no such snapshot."""
        if self.snapshot is None:
            return self.plan, None
        saved = snapshots.load(self.snapshot)
        return saved.plan, saved


def own(wanted: Wanted, on_ready: Callable[[LiveNetwork], None], *, parent: int | None = None) -> None:
    """Run a network until somebody stops it: a signal, `stop` on its socket, or the end of `parent`'s pipe.

    `on_ready` is called on the network's loop, once. A signal before that is a KeyboardInterrupt, after everything has
    ended; later it is how a network ends.

    Raises:
        NetworkMisuse, NetworkFailure, ScenarioError: it could not be started, and nothing of it is left; or, a
            `NetworkFailure`, it broke down, and its folder is kept.
        ToolError, EngineFailure, BootFailure, OSError: the same, of what is under it.
    """
    plan, saved = wanted.resolved()
    chosen = rpc_ports(plan, wanted.ports)
    claim = Claim.take(wanted.name)
    keep_folder = False
    try:
        refuse_taken(chosen, wanted.ports.fault_api)
        claim.write(runtime=wanted.runtime)
        chosen, fault_api = settled(chosen, wanted.ports.fault_api)
        with _Signals() as signals:
            platform = _platform(replace(wanted, ports=replace(wanted.ports, fault_api=fault_api)), claim, chosen)
            try:
                (claim.folder / "plan.json").write_bytes(plan_bytes(plan))
                stage = platform.stage(plan, None if saved is None else saved.genesis_timestamp)
                gc.freeze()   # what was imported will be there to the end
                gc.enable()
                network = LiveNetwork(wanted.name, wanted.runtime, claim.folder, platform)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(_live(network, Origin(plan, stage, saved), on_ready, signals, parent))
            finally:
                platform.close()
        if network.breakdown:
            keep_folder = True
            claim.write(ended=network.breakdown, left=network.left_behind)
            raise NetworkFailure(
                f"network {wanted.name} broke down: {network.breakdown}; its logs are in {claim.folder}"
            )
    finally:
        claim.release(keep_folder=keep_folder)


async def _live(
    network: LiveNetwork,
    origin: Origin,
    on_ready: Callable[[LiveNetwork], None],
    signals: _Signals,
    parent: int | None,
) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    signals.then(lambda: loop.call_soon_threadsafe(task.cancel))
    if parent is not None:
        loop.add_reader(parent, lambda: _parent_moved(network, parent))
    try:
        async with control_socket(network):
            await network.start(origin)
            signals.then(lambda: loop.call_soon_threadsafe(network.ended.set))
            on_ready(network)
            await network.ended.wait()
    finally:
        if parent is not None:
            loop.remove_reader(parent)
        await network.close()


def _parent_moved(network: LiveNetwork, parent: int) -> None:
    """It never writes: what can be read is its end."""
    if not os.read(parent, 1):
        asyncio.get_running_loop().remove_reader(parent)
        network.ended.set()


def _platform(wanted: Wanted, claim: Claim, ports: dict[str, int]) -> Platform:
    if wanted.runtime == "local":
        from harness.network.on_local import LocalPlatform

        return LocalPlatform(claim, ports, wanted)
    if wanted.runtime in ("compose", "swarm"):
        from harness.network.on_compose import ComposePlatform

        return ComposePlatform(claim, ports, wanted)
    raise NetworkMisuse(f"no runtime for networks is called {wanted.runtime!r}; there are {', '.join(RUNTIMES)}")


class _Signals:
    """SIGINT, SIGTERM and SIGHUP: KeyboardInterrupt at first, and once there is a loop, what it says. Never twice."""

    def __init__(self) -> None:
        self._react: Callable[[], object] | None = None
        self._has_come = False
        self._before: dict[int, Any] = {}

    def then(self, react: Callable[[], object]) -> None:
        """From now on, this. The first signal counts, and one that came is not forgotten."""
        self._react = react

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:   # nohup wants it so
                self._before[number] = before
                signal.signal(number, self._came)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if isinstance(error, asyncio.CancelledError) and self._has_come:
            raise KeyboardInterrupt from None

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self._has_come:
            return
        self._has_come = True
        if self._react is None:
            raise KeyboardInterrupt
        self._react()
