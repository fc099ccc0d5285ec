"""Stop: asked to end, and killed after a grace; undone by starting it again from its store.

Interrupted halfway, the roles already stopped are known and started. The simulator has no process to ask: there a stop
is a kill, which is what is left of one as far as the store is concerned.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.ports import StopControl
from harness.runtimes.injectors.process import ProcessInjector
from harness.runtimes.injectors.stage import Stage


class StopInjector(ProcessInjector):
    how = "stop"

    def __init__(self, stage: Stage, fault: str, targets: Sequence[str], *, grace_s: float) -> None:
        super().__init__(stage, fault, targets)
        self._grace_s = grace_s

    def _seconds_max(self) -> float:
        return super()._seconds_max() + self._grace_s

    async def _take_out(self, role: str) -> None:
        control = self._stage.control
        if isinstance(control, StopControl):
            await control.stop(role, grace_s=self._grace_s)
        else:
            await control.kill(role)

    async def _bring_back(self, role: str) -> None:
        await self._stage.control.start(role)

    def _target_felt_it(self, role: str) -> bool:
        """It was there, and then there was no process."""
        return self._alive_before.get(role) is True and self._alive_during.get(role) is False
