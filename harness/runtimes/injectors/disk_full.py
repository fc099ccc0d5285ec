"""Disk full: there is no room left where a role keeps its rows; undone by making room and starting it if it has ended.

A role whose rows are not durable ends by itself (see `roles/durability.py`): that it does is no problem of the run
while this fault is on. Interrupted halfway, the roles whose disks are full are known and get their room back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.ports import DiskControl
from harness.runtimes.injectors.process import ProcessInjector
from harness.runtimes.injectors.stage import CONTROL_SECONDS_MAX, Stage

FULL_BYTES = 4096
"""Less than a page of a store: no row fits."""


class DiskFullInjector(ProcessInjector):
    how = "disk-full"

    def __init__(self, stage: Stage, control: DiskControl, fault: str, targets: Sequence[str]) -> None:
        super().__init__(stage, fault, targets)
        self._disks = control
        self._room_before: dict[str, int] = {}
        self._room_during: dict[str, int] = {}
        self._room_after: dict[str, int] = {}
        self._ended: dict[str, bool] = {}

    async def _take_out(self, role: str) -> None:
        self._room_before[role] = await self._disks.disk_room(role)
        await self._disks.fill_disk(role)
        self._room_during[role] = await self._disks.disk_room(role)

    async def _bring_back(self, role: str) -> None:
        await self._disks.free_disk(role)
        if not self._stage.is_held(role):
            await self._stage.control.start(role)

    async def measure_end(self) -> None:
        for role in self._touched:
            self._ended[role] = not await self._stage.is_alive(role)

    async def is_healed(self, *, seconds_max: float) -> bool:
        for role in self._touched:
            async with asyncio.timeout(CONTROL_SECONDS_MAX):
                self._room_after[role] = await self._disks.disk_room(role)
        roomy = all(self._room_after[role] > FULL_BYTES for role in self._touched)
        return roomy and await super().is_healed(seconds_max=seconds_max)

    def _target_felt_it(self, role: str) -> bool:
        """There was room, and then there was none."""
        return self._room_before.get(role, 0) > FULL_BYTES >= self._room_during.get(role, FULL_BYTES + 1)

    def evidence(self) -> dict[str, object]:
        targets = super().evidence()["targets"]
        assert isinstance(targets, dict)
        for role, told in targets.items():
            told.update({
                "bytes_free_before": self._room_before.get(role), "bytes_free_during": self._room_during.get(role),
                "bytes_free_after": self._room_after.get(role), "ended_by_itself": self._ended.get(role),
            })
        return {"targets": targets}
