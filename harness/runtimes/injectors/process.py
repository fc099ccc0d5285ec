"""What faults of a role share: targets that stop answering, and answer again when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.runtimes.injectors.stage import CONTROL_SECONDS_MAX, PROBE_SECONDS, Stage

BRING_BACK_SECONDS_MAX = 30.0
"""A role that starts again boots its node and recovers from its store, maybe on a machine that has much else to do."""


class ProcessInjector:
    """Takes roles out, one after the other. Healing brings back those no other fault still holds."""

    how = ""

    def __init__(self, stage: Stage, fault: str, targets: Sequence[str]) -> None:
        self._stage = stage
        self._fault = fault
        self._targets = tuple(dict.fromkeys(targets))
        self._touched: dict[str, None] = {}
        self._alive_before: dict[str, bool] = {}
        self._alive_during: dict[str, bool] = {}
        self._rtt_before: dict[str, float | None] = {}
        self._rtt_during: dict[str, float | None] = {}
        self._rtt_after: dict[str, float | None] = {}
        self._still_held: dict[str, None] = {}

    async def _take_out(self, role: str) -> None:
        raise NotImplementedError

    async def _bring_back(self, role: str) -> None:
        raise NotImplementedError

    def _seconds_max(self) -> float:
        """How long the runtime may take over one role."""
        return CONTROL_SECONDS_MAX

    @property
    def target(self) -> str:
        return ", ".join(self._targets)

    async def measure_before(self, *, seconds_max: float) -> None:
        self._rtt_before = await self._probe_all(seconds_max)

    async def apply(self) -> None:
        for role in self._targets:
            self._alive_before[role] = await self._stage.is_alive(role)
            self._touched[role] = None
            self._stage.hold(self._fault, role, self.how)
            async with asyncio.timeout(self._seconds_max()):
                await self._take_out(role)

    async def measure_during(self, *, seconds_max: float) -> None:
        self._alive_during = {role: await self._stage.is_alive(role) for role in self._targets}
        self._rtt_during = await self._probe_all(seconds_max)

    async def measure_end(self) -> None:
        return

    async def heal(self) -> Sequence[str]:
        failures: list[str] = []
        for role in self._touched:
            self._stage.release(self._fault, role)
            if self._stage.is_held(role, self.how):
                self._still_held[role] = None
                continue
            try:
                async with asyncio.timeout(BRING_BACK_SECONDS_MAX):
                    await self._bring_back(role)
            except Exception as error:
                failures.append(f"{role}: {type(error).__name__}: {error}")
        return failures

    async def is_healed(self, *, seconds_max: float) -> bool:
        freed = [role for role in self._touched if not self._stage.is_held(role)]
        alive = [await self._stage.is_alive(role) for role in freed]
        answers = await asyncio.gather(*[self._stage.probe_role(role, seconds_max=seconds_max) for role in freed])
        self._rtt_after = dict(zip(freed, answers, strict=True))
        return all(alive) and all(answer is not None for answer in answers)

    def has_bitten(self) -> bool:
        return bool(self._targets) and all(self._target_felt_it(role) for role in self._targets)

    def _target_felt_it(self, role: str) -> bool:
        raise NotImplementedError

    def evidence(self) -> dict[str, object]:
        told: dict[str, object] = {}
        for role in self._targets:
            told[role] = {
                "alive_before": self._alive_before.get(role),
                "alive_during": self._alive_during.get(role),
                "rtt_before_ms": _rounded(self._rtt_before.get(role)),
                "rtt_during_ms": _rounded(self._rtt_during.get(role)),
                "rtt_after_ms": _rounded(self._rtt_after.get(role)),
                **({"left_to_another_fault": True} if role in self._still_held else {}),
            }
        return {"targets": told}

    async def _probe_all(self, seconds_max: float) -> dict[str, float | None]:
        seconds = min(seconds_max, PROBE_SECONDS)
        answers = await asyncio.gather(
            *[self._stage.probe_role(role, seconds_max=seconds, avoid=self._targets) for role in self._targets]
        )
        return dict(zip(self._targets, answers, strict=True))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
