"""Disconnect: a role is taken off its network and goes on by itself; undone by putting it back under its address.

Where the runtime has networks of its own it is the engine that does it, and open connections hang. Elsewhere every link
from and to the role is cut by the proxy. Interrupted halfway, the roles already taken off are known and put back.
"""

from __future__ import annotations

from harness.ports import DisconnectControl, LinkRule
from harness.runtimes.injectors.process import ProcessInjector


class DisconnectInjector(ProcessInjector):
    how = "disconnect"

    async def _take_out(self, role: str) -> None:
        control = self._stage.control
        if isinstance(control, DisconnectControl):
            await control.disconnect(role)
            return
        for src, dst in self._links_of(role):
            await self._stage.add_rule(self._fault, src, dst, LinkRule(cut=True))

    async def _bring_back(self, role: str) -> None:
        control = self._stage.control
        if isinstance(control, DisconnectControl):
            await control.connect(role)
            return
        for src, dst in self._links_of(role):
            await self._stage.remove_rule(self._fault, src, dst)

    def _links_of(self, role: str) -> list[tuple[str, str]]:
        others = [name for name in self._stage.control.roles() if name != role]
        return [*[(role, other) for other in others], *[(other, role) for other in others]]

    def _target_felt_it(self, role: str) -> bool:
        """It runs and nobody reaches it, though somebody did before (where that was measured)."""
        answered_before = role not in self._rtt_before or self._rtt_before[role] is not None
        silent = role in self._rtt_during and self._rtt_during[role] is None
        return self._alive_during.get(role) is True and answered_before and silent

    def evidence(self) -> dict[str, object]:
        by_engine = isinstance(self._stage.control, DisconnectControl)
        return {**super().evidence(), "by": "the engine" if by_engine else "cuts of all its links"}
