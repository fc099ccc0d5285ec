"""All checks there are, and running them over a history."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks import (
    accounting,
    availability,
    bridge,
    constant_product,
    expiry,
    fairness,
    forced,
    funding,
    heads,
    isolation,
    l1_reorgs,
    ladder,
    liquidations,
    market_guards,
    operations,
    oracle,
    orders,
    pausing,
    reorgs,
    sandwiches,
    settlement_price,
    solvency,
    terms,
    timelocks,
    trading,
    upgrades,
)
from harness.checks.registry import Check, run_each, select
from harness.checks.results import CheckResult, JudgeBounds
from harness.history.reader import History

CHECKS: tuple[Check, ...] = (
    *solvency.CHECKS, *isolation.CHECKS, *accounting.CHECKS, *trading.CHECKS, *orders.CHECKS, *terms.CHECKS,
    *liquidations.CHECKS, *ladder.CHECKS, *fairness.CHECKS, *sandwiches.CHECKS, *forced.CHECKS,
    *constant_product.CHECKS, *availability.CHECKS, *funding.CHECKS, *expiry.CHECKS, *settlement_price.CHECKS,
    *oracle.CHECKS, *market_guards.CHECKS, *pausing.CHECKS, *timelocks.CHECKS, *upgrades.CHECKS, *heads.CHECKS,
    *l1_reorgs.CHECKS, *reorgs.CHECKS, *bridge.CHECKS, *operations.CHECKS,
)
"""In the order results are given."""


def run_checks(history: History, names: Sequence[str], bounds: JudgeBounds) -> list[CheckResult]:
    """Judge a history by the checks of those ids; `all` stands for every one.

    Raises:
        UnknownCheck: a name is no check's id (before anything is judged).
    """
    return run_each(select(names, CHECKS), history, bounds)
