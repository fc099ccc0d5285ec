"""Pause: SIGSTOP to a role; undone by SIGCONT. Its connections stay open and nothing comes back.

Interrupted halfway, the roles already paused are known and resumed.
"""

from __future__ import annotations

from harness.runtimes.injectors.process import ProcessInjector


class PauseInjector(ProcessInjector):
    how = "pause"

    async def _take_out(self, role: str) -> None:
        await self._stage.control.pause(role)

    async def _bring_back(self, role: str) -> None:
        await self._stage.control.resume(role)

    def _target_felt_it(self, role: str) -> bool:
        """The process is there and does not answer, though it did before (where that was measured)."""
        answered_before = role not in self._rtt_before or self._rtt_before[role] is not None
        silent = role in self._rtt_during and self._rtt_during[role] is None
        return self._alive_during.get(role) is True and answered_before and silent
