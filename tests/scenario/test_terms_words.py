"""The terms of a product in a scenario: how shorts are margined, caps on open interest and on lent profit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.plan import DEFAULT_TERMS, Terms
from harness.scenario.errors import ScenarioError
from harness.scenario.plan_file import parse_plan, plan_bytes
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]
CALL = "{id: C, kind: call, underlying: ETH, strike: 200, expires: 20s"
PERPETUAL = "{id: P, kind: perpetual, underlying: ETH"


def with_product(minimal: str, product: str) -> str:
    return minimal.replace("workload:", f"  - {product}}}\nworkload:")


@pytest.mark.parametrize(
    ("product", "terms"),
    [
        (CALL, DEFAULT_TERMS),
        (f"{CALL}, margin: standard", DEFAULT_TERMS),
        (f"{CALL}, margin: relief", Terms(option_margin=1)),
        (f"{CALL}, margin: naked", Terms(option_margin=2)),
        (f"{PERPETUAL}, open_interest: {{cap: 5000}}", Terms(oi_cap=5000)),
        (f"{PERPETUAL}, open_interest: {{lower: 1000, cap: 5000}}", Terms(oi_lower=1000, oi_cap=5000)),
        (f"{PERPETUAL}, profit_credit: 500", Terms(profit_cap=500)),
    ],
)
def test_terms_of_a_product_reach_the_plan_and_its_file(write: Write, minimal: str, product: str, terms: Terms) -> None:
    """The numbers are those with which the series is listed; a replay must list it alike."""
    plan = plan_from_file(write(with_product(minimal, product)))
    assert [listed.terms for listed in plan.products] == [DEFAULT_TERMS, terms]
    assert parse_plan(plan_bytes(plan)) == plan


def test_terms_and_a_pool_go_together(write: Write, minimal: str) -> None:
    text = with_product(minimal, f"{PERPETUAL}, pool: wild, profit_credit: 500") + "pools: {wild: {}}\n"
    assert plan_from_file(write(text)).products[1].terms == Terms(pool=1, profit_cap=500)


@pytest.mark.parametrize(
    ("product", "says"),
    [
        (f"{PERPETUAL}, margin: relief", r"products\[1\].*margin is of options; a perpetual"),
        (f"{CALL}, margin: portfolio", r"products\[1\]\.margin.*standard.*relief.*naked"),
        (f"{PERPETUAL}, open_interest: {{lower: 9, cap: 5}}", r"products\[1\]\.open_interest.*lower 9 is above cap 5"),
        (f"{PERPETUAL}, open_interest: {{lower: 9}}", r"products\[1\]\.open_interest\.cap"),
        (f"{PERPETUAL}, open_interest: {{cap: 0}}", r"products\[1\]\.open_interest\.cap"),
        (f"{PERPETUAL}, open_interest: {{cap: {10**15 + 1}}}", r"products\[1\]\.open_interest\.cap"),
        (f"{PERPETUAL}, profit_credit: 0", r"products\[1\]\.profit_credit"),
    ],
)
def test_terms_the_contracts_would_refuse_are_refused_with_their_place(
    write: Write, minimal: str, product: str, says: str
) -> None:
    """Else the listing reverts in the middle of a boot, and nobody is told which line of the file did it."""
    with pytest.raises(ScenarioError, match=says):
        plan_from_file(write(with_product(minimal, product)))
