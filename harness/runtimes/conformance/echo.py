"""The smallest role and the smallest plan: what a runtime needs to boot something without a chain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.plan import BaseLatency, Bounds, Plan, RoleSpec, VenueParameters
from harness.ports import OPERATOR, Json, Refused, Unreachable
from harness.roles.context import Role, RoleContext
from harness.rollup.profile import FAST


class EchoRole:
    """Answers every request with what it was sent, and counts its own starts durably."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context

    async def run(self) -> None:
        store = self._context.store
        store.put("starts", "count", (store.get("starts", "count") or 0) + 1)
        store.flush()
        self._context.network.serve(self._answer)
        await asyncio.Event().wait()

    async def _answer(self, sender: str, kind: str, payload: Json) -> Json:
        if kind == "starts":
            return self._context.store.get("starts", "count")
        if kind == "ask" and sender == OPERATOR:
            return await self._ask(payload["to"], payload["kind"])
        return {"from": sender, "kind": kind, "payload": payload}


    async def _ask(self, to: str, kind: str) -> str:
        """What comes back when this role asks another."""
        try:
            await self._context.network.request(to, kind, None, timeout=1.0)
        except Refused:
            return "refused"
        except Unreachable:
            return "unreachable"
        return "answered"


def echo_factory(context: RoleContext) -> Role:
    return EchoRole(context)


def echo_plan(names: Sequence[str], *, seed: int = 1, latencies: Sequence[BaseLatency] = ()) -> Plan:
    """A plan that only has roles."""
    return Plan(
        scenario="echo",
        about="roles that answer",
        seed=seed,
        profile=FAST,
        roles=tuple(
            RoleSpec(name=name, kind="replica", index=index, region="", l1=None, gateways=(), account=None)
            for index, name in enumerate(names)
        ),
        latencies=tuple(latencies),
        markets=(),
        l1_base_fee=(),
        products=(),
        venue=VenueParameters(
            im_bps=1000,
            mm_bps=625,
            penalty_bps=250,
            keeper_share_bps=5000,
            taker_fee_bps=5,
            band_bps=1000,
            option_im_bps=1500,
            option_min_im_bps=1000,
            option_mm_bps=750,
            min_sources=3,
            max_price_age_s=20,
            grace_s=30,
            uptime_gap_s=3,
            settlement_window_s=15,
        ),
        insurance_native=0,
        operations=(),
        faults=(),
        storm_ns=0,
        liveness_ns=0,
        checks=(),
        bounds=Bounds(recover_s=1.0, liquidate_blocks=1),
    )
