"""What a spot pool's providers lost and its leaders took, on a history that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from harness.history.reader import from_lines
from harness.plan import Knot, Plan, SpotPool
from harness.report.spot_quality import spot_quality
from harness.scenario.planning import plan_from_file

W, USD, S = 10**18, 10**6, 10**9
LEADER, VICTIM, ADMIN = (f"0x{i:040x}" for i in (1, 2, 3))


def plan() -> Plan:
    """The true price is 100 throughout."""
    made = plan_from_file(Path(__file__).parents[2] / "scenarios" / "calm.yaml")
    return replace(made, markets=(("ETH", (Knot(0, 100 * W),)),), spot=SpotPool("ETH", 10 * W, 1_000 * USD))


def swapped(tx: int, account: str, buys: bool, paid: int, got: int) -> dict[str, Any]:
    arguments = {"account": account, "buys": buys, "amountIn": str(paid), "amountOut": str(got), "minOut": "0",
                 "deadline": "99"}  # fmt: skip
    return {"name": "Swapped", "contract": "spot_amm", "tx": tx, "args": arguments}


def records(*, victim_passes: bool) -> list[dict[str, Any]]:
    given = {"account": ADMIN, "underlying": str(10 * W), "quote": str(1_000 * USD), "shares": "1"}
    events = [
        {"name": "LiquidityAdded", "contract": "spot_amm", "tx": 0, "args": given},
        swapped(1, LEADER, True, 50 * USD, W // 2),
        *([swapped(2, VICTIM, True, 60 * USD, W // 2)] if victim_passes else []),
        swapped(3, LEADER, False, W // 2, 58 * USD),
    ]
    senders = (ADMIN, LEADER, VICTIM, LEADER)
    transactions = [
        {"hash": f"0x{i + 9:064x}", "sender": sender, "to": None, "ok": True, "gas": 100_000, "error": None}
        for i, sender in enumerate(senders)
    ]
    at = {"t": 5 * S, "number": 1, "hash": f"0x{1:064x}"}
    return [
        {"t": 0, "node": "run", "kind": "run", "scenario": "x", "seed": 1, "runtime": "sim", "versions": {},
         "genesis_timestamp": 0, "deployment": {}, "accounts": {"sequencer-0": LEADER, "trader-0": VICTIM}},
        {**at, "node": "sequencer-0", "kind": "block", "chain": "l2", "parent": f"0x{0:064x}", "timestamp": 5,
         "origin": 1, "base_fee": "0", "transactions": transactions, "events": events},
        {**at, "node": "sequencer-0", "kind": "head", "label": "committed"},
        {**at, "node": "replica-0", "kind": "state", "accounts": {}, "series": {}, "assets": {},
         "totals": {"custody": "0", "insurance": "0", "fees": "0", "dust": "0"},
         "spot": {"underlying": str(19 * W // 2), "quote": str(1_052 * USD), "shares": "1"}},
    ]  # fmt: skip


def test_the_pool_and_its_leader_are_valued_at_the_true_price() -> None:
    """The pool holds 9.5 and 1052 where 10 and 1000 were given: 2 more. The leader made 8, by swaps of 200 000 gas."""
    found = spot_quality(plan(), from_lines(map(orjson.dumps, records(victim_passes=True))))
    assert found is not None
    assert found["liquidity"] == {"worth": str(2_002 * USD), "if_held": str(2_000 * USD), "loss": str(-2 * USD)}
    assert found["leaders"] == {
        "swaps": 2, "made": str(8 * USD), "attempts": 1, "victims": 1, "gas": 200_000,
        "gas_cost_at_1_gwei": str(20_000),   # 0.0002 of the underlying at 100
    }  # fmt: skip
    assert found["searchers"] == {"swaps": 0, "made": "0"}


def test_an_attempt_whose_victim_failed_is_told_apart() -> None:
    found = spot_quality(plan(), from_lines(map(orjson.dumps, records(victim_passes=False))))
    assert found is not None
    assert (found["leaders"]["attempts"], found["leaders"]["victims"]) == (1, 0)


def test_without_a_pool_there_is_nothing_to_say() -> None:
    assert spot_quality(replace(plan(), spot=None), from_lines(map(orjson.dumps, records(victim_passes=True)))) is None
