"""What the faults of one run share: the runtime's control with deadlines, and who currently holds what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from harness.faults.rules import RpcCounters, RpcRule
from harness.ports import FaultControl, Json, LinkCounters, LinkRule

CONTROL_SECONDS_MAX = 10.0
"""How long a runtime may take over one call; every call of `FaultControl` is idempotent and bounded."""

PROBE_SECONDS = 1.0
VANTAGES_MAX = 3


class Injector(Protocol):
    """One fault, from before it to after it. `heal` is right after any part of `apply`, also none of it."""

    @property
    def target(self) -> str:
        """Its targets, for people."""
        ...

    async def measure_before(self, *, seconds_max: float) -> None: ...

    async def apply(self) -> None: ...

    async def measure_during(self, *, seconds_max: float) -> None:
        """Right after `apply`."""
        ...

    async def measure_end(self) -> None:
        """Right before `heal`."""
        ...

    async def heal(self) -> Sequence[str]:
        """Undo all that was or may have been applied; returns what could not be undone."""
        ...

    async def is_healed(self, *, seconds_max: float) -> bool:
        """Probe once whether the world is as before."""
        ...

    def has_bitten(self) -> bool: ...

    def evidence(self) -> dict[str, object]: ...


class Stage:
    """Composes overlapping faults: each adds and removes only its own part."""

    def __init__(self, control: FaultControl) -> None:
        self.control = control
        self._rules: dict[tuple[str, str], dict[str, LinkRule]] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self._lies: dict[str, dict[str, RpcRule]] = {}
        self._holds: dict[str, dict[str, str]] = {}
        """Role → fault id → kill or pause, for faults that are on."""
        self._shared: dict[str, dict[str, None]] = {}
        self.skews: dict[str, dict[str, tuple[float, float]]] = {}
        """Role → fault id → (offset ms, drift ppm), for faults that are on."""

    # -- links

    async def add_rule(self, fault: str, src: str, dst: str, rule: LinkRule) -> None:
        # Noted before it is done: whatever happens to the call, `remove_rule` will undo it.
        rules = self._rules.setdefault((src, dst), {})
        for other in rules:
            if other != fault:
                self._shared.setdefault(fault, {})[other] = None
                self._shared.setdefault(other, {})[fault] = None
        rules[fault] = rule
        await self._send_rules(src, dst)

    async def remove_rule(self, fault: str, src: str, dst: str) -> None:
        self._rules.get((src, dst), {}).pop(fault, None)
        await self._send_rules(src, dst)

    def rules(self, src: str, dst: str) -> Mapping[str, LinkRule]:
        return self._rules.get((src, dst), {})

    def shares_links_with(self, fault: str) -> list[str]:
        """The faults that were on one of this fault's links at the same time: its counters are theirs too."""
        return list(self._shared.get(fault, {}))

    async def _send_rules(self, src: str, dst: str) -> None:
        lock = self._locks.setdefault((src, dst), asyncio.Lock())
        async with asyncio.timeout(CONTROL_SECONDS_MAX), lock:
            # Read under the lock, so that of two calls the later one carries the later rules.
            await self.control.set_link(src, dst, dict(self._rules.get((src, dst), {})))

    def kernel_refusal(self) -> str:
        """Why the proxy stood in for the kernel on a link whose rule asked for it."""
        refusal = getattr(self.control, "kernel_refusal", "roles have no kernel namespaces in this runtime")
        return refusal or "no packet passed the kernel's rules"

    async def counters(self, src: str, dst: str) -> LinkCounters:
        async with asyncio.timeout(CONTROL_SECONDS_MAX):
            return await self.control.link_counters(src, dst)

    # -- lies

    async def add_lie(self, fault: str, node: str, rule: RpcRule) -> None:
        self._lies.setdefault(node, {})[fault] = rule  # noted before it is done, as a link's rule is
        await self._send_lies(node)

    async def remove_lie(self, fault: str, node: str) -> None:
        self._lies.get(node, {}).pop(fault, None)
        await self._send_lies(node)

    async def _send_lies(self, node: str) -> None:
        lock = self._locks.setdefault((node, ""), asyncio.Lock())
        async with asyncio.timeout(CONTROL_SECONDS_MAX), lock:
            await self.control.set_rpc(node, dict(self._lies.get(node, {})))

    async def lies_told(self, fault: str, node: str) -> RpcCounters:
        async with asyncio.timeout(CONTROL_SECONDS_MAX):
            return (await self.control.rpc_counters(node)).get(fault, RpcCounters())

    async def order(self, role: str, kind: str, payload: Json) -> Json:
        """Raises what `FaultControl.order` does."""
        async with asyncio.timeout(CONTROL_SECONDS_MAX):
            return await self.control.order(role, kind, payload, timeout=CONTROL_SECONDS_MAX)

    # -- processes

    def hold(self, fault: str, role: str, how: str) -> None:
        self._holds.setdefault(role, {})[fault] = how

    def release(self, fault: str, role: str) -> None:
        self._holds.get(role, {}).pop(fault, None)

    def is_held(self, role: str, how: str | None = None) -> bool:
        """Whether a fault that is on keeps the role down, in this way or in any."""
        holds = self._holds.get(role, {})
        return bool(holds) if how is None else how in holds.values()

    async def is_alive(self, role: str) -> bool:
        if role not in self.control.roles():
            return True   # the world outside, which has links and no process
        async with asyncio.timeout(CONTROL_SECONDS_MAX):
            return await self.control.is_alive(role)

    # -- probes

    async def probe(self, src: str, dst: str, *, seconds_max: float) -> float | None:
        """Round trip in ms, or None. An overdue runtime counts as no answer."""
        if seconds_max <= 0.0:
            return None
        try:
            async with asyncio.timeout(seconds_max + CONTROL_SECONDS_MAX):
                return await self.control.probe(src, dst, timeout=seconds_max)
        except TimeoutError:
            return None

    async def probe_role(self, role: str, *, seconds_max: float, avoid: Sequence[str] = ()) -> float | None:
        """The quickest round trip to a role from up to three others that no fault stands in the way of."""
        others = [
            name for name in self.control.roles() if name != role and name not in avoid and not self.is_held(name)
        ]
        clear = [name for name in others if not self.rules(name, role) and not self.rules(role, name)]
        vantages = (clear or others)[:VANTAGES_MAX]
        answers = await asyncio.gather(*[self.probe(name, role, seconds_max=seconds_max) for name in vantages])
        return min((answer for answer in answers if answer is not None), default=None)
