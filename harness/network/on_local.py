"""A network on this machine: a process per role under one zygote."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.network.claim import Claim, process_mark
from harness.network.live import Origin
from harness.plan import Plan
from harness.runtimes.local.runtime import LocalRuntime
from harness.runtimes.local.world import OUR_ROLES, AnvilEngines
from harness.runtimes.local.zygote_client import ZygoteProcess
from harness.scenario.stage import Stage, set_stage
from harness.toolchain import anvil_binary

if TYPE_CHECKING:
    from harness.network.owner import Wanted


class LocalPlatform:
    """Satisfies `Platform`. The zygote is started first: it imports while the stage is set."""

    def __init__(self, claim: Claim, rpc_ports: dict[str, int], wanted: Wanted) -> None:
        self._claim = claim
        self._ports = rpc_ports
        self._wanted = wanted
        self._zygote: ZygoteProcess | None = None
        self._prepare()

    def stage(self, plan: Plan, genesis_timestamp: int | None) -> Stage:
        return set_stage(plan, genesis_timestamp=int(time.time()) if genesis_timestamp is None else genesis_timestamp)

    def make(self, origin: Origin) -> LocalRuntime:
        zygote = self._zygote or self._prepare()
        self._zygote = None   # it is the runtime's from now on
        runtime = LocalRuntime(
            origin.plan,
            OUR_ROLES,
            logs=self._claim.folder / "nodes",
            genesis_timestamp=origin.stage.genesis_timestamp,
            engines=AnvilEngines(origin.stage.l1, origin.stage.l2, anvil_binary()),
            deployment=origin.stage.deployment,
            accounts=origin.stage.accounts,
            zygote=zygote,
            rpc_ports=self._ports,
            fault_api_port=self._wanted.ports.fault_api,
            keeps_history=self._wanted.keeps_history,
            saved=None if origin.saved is None else origin.saved.stores,
        )
        self._claim.write(temporary=[str(runtime.temporary)])
        return runtime

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def _prepare(self) -> ZygoteProcess:
        self._zygote = ZygoteProcess(preload=("harness.roles.registry",))
        self._claim.write(processes=[process_mark(self._zygote.pid)])
        return self._zygote
