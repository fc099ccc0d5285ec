"""A lying node: answers dropped, wrong, late or old; undone by taking its own rules off every node it reached.

Interrupted halfway, the nodes it had reached are known and made honest. Nothing of a lie outlives its rule but what the
liar's clients made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from harness.faults.rules import RpcCounters, RpcRule
from harness.runtimes.injectors.stage import PROBE_SECONDS, Stage


class LieInjector:
    """One rule at some nodes."""

    def __init__(self, stage: Stage, fault: str, rule: RpcRule, nodes: Sequence[str]) -> None:
        self._stage = stage
        self._fault = fault
        self._rule = rule
        self._nodes = tuple(dict.fromkeys(nodes))
        self._touched: dict[str, None] = {}
        self._told: dict[str, RpcCounters] = {}
        self._at_heal: dict[str, int] = {}
        """Node → lies told when it was made honest, or when it could first be asked after that."""
        self._rtt_after: dict[str, float | None] = {}
        self._lied_after_heal = 0

    @property
    def target(self) -> str:
        return ", ".join(self._nodes)

    async def measure_before(self, *, seconds_max: float) -> None:
        return  # a lie is counted where it is told

    async def apply(self) -> None:
        for node in self._nodes:
            self._touched[node] = None
            await self._stage.add_lie(self._fault, node, self._rule)

    async def measure_during(self, *, seconds_max: float) -> None:
        return

    async def measure_end(self) -> None:
        for node in self._nodes:
            await self._count(node)

    async def heal(self) -> Sequence[str]:
        failures: list[str] = []
        for node in self._touched:
            try:
                await self._stage.remove_lie(self._fault, node)
                # What was told between the last count and the heal belongs to the fault too.
                if await self._count(node):
                    self._at_heal[node] = self._told[node].lied
            except Exception as error:
                failures.append(f"{node}: {type(error).__name__}: {error}")
        return failures

    async def is_healed(self, *, seconds_max: float) -> bool:
        """No lie was told since the heal, and every node that should answers."""
        self._lied_after_heal = 0
        for node in self._touched:
            if not await self._count(node):
                continue
            lied = self._told[node].lied
            self._lied_after_heal += max(0, lied - self._at_heal.setdefault(node, lied))
            self._rtt_after[node] = await self._stage.probe_role(node, seconds_max=min(seconds_max, PROBE_SECONDS))
        return not self._lied_after_heal and all(rtt is not None for rtt in self._rtt_after.values())

    async def _count(self, node: str) -> bool:
        """Note what a node has told, unless it is down and cannot say."""
        if self._stage.is_held(node) or not await self._stage.is_alive(node):
            return False
        told = await self._stage.lies_told(self._fault, node)
        if told.lied >= self._told.get(node, RpcCounters()).lied:  # a node that was started again counts from 0
            self._told[node] = told
        return True

    def has_bitten(self) -> bool:
        return any(told.lied > 0 for told in self._told.values())

    def evidence(self) -> dict[str, object]:
        return {
            "action": self._rule.action,
            "requests": {node: asdict(told) for node, told in self._told.items()},
            "lied": sum(told.lied for told in self._told.values()),
            "lied_after_heal": self._lied_after_heal,
            "rtt_after_ms": {node: None if rtt is None else round(rtt, 3) for node, rtt in self._rtt_after.items()},
        }
