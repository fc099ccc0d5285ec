"""The operator as guardian and as the timelock's proposer: what the plan's governance decides, when it decides it.

Each announced change is also tried before its time, and an upgraded contract's initialiser once more after it, and on
the implementation itself: what must be refused is seen to be refused, in the history, where a check looks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from harness.evm.accounts import account
from harness.plan import FACTORS, GovernanceStep
from harness.ports import Json
from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.venue.governance import (
    Call,
    Factors,
    encode_execute,
    encode_initialize,
    encode_pause,
    encode_schedule,
    encode_set_factors,
    encode_set_reporter,
    encode_unpause,
    encode_upgrade,
)

MARGIN_S = 1
"""An announced change is executed so long after it could be: a block's time is not the clock's."""
ATTEMPTS_MAX = 60
EARLY_MAX = 5
"""Refusals by the timelock after which a change is taken to be done already, by a life of this role that died since."""
TAKEN = "governed"
"""Number of the plan's step → what of it was done, so that a next life of the role goes on there."""
WHOLE_PENALTY_BPS = 10_000


@dataclass(frozen=True, slots=True)
class Act:
    """One transaction."""

    due_ns: int             # of the role's monotonic clock
    number: int             # of its step
    part: int               # within its step
    action: str
    args: dict[str, Json]
    to: str                 # name in the deployment
    data: bytes
    is_drill: bool = False  # has to be refused: tried once


class Governor:
    """Takes the plan's steps in order; `turn` does what is due."""

    def __init__(self, context: RoleContext, client: ChainClient) -> None:
        self.context = context
        self.client = client
        self._tries = 0
        self._pending = deque(sorted(
            (
                act
                for number, step in enumerate(context.plan.governance)
                for act in self._acts(number, step)
                if act.part >= int(context.store.get(TAKEN, str(number)) or 0)
            ),
            key=lambda act: (act.due_ns, act.number, act.part),
        ))  # fmt: skip

    def next_due_s(self) -> float | None:
        """When there is something to do, on the role's monotonic clock; None: never again."""
        return self._pending[0].due_ns / 1e9 if self._pending else None

    async def turn(self) -> None:
        """Do everything that is due."""
        while self._pending and self._pending[0].due_ns <= self.context.clock.monotonic():
            await self._do(self._pending.popleft())

    async def _do(self, act: Act) -> None:
        refusals = 0
        for _ in range(1 if act.is_drill else ATTEMPTS_MAX):
            self._tries += 1
            outcome = await self.client.operate(
                f"{self.context.name}/{act.action}:{act.number}-{self._tries}", act.action, act.args,
                self.context.deployment[act.to], act.data,
            )  # fmt: skip
            # What the chain refused was done by an earlier try, or never will be; but for what came too early.
            is_early = "TimelockUnexpectedOperationState" in outcome.reason
            refusals += is_early
            if act.is_drill or (outcome.block is not None and (not is_early or refusals == EARLY_MAX)):
                break
            await self.context.clock.sleep(MARGIN_S)
        if act.action.startswith("schedule-"):
            self._postpone(act.number)
        self.context.store.put(TAKEN, str(act.number), str(act.part + 1))
        self.context.store.flush()

    def _postpone(self, number: int) -> None:
        """The delay counts from the block of the announcement, which may have come late."""
        delay_ns = (self.context.plan.venue.timelock_delay_s + MARGIN_S) * 1_000_000_000
        earliest = self.context.clock.monotonic() + delay_ns
        later = [
            replace(act, due_ns=max(act.due_ns, earliest)) if act.number == number and act.part >= 2 else act
            for act in self._pending
        ]
        self._pending = deque(sorted(later, key=lambda act: (act.due_ns, act.number, act.part)))

    def _acts(self, number: int, step: GovernanceStep) -> list[Act]:
        at, deployment = step.at_ns, self.context.deployment
        if step.action in ("pause", "unpause"):
            encode = encode_pause if step.action == "pause" else encode_unpause
            return [Act(at, number, 0, step.action, {"what": step.mask}, "pauses", encode(step.mask))]
        args: dict[str, Json]
        if step.action == "factors":
            target, data = "clearing_house", encode_set_factors(Factors(*step.factors))
            args = dict(zip(FACTORS, step.factors, strict=True))
        elif step.action in ("remove-reporter", "add-reporter"):
            index = next(r.account for r in self.context.plan.of_kind("reporter") if r.name == step.reporter)
            assert index is not None, "a reporter signs with an account"
            address = account(index).address
            target, data = "price_feed", encode_set_reporter(address, is_reporter=step.action == "add-reporter")
            args = {"reporter": step.reporter, "address": address}
        else:
            # The version's storage needs what the one before it had.
            initialisation = encode_initialize(self.context.plan.venue.keeper_share_bps)
            target, data = "liquidator", encode_upgrade(deployment["liquidator_v2"], initialisation)
            args = {"implementation": deployment["liquidator_v2"]}
        delay_s = self.context.plan.venue.timelock_delay_s
        call = Call(deployment[target], data, number.to_bytes(32, "big"))
        word, due = step.action, at + (delay_s + MARGIN_S) * 1_000_000_000
        acts = [
            Act(at, number, 0, f"schedule-{word}", args, "timelock", encode_schedule(call, delay_s)),
            Act(at, number, 1, f"execute-{word}-early", args, "timelock", encode_execute(call), is_drill=True),
            Act(due, number, 2, f"execute-{word}", args, "timelock", encode_execute(call)),
        ]
        if word == "upgrade":
            again, share = encode_initialize(WHOLE_PENALTY_BPS), {"keeper_share_bps": WHOLE_PENALTY_BPS}
            acts += [
                Act(due, number, 3, "reinitialize", {**share}, "liquidator", again, is_drill=True),
                Act(due, number, 4, "initialize-implementation", {**share}, "liquidator_v2", again, is_drill=True),
            ]
        return acts
