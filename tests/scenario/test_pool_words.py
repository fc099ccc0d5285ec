"""`pools:` in a scenario: numbered as their products are listed, funded, and traded in with collateral moved there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.plan import Plan
from harness.scenario.errors import ScenarioError
from harness.scenario.plan_file import parse_plan, plan_bytes
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]
POOLS = "pools:\n  tame: {insurance: 7}\n  wild: {}\n"
PRODUCT = "  - {{id: {id}, kind: perpetual, underlying: ETH, pool: {pool}}}\n"


def pooled(write: Write, minimal: str, *products: tuple[str, str], pools: str = POOLS, extra: str = "") -> Plan:
    lines = "".join(PRODUCT.format(id=id, pool=pool) for id, pool in products)
    return plan_from_file(write(minimal.replace("workload:", lines + "workload:") + pools + extra))


def test_pools_are_numbered_in_the_order_in_which_series_are_listed(write: Write, minimal: str) -> None:
    """The contracts admit the next number only, whatever the order of the names in the file."""
    plan = pooled(write, minimal, ("A", "wild"), ("B", "tame"), ("C", "wild"))
    assert [product.terms.pool for product in plan.products] == [0, 1, 2, 1]
    assert plan.pool_insurance_native == (0, 7 * 10**6)
    assert parse_plan(plan_bytes(plan)) == plan


def test_traders_move_collateral_to_a_pool_before_they_open_there(write: Write, minimal: str) -> None:
    """Without it every trade in the pool would be refused, and the storm would never meet it."""
    plan = pooled(write, minimal, ("A", "wild"), pools="pools: {wild: {}}\n", extra="")
    opened = 0
    for _, operations in plan.operations:
        has_moved = False
        for operation in operations:
            has_moved |= operation.action == "move" and operation.side > 0 and operation.amount_native > 0
            if operation.action == "open" and operation.product == "A":
                assert has_moved
                opened += 1
    assert opened > 3


def test_a_plan_without_pools_moves_nothing(write: Write, minimal: str) -> None:
    plan = plan_from_file(write(minimal))
    assert plan.pool_insurance_native == ()
    assert not [op for _, operations in plan.operations for op in operations if op.action == "move"]


@pytest.mark.parametrize(
    ("product", "pools", "extra", "says"),
    [
        ("wlid", "pools: {wild: {}}\n", "", r'products\[1\]\.pool: no pool "wlid".*wild'),
        ("wild", "", "", r'products\[1\]\.pool: no pool "wild".*list it in pools'),
        ("wild", POOLS, "", r"pools\.tame: no product is in it"),
        ("wild", "pools: {wild: {insurance: -1}}\n", "", r"pools\.wild\.insurance"),
        ("wild", "pools: {wild: {}}\n", "venue: {trading: book}\n", r"venue\.trading: the book is of the cross pool"),
    ],
)
def test_contradictions_are_refused_with_their_place(
    write: Write, minimal: str, product: str, pools: str, extra: str, says: str
) -> None:
    with pytest.raises(ScenarioError, match=says):
        pooled(write, minimal, ("A", product), pools=pools, extra=extra)
