"""An L1 reorg: the builder replaces its last blocks. Nothing undoes it; it is over when every L1 node has the new ones.

Interrupted before the builder has its order, nothing happened; after it, all of it did.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.plan import PlannedReorg
from harness.ports import PortError
from harness.runtimes.injectors.stage import Stage


class ReorgInjector:
    """One order to the builder."""

    def __init__(self, stage: Stage, reorg: PlannedReorg, builders: Sequence[str]) -> None:
        self._stage = stage
        self._reorg = reorg
        self._builder = builders[0]
        self._told: dict[str, object] = {}
        self._seen: dict[str, object] = {}

    @property
    def target(self) -> str:
        return self._builder

    async def measure_before(self, *, seconds_max: float) -> None:
        return

    async def apply(self) -> None:
        order = {"depth": self._reorg.depth, "drops": self._reorg.drops}
        self._told = dict(await self._stage.order(self._builder, "reorg", order))

    async def measure_during(self, *, seconds_max: float) -> None:
        return

    async def measure_end(self) -> None:
        return

    async def heal(self) -> Sequence[str]:
        return ()

    async def is_healed(self, *, seconds_max: float) -> bool:
        """Whether every L1 node that runs has the block that replaced the old tip."""
        if not self._told:
            return True
        for role in self._stage.control.roles():
            if not role.startswith("l1-") or self._stage.is_held(role) or not await self._stage.is_alive(role):
                continue
            try:
                found = await self._stage.order(role, "block-at", {"number": self._number})
            except PortError as error:
                found = {"hash": None, "error": str(error)}
            self._seen[role] = found["hash"]
        return all(name == self._told["new"] for name in self._seen.values())

    @property
    def _number(self) -> int:
        fork, depth = self._told["fork"], self._told["depth"]
        assert isinstance(fork, int)
        assert isinstance(depth, int)
        return fork + depth

    def has_bitten(self) -> bool:
        return bool(self._told) and self._told["old"] != self._told["new"]

    def evidence(self) -> dict[str, object]:
        return {**self._told, "tip_at_l1_nodes": dict(self._seen)}
