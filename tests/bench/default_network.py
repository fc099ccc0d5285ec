"""The network that benchmarks boot: the roles of `calm`, a market that stands still, traders who only pay in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.plan import Knot, Plan, PlannedOperation
from harness.roles.registry import make_role
from harness.runtimes.local.runtime import LocalRuntime
from harness.runtimes.local.world import AnvilEngines
from harness.scenario.planning import plan_from_file
from harness.scenario.shipped import find_scenario
from harness.scenario.stage import Stage

PRICE = 200 * 10**18
COLLATERAL_NATIVE = 100_000 * 10**6
EXPIRES_S = 3_600
PRICE_AGE_S = 300               # reporters queue behind the trades like everyone; no trade may fail for that
STORM_NS = 600 * 10**9


def default_plan() -> Plan:
    """Every role of a default run; its one future is series 1."""
    plan = plan_from_file(find_scenario("calm"))
    return replace(
        plan,
        markets=tuple((asset, (Knot(0, PRICE),)) for asset, _ in plan.markets),
        venue=replace(plan.venue, max_price_age_s=PRICE_AGE_S),
        products=tuple(replace(product, expires_s=EXPIRES_S) for product in plan.products),
        operations=tuple((role.name, (_pay_in(role.name),)) for role in plan.of_kind("trader")),
        storm_ns=STORM_NS,
    )


def _pay_in(trader: str) -> PlannedOperation:
    return PlannedOperation(
        id=f"{trader}/0", at_ns=0, action="deposit", product="", side=0, leverage_milli=0, fraction_milli=0,
        amount_native=COLLATERAL_NATIVE,
    )


def network(plan: Plan, stage: Stage, logs: Path) -> LocalRuntime:
    """The runtime, not booted."""
    return LocalRuntime(
        plan, make_role, logs=logs, genesis_timestamp=stage.genesis_timestamp,
        engines=AnvilEngines(stage.l1, stage.l2), deployment=stage.deployment, accounts=stage.accounts,
    )
