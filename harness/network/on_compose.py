"""A network in containers: a container per role, with the public ports published on 127.0.0.1."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from harness.network.claim import Claim
from harness.network.live import Origin
from harness.plan import Plan
from harness.roles.registry import make_role
from harness.runtimes.compose.runtime import ComposeRuntime
from harness.runtimes.compose.swarm import SwarmRuntime
from harness.runtimes.local.world import AnvilEngines
from harness.scenario.stage import Stage, set_stage

if TYPE_CHECKING:
    from harness.network.owner import Wanted


class ComposePlatform:
    """Satisfies `Platform`. What a killed owner leaves is found by the label of its lock, by the next that starts."""

    def __init__(self, claim: Claim, rpc_ports: dict[str, int], wanted: Wanted) -> None:
        self._claim = claim
        self._ports = rpc_ports
        self._wanted = wanted

    def stage(self, plan: Plan, genesis_timestamp: int | None) -> Stage:
        return set_stage(plan, genesis_timestamp=int(time.time()) if genesis_timestamp is None else genesis_timestamp)

    def make(self, origin: Origin) -> ComposeRuntime:
        return (SwarmRuntime if self._wanted.runtime == "swarm" else ComposeRuntime)(
            origin.plan,
            make_role,
            folder=self._claim.folder,
            genesis_timestamp=origin.stage.genesis_timestamp,
            engines=AnvilEngines(origin.stage.l1, origin.stage.l2),
            deployment=origin.stage.deployment,
            accounts=origin.stage.accounts,
            rpc_ports=self._ports,
            fault_api_port=self._wanted.ports.fault_api,
            keeps_history=self._wanted.keeps_history,
            saved=None if origin.saved is None else origin.saved.stores,
            network=self._wanted.name,
            narrate=_narrate,
        )

    def close(self) -> None:
        """Nothing was prepared."""


def _narrate(line: str) -> None:
    """To the terminal in the foreground, and to the owner's log once it is detached."""
    print(line, file=sys.stderr, flush=True)
