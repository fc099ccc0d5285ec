"""Cpu: a role may use so much of a processor and no more; undone by giving it back what it had.

Measured by the kernel's own count of the periods in which it held the role back. Interrupted halfway, the roles already
squeezed are known and set free; a role that was killed meanwhile comes back with its old limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.ports import CpuControl
from harness.runtimes.injectors.stage import CONTROL_SECONDS_MAX, Stage


class CpuInjector:
    def __init__(
        self, stage: Stage, control: CpuControl, fault: str, targets: Sequence[str], *, cores: float
    ) -> None:
        self._stage = stage
        self._control = control
        self._fault = fault
        self._targets = tuple(dict.fromkeys(targets))
        self._cores = cores
        self._touched: dict[str, None] = {}
        self._limit_before: dict[str, float | None] = {}
        self._limit_during: dict[str, float | None] = {}
        self._limit_after: dict[str, float | None] = {}
        self._throttled_before: dict[str, int] = {}
        self._throttled: dict[str, int] = {}

    @property
    def target(self) -> str:
        return ", ".join(self._targets)

    async def measure_before(self, *, seconds_max: float) -> None:
        return

    async def apply(self) -> None:
        for role in self._targets:
            async with asyncio.timeout(CONTROL_SECONDS_MAX):
                self._limit_before[role] = await self._control.cpu_limit(role)
                self._throttled_before[role] = await self._control.cpu_throttled(role)
                self._touched[role] = None
                await self._control.limit_cpu(role, self._cores)
                self._limit_during[role] = await self._control.cpu_limit(role)

    async def measure_during(self, *, seconds_max: float) -> None:
        return

    async def measure_end(self) -> None:
        for role in self._touched:
            async with asyncio.timeout(CONTROL_SECONDS_MAX):
                self._throttled[role] = await self._control.cpu_throttled(role) - self._throttled_before[role]

    async def heal(self) -> Sequence[str]:
        failures: list[str] = []
        for role in self._touched:
            try:
                async with asyncio.timeout(CONTROL_SECONDS_MAX):
                    await self._control.limit_cpu(role, None)
            except Exception as error:
                failures.append(f"{role}: {type(error).__name__}: {error}")
        return failures

    async def is_healed(self, *, seconds_max: float) -> bool:
        for role in self._touched:
            async with asyncio.timeout(CONTROL_SECONDS_MAX):
                self._limit_after[role] = await self._control.cpu_limit(role)
        return all(self._limit_after[role] == self._limit_before[role] for role in self._touched)

    def has_bitten(self) -> bool:
        return bool(self._targets) and all(self._throttled.get(role, 0) > 0 for role in self._targets)

    def evidence(self) -> dict[str, object]:
        return {
            "targets": {
                role: {
                    "cores_before": self._limit_before.get(role),
                    "cores_during": self._limit_during.get(role),
                    "cores_after": self._limit_after.get(role),
                    "periods_throttled": self._throttled.get(role),
                }
                for role in self._targets
            }
        }
