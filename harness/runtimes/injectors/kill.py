"""Kill: SIGKILL to a role and its execution node; undone by starting it again from its store.

Interrupted halfway, the roles already killed are known and started. A role that two faults killed comes back with the
later of them.
"""

from __future__ import annotations

from harness.runtimes.injectors.process import ProcessInjector


class KillInjector(ProcessInjector):
    how = "kill"

    async def _take_out(self, role: str) -> None:
        await self._stage.control.kill(role)

    async def _bring_back(self, role: str) -> None:
        await self._stage.control.start(role)

    def _target_felt_it(self, role: str) -> bool:
        """It was there, and then there was no process."""
        return self._alive_before.get(role) is True and self._alive_during.get(role) is False
