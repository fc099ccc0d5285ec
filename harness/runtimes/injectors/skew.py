"""Clock skew: a role's wall clock is wrong by an offset, and goes wrong further by a drift; undone by setting it right.

Skews of several faults on one role add. Interrupted halfway, the roles already skewed are known and set right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.runtimes.injectors.stage import CONTROL_SECONDS_MAX, Stage

SHARE_SEEN = 0.5
"""A skew bit if the role's own clock moved by at least this share of it."""

HEALED_WITHIN_MS = 50.0
"""What a clock's error may differ from before: asking a process takes a moment."""


class SkewInjector:
    def __init__(
        self, stage: Stage, fault: str, targets: Sequence[str], *, offset_ms: float, drift_ppm: float
    ) -> None:
        self._stage = stage
        self._fault = fault
        self._targets = tuple(dict.fromkeys(targets))
        self._offset_ms = offset_ms
        self._drift_ppm = drift_ppm
        self._touched: dict[str, None] = {}
        self._before: dict[str, float] = {}
        self._during: dict[str, float] = {}
        self._end: dict[str, float] = {}
        self._after: dict[str, float] = {}
        self._applied_at = 0.0
        self._held_s = 0.0

    @property
    def target(self) -> str:
        return ", ".join(self._targets)

    async def measure_before(self, *, seconds_max: float) -> None:
        return  # taken in `apply`: it costs no waiting, and is the truer the later it is

    async def apply(self) -> None:
        self._before = await self._offsets(self._targets)
        for role in self._targets:
            self._touched[role] = None
            self._stage.skews.setdefault(role, {})[self._fault] = (self._offset_ms, self._drift_ppm)
            await self._set(role)
        self._applied_at = asyncio.get_running_loop().time()

    async def measure_during(self, *, seconds_max: float) -> None:
        self._during = await self._offsets(self._targets)

    async def measure_end(self) -> None:
        self._end = await self._offsets(self._targets)
        self._held_s = asyncio.get_running_loop().time() - self._applied_at

    async def heal(self) -> Sequence[str]:
        failures: list[str] = []
        for role in self._touched:
            self._stage.skews.get(role, {}).pop(self._fault, None)
            try:
                await self._set(role)
            except Exception as error:
                failures.append(f"{role}: {type(error).__name__}: {error}")
        return failures

    async def is_healed(self, *, seconds_max: float) -> bool:
        free = [role for role in self._touched if not self._stage.skews.get(role)]
        up = [role for role in free if not self._stage.is_held(role) and await self._stage.is_alive(role)]
        self._after = await self._offsets(up)
        return all(abs(offset) <= HEALED_WITHIN_MS for offset in self._after.values())

    def has_bitten(self) -> bool:
        return bool(self._targets) and all(self._target_felt_it(role) for role in self._targets)

    def evidence(self) -> dict[str, object]:
        return {
            "clock_error_ms": {
                role: {
                    name: round(found[role], 3)
                    for name, found in (
                        ("before", self._before), ("during", self._during), ("end", self._end), ("after", self._after)
                    )
                    if role in found
                }
                for role in self._targets
            }
        }  # fmt: skip

    def _target_felt_it(self, role: str) -> bool:
        if role not in self._before:
            return False
        if self._offset_ms:
            moved = self._during.get(role, self._before[role]) - self._before[role]
            return moved * self._offset_ms > 0 and abs(moved) >= SHARE_SEEN * abs(self._offset_ms)
        expected = self._drift_ppm * self._held_s / 1000.0  # ppm of seconds, in ms
        moved = self._end.get(role, self._before[role]) - self._before[role]
        return moved * expected > 0 and abs(moved) >= SHARE_SEEN * abs(expected)

    async def _set(self, role: str) -> None:
        skews = self._stage.skews.get(role, {}).values()
        async with asyncio.timeout(CONTROL_SECONDS_MAX):
            await self._stage.control.skew(
                role, offset_ms=sum(offset for offset, _ in skews), drift_ppm=sum(drift for _, drift in skews)
            )

    async def _offsets(self, roles: Sequence[str]) -> dict[str, float]:
        async with asyncio.timeout(CONTROL_SECONDS_MAX):
            return {role: await self._stage.control.clock_offset(role) for role in roles}
