"""A network in virtual time inside the test's own process: the test says how long it runs, and it stands still between.

It satisfies `harness.network.handle.Network`. A snapshot is what every role has on disk at one moment, as if all lost
power; bringing it back starts the roles from there at that moment, on a new virtual loop over the same Anvils, which
have executed those blocks already. So it costs milliseconds, and a test sees nothing of the one before it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from harness.network.descriptions import accounts_of, contracts_of
from harness.network.values import (
    Contract,
    Endpoint,
    HandFault,
    NamedAccount,
    NetworkFailure,
    NetworkMisuse,
    NetworkStatus,
    RoleStatus,
    Snapshot,
)
from harness.plan import CHAIN_OF_KIND
from harness.ports import RpcService
from harness.roles.jsonrpc.service import NO_SESSION
from harness.scenario.errors import did_you_mean
from harness.testing.committed import SeenEvent
from harness.testing.sim_world import SimWorld

T = TypeVar("T")
FIRST_BLOCK_SECONDS_MAX = 60.0
SERVED_SECONDS_MAX = 10.0
STEP_S = 0.05
EXECUTED_MAX = 5_000
"""Blocks, of all tests together; the engines and their journals keep each of them."""


class SimNetwork(SimWorld):
    """Everything blocks, and returns at a moment of virtual time. Not for several threads."""

    def __repr__(self) -> str:
        where = "stopped" if self._loop is None else f"at {self.now:.2f} s, L2 block {self.height}"
        return f"<network {self.name} (sim) {where}>"

    # -- its life

    def boot(self) -> None:
        """Boot, and return when the first block is committed.

        Raises:
            NetworkFailure: it did not come up. ToolError, EngineFailure: what is under it failed.
        """
        try:
            self.begin(None)
            self.wait_until(lambda: self.committed.number > 0, within=FIRST_BLOCK_SECONDS_MAX)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.end()
        self._engines.really_close()
        self._moments.clear()

    def remove(self) -> None:
        """Stop, and leave no file behind."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- time

    def advance(self, seconds: float) -> None:
        """Let so much virtual time pass. Raises NetworkFailure if a role fails meanwhile."""
        if seconds < 0:
            raise NetworkMisuse(f"time cannot go back by {-seconds:g} s; load a snapshot")
        self.run(asyncio.sleep(seconds))

    def jump(self, seconds: float) -> None:
        """Skip so much time at once: everything is off meanwhile, as in an outage, and starts again from its disk.

        For timers of days, which would take `advance` a block every half second. The venue sees the outage it is:
        its grace for liquidations begins. Faults that are on are healed first; what was pending is forgotten.
        """
        if seconds < 0:
            raise NetworkMisuse(f"time cannot go back by {-seconds:g} s; load a snapshot")
        self.heal()
        moment = self.moment("jump")
        self.end()
        self.begin(replace(moment, now_ns=moment.now_ns + round(seconds * 1e9)))
        there = self._stage.genesis_timestamp + int(self.now)

        def has_arrived() -> bool:
            """The first blocks still stand on the L1 of before, which holds their clock back."""
            newest = self.committed.blocks(above=self.height - 1)
            return bool(newest) and newest[-1].timestamp >= there

        if not self.wait_until(has_arrived, within=FIRST_BLOCK_SECONDS_MAX):
            raise NetworkFailure(f"the chain's clock did not arrive within {FIRST_BLOCK_SECONDS_MAX:g} s of the jump")

    def wait_until(self, condition: Callable[[], T], *, within: float, step: float = STEP_S) -> T | None:
        """Let time pass until the condition is true, and return what it returned; None when `within` s are over."""
        deadline_ns = self._running().now_ns + round(within * 1e9)
        while not (found := condition()):
            left_s = (deadline_ns - self._running().now_ns) / 1e9
            if left_s <= 0:
                return None
            self.advance(min(step, left_s))
        return found

    # -- what it has done

    @property
    def height(self) -> int:
        return self.committed.number

    @property
    def is_worn(self) -> bool:
        """So much has been executed that starting anew costs less than keeping it all."""
        return sum(counts.executed for counts in self._engines.counts().values()) > EXECUTED_MAX

    def web3(self, role: str | None = None) -> Any:
        from harness.testing.provider import sim_web3  # web3 takes most of a second to import

        return sim_web3(self, role)

    def events(self, name: str | None = None, *, above: int = 0) -> list[SeenEvent]:
        """Events of committed blocks above a height: all, those called `Name`, or those of `contract.Name`."""
        return list(self.committed.events(name, above=above))

    # -- the handle

    def status(self) -> NetworkStatus:
        roles = [RoleStatus(spec.name, spec.kind, self._states[spec.name], None) for spec in self.plan.roles]
        return NetworkStatus(
            name=self.name, runtime=self.runtime, state="ready", pid=0, folder=str(self.folder), clock_s=self.now,
            l1_block=self.committed.l1_block, l2_block=self.committed.number, leader=self.committed.leader,
            roles=tuple(roles), faults=self._faults.on(), problems=tuple(self._problem_lines()),
        )  # fmt: skip

    def endpoints(self) -> tuple[Endpoint, ...]:
        """None: a simulated network has no ports; ask `rpc`."""
        return ()

    def accounts(self) -> tuple[NamedAccount, ...]:
        return accounts_of(self.plan)

    def contracts(self) -> tuple[Contract, ...]:
        return contracts_of(self._stage, self.plan.project)

    def nodes(self) -> list[str]:
        """Roles that answer JSON-RPC of L2, those alive, replicas first: they follow whoever has the quorum."""
        kinds = ("replica", "sequencer")
        found = [spec for spec in self.plan.roles if CHAIN_OF_KIND.get(spec.kind) == "l2"]
        found.sort(key=lambda spec: kinds.index(spec.kind))
        return [spec.name for spec in found if self._states[spec.name] == "running"]

    def rpc(self, request: bytes, *, role: str | None = None) -> bytes | None:
        """The answer of a node to a JSON-RPC request; of the first that runs, unless a role is named."""
        nodes = [role] if role is not None else self.nodes()
        if not nodes:
            raise NetworkFailure(f"no node of network {self.name} is running")
        service = self._service(nodes)
        if service is None:   # it has just been started, and reads its journal
            service = self.wait_until(lambda: self._service(nodes), within=SERVED_SECONDS_MAX)
        if service is None:
            raise NetworkMisuse(f"{' and '.join(nodes)} answers no JSON-RPC: it is down, or no node")
        return self.run(service.answer(request, NO_SESSION))

    def _service(self, nodes: Sequence[str]) -> RpcService | None:
        """JSON-RPC of the first of these nodes that has it now."""
        for node in nodes:
            with suppress(KeyError):
                return self._runtime.rpc_of(node)
        return None

    def _wait_until_served(self) -> None:
        """Let the roles that were just started read what they have on disk, until all of them answer."""
        nodes = [spec.name for spec in self.plan.roles if CHAIN_OF_KIND.get(spec.kind) == "l2"]
        if not self.wait_until(
            lambda: all(self._service([node]) for node in nodes), within=SERVED_SECONDS_MAX, step=0.01
        ):
            raise NetworkFailure(f"not all of {', '.join(nodes)} came back within {SERVED_SECONDS_MAX:g} s")

    def fault(self, fault: Mapping[str, Any]) -> HandFault:
        put_on = self.run(self._faults.put_on(fault))
        if put_on.word in ("kill", "pause"):
            for role in self.plan.roles:
                if role.name in put_on.target.split(", "):
                    self._states[role.name] = "dead" if put_on.word == "kill" else "paused"
        return put_on

    def faults(self) -> tuple[HandFault, ...]:
        return self._faults.all()

    def heal(self, fault: str | None = None) -> tuple[HandFault, ...]:
        healed = self.run(self._faults.heal(fault))
        for item in healed:
            if item.word in ("kill", "pause"):
                self._states.update({role: "running" for role in item.target.split(", ") if role in self._states})
        return healed

    def kill(self, role: str) -> None:
        self._known(role)
        self.run(self._runtime.kill(role))
        self._states[role] = "dead"

    def start(self, role: str) -> None:
        self._known(role)
        self.run(self._runtime.start(role))
        self._states[role] = "running"

    def log(self, role: str) -> Path:
        """Roles in one process have no logs; what they say is in the history."""
        self._known(role)
        return self.history()

    def restart(self, role: str) -> None:
        self.kill(role)
        self.start(role)

    def pause(self, role: str) -> None:
        self._known(role)
        self.run(self._runtime.pause(role))
        self._states[role] = "paused"

    def resume(self, role: str) -> None:
        self._known(role)
        self.run(self._runtime.resume(role))
        self._states[role] = "running"

    # -- snapshots

    def save_snapshot(self, name: str) -> Snapshot:
        self._moments[name] = self.moment(name)
        return self._moments[name].about

    def load_snapshot(self, name: str) -> Snapshot:
        """Bring a moment back: its state, its time, its history. Faults, and what was sent and not stored, are gone."""
        moment = self._moments.get(name)
        if moment is None:
            there = did_you_mean(name, self._moments) or f"; there are {', '.join(self._moments) or 'none'}"
            raise NetworkMisuse(f'no snapshot is called "{name}"{there}')
        self.end()
        self._engines.return_to(moment.heads)
        self.begin(moment)
        self._wait_until_served()
        return moment.about

    def snapshots(self) -> tuple[Snapshot, ...]:
        return tuple(moment.about for moment in self._moments.values())

    # -- inside

    def _known(self, role: str) -> None:
        if role not in self._states:
            hint = did_you_mean(role, self._states) or f"; there are {', '.join(self._states)}"
            raise NetworkMisuse(f'no role is called "{role}"{hint}')



