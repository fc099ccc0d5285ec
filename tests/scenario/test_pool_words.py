"""`pools:` in a scenario: numbered as their products are listed, funded, and traded in with collateral moved there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.plan import CoinPool, Plan
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


INVERSE = "  - {{id: INV, kind: inverse, underlying: {of}, expires: 20s, pool: {pool}}}\n"


def coined(write: Write, minimal: str, *, of: str = "ETH", pool: str = "coin", pools: str, extra: str = "") -> Plan:
    lines = INVERSE.format(of=of, pool=pool)
    return plan_from_file(write(minimal.replace("workload:", lines + "workload:") + pools + extra))


def test_a_coin_pool_is_paid_into_in_coin_worth_the_dollars_at_first(write: Write, minimal: str) -> None:
    """Native units of 18 decimals, also of its insurance; wherever a trader would move dollars it deposits coin."""
    plan = coined(write, minimal, pools="pools: {coin: {coin: ETH, insurance: 1.5}}\n")
    first = dict(plan.markets)["ETH"][0].value
    assert plan.coin == CoinPool(1, "ETH", first)
    assert plan.coin.worth(2 * 10**6) == 2 * 10**36 // first
    assert plan.pool_insurance_native == (15 * 10**17,)
    assert parse_plan(plan_bytes(plan)) == plan
    product = next(each for each in plan.products if each.kind == "inverse")
    assert (product.terms.pool, product.strike_wad) == (1, 0)
    own = [op for _, operations in plan.operations for op in operations if op.action == "deposit" and op.product]
    assert len(own) > 1
    assert {op.product for op in own} == {"INV"}
    assert all(op.amount_native * first > 10**36 for op in own)               # more than a dollar's worth
    assert not [op for _, operations in plan.operations for op in operations if op.action == "move"]


@pytest.mark.parametrize(
    ("of", "pool", "pools", "extra", "says"),
    [
        ("ETH", "coin", "pools: {coin: {}}\n", "", r"products\[1\]\.pool: pool coin holds dollars; .* with coin: ETH"),
        ("ETH", "coin", "pools: {coin: {coin: BTC}}\n", "", r"products\[1\]\.pool: pool coin holds BTC; .* coin: ETH"),
        ("XTZ", "coin", "pools: {coin: {coin: XTZ}}\n", "", r'products\[1\]\.underlying: no market "XTZ"'),
        ("ETH", "coin", "pools: {coin: {coin: ETH}, other: {coin: ETH}}\n",
         "products: [{id: A, kind: inverse, underlying: ETH, expires: 9s, pool: coin}, "
         "{id: B, kind: inverse, underlying: ETH, expires: 9s, pool: other}]\n",
         r"pools\.other\.coin: one pool of a scenario holds a coin, and coin does"),
        ("ETH", "coin", "pools: {coin: {coin: ETH}}\n",
         "products: [{id: A, kind: future, underlying: ETH, expires: 9s, pool: coin}]\n",
         r"products\[0\]\.pool: pool coin holds ETH, for inverse futures of it alone; .* a future"),
        ("ETH", "coin", "", "products: [{id: A, kind: inverse, underlying: ETH, expires: 9s}]\n",
         r"products\[0\]\.kind: the cross pool holds dollars; .* with coin: ETH"),
        ("ETH", "coin", "pools: {coin: {coin: ETH}}\n", "market: {ETH: {signed: true, knots: {0s: 5}}}\n",
         r"pools\.coin\.coin: ETH may be worth less than nothing"),
    ],
)
def test_a_coin_pool_that_makes_no_sense_is_refused_with_its_place(
    write: Write, minimal: str, of: str, pool: str, pools: str, extra: str, says: str
) -> None:
    """`extra` replaces the key of the minimal file that it gives anew."""
    lines = minimal.replace("workload:", INVERSE.format(of=of, pool=pool) + "workload:")
    if extra:
        key = extra.partition(":")[0]
        lines = re.sub(rf"(?ms)^{key}:.*?(?=^\S)", "", lines)
    with pytest.raises(ScenarioError, match=says):
        plan_from_file(write(lines + pools + extra))


def test_inverse_futures_have_no_strike_and_do_expire(write: Write, minimal: str) -> None:
    pools = "pools: {coin: {coin: ETH}}\n"
    for words, says in (
        ("strike: 5, expires: 20s", "an inverse future has no strike"),
        ("weight: 1", "an inverse future needs expires"),
        ("margin: relief, expires: 20s", "margin is of options; an inverse future has im_bps"),
    ):
        lines = f"  - {{id: INV, kind: inverse, underlying: ETH, pool: coin, {words}}}\n"
        with pytest.raises(ScenarioError, match=says):
            plan_from_file(write(minimal.replace("workload:", lines + "workload:") + pools))
