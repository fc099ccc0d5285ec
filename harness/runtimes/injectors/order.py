"""Roles that were ordered to do wrong: false prices, dear blocks, transactions left out; undone by taking it back.

Interrupted halfway, the roles already ordered are known, and their orders taken back. An order dies with its process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.plan import PlannedOrder
from harness.ports import Unreachable
from harness.runtimes.injectors.stage import Stage

MISBEHAVE = "misbehave"


class OrderInjector:
    """One order to some roles, who count how often they followed it."""

    def __init__(self, stage: Stage, fault: str, what: str, order: PlannedOrder, targets: Sequence[str]) -> None:
        self._stage = stage
        self._fault = fault
        self._what = what
        self._order = order
        self._targets = tuple(dict.fromkeys(targets))
        self._touched: dict[str, None] = {}
        self._acts: dict[str, int] = {}
        self._after: dict[str, int] = {}

    @property
    def target(self) -> str:
        return ", ".join(self._targets)

    async def measure_before(self, *, seconds_max: float) -> None:
        return

    async def apply(self) -> None:
        for role in self._targets:
            self._touched[role] = None
            await self._tell(role, on=True)

    async def measure_during(self, *, seconds_max: float) -> None:
        return

    async def measure_end(self) -> None:
        for role in self._targets:
            await self._ask(role, self._acts)

    async def heal(self) -> Sequence[str]:
        failures: list[str] = []
        for role in self._touched:
            try:
                self._acts[role] = max(self._acts.get(role, 0), int((await self._tell(role, on=False))["acts"]))
            except Unreachable as error:
                if await self._stage.is_alive(role) and not self._stage.is_held(role):
                    failures.append(f"{role}: {error}")
            except Exception as error:
                failures.append(f"{role}: {type(error).__name__}: {error}")
        return failures

    async def is_healed(self, *, seconds_max: float) -> bool:
        """Nobody has the order any more, and nobody followed it since."""
        for role in self._touched:
            if not await self._ask(role, self._after):
                return False
        return all(self._after[role] <= self._acts.get(role, 0) for role in self._after)

    def has_bitten(self) -> bool:
        return any(self._acts.values())

    def evidence(self) -> dict[str, object]:
        return {"how": self._order.how, "followed": dict(self._acts), "followed_after_heal": {
            role: acts - self._acts.get(role, 0) for role, acts in self._after.items()
        }}  # fmt: skip

    async def _ask(self, role: str, into: dict[str, int]) -> bool:
        """Note how often a role followed the order; whether it is free of it."""
        if self._stage.is_held(role) or not await self._stage.is_alive(role):
            return True
        answer = await self._tell(role, on=None)
        into[role] = max(into.get(role, 0), int(answer["acts"]))
        return not answer["on"]

    async def _tell(self, role: str, *, on: bool | None) -> dict[str, Any]:
        order: dict[str, Any] = {
            "id": self._fault, "what": self._what, "how": self._order.how, "amount": self._order.amount,
            "names": list(self._order.names),
        }  # fmt: skip
        if on is not None:
            order["on"] = on
        return dict(await self._stage.order(role, MISBEHAVE, order))
