"""Figures of a market, on small histories whose every figure can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.history.reader import History, from_lines
from harness.plan import Knot, Plan, Product
from harness.report.market_quality import fills_of, market_quality
from harness.report.true_values import TrueValues
from harness.scenario.planning import plan_from_file

WAD = 10**18
S = 10**9
MAKER, TAKER = f"0x{1:040x}", f"0x{2:040x}"
SCENARIO = Path(__file__).parents[2] / "scenarios" / "calm.yaml"


@pytest.fixture
def plan() -> Plan:
    """A price that rises from 100 by 1 a second, and one future on it."""
    made = plan_from_file(SCENARIO)
    path = (Knot(0, 100 * WAD), Knot(100 * S, 200 * WAD))
    return replace(made, markets=(("ETH", path),), products=(Product("ETH-F", "future", "ETH", 0, 90),))


def block(number: int, t: int, *events: dict[str, Any]) -> dict[str, Any]:
    made = [{"contract": "x", "tx": 0, **event} for event in events]
    transaction = {"hash": f"0x{number + 500:064x}", "sender": TAKER, "to": None, "ok": True, "gas": 1, "error": None}
    return {
        "t": t, "node": "sequencer-0", "kind": "block", "chain": "l2", "number": number, "hash": f"0x{number:064x}",
        "parent": f"0x{number - 1:064x}", "timestamp": t // S, "origin": 1, "base_fee": "0",
        "transactions": [transaction], "events": made,
    }  # fmt: skip


def index(price: int) -> dict[str, Any]:
    arguments = {"asset": "ETH", "round": "1", "timestamp": "1", "price": str(price), "sources": "3", "prices": ["1"]}
    return {"name": "RoundAccepted", "args": arguments}


def traded(size: int, price: int) -> dict[str, Any]:
    arguments = {"seriesId": "1", "taker": TAKER, "maker": MAKER, "size": str(size), "price": str(price), "nonce": "1",
                 "fee": "0"}  # fmt: skip
    return {"name": "Traded", "args": arguments}


def history(*blocks: dict[str, Any], states: tuple[dict[str, Any], ...] = ()) -> History:
    """Those blocks, each decided 3 s before it was built and committed 1 s after."""
    records: list[dict[str, Any]] = [*states]
    for made in blocks:
        number, t = made["number"], made["t"]
        op = {"node": "trader-0", "kind": "op", "id": f"o{number}"}
        invoke = {"client": "trader-0", "action": "open", "phase": "invoke", "args": {}}
        ended = {**invoke, "phase": "ok", "detail": {"tx": f"0x{number + 500:064x}", "block": number}}
        records += [
            made, {"t": t - 3 * S, **op, **invoke}, {"t": t + S, **op, **ended},
            {"t": t + S, "node": "sequencer-0", "kind": "head", "label": "committed", "number": number,
             "hash": made["hash"]},
        ]  # fmt: skip
    return from_lines(orjson.dumps(record) for record in sorted(records, key=lambda record: record["t"]))


def test_a_fill_costs_what_it_is_off_the_true_price_when_decided_and_when_made(plan: Plan) -> None:
    """True price 110 at the fill and 107 at the decision; two bought at 111 cost 2 and 8, to the wei."""
    run = history(block(1, 10 * S, index(110 * WAD), traded(2 * WAD, 111 * WAD)))
    market = market_quality(plan, run, fills_of(plan, run))
    assert market["slippage"]["at_fill"]["wad"] == str(2 * WAD)
    assert market["slippage"]["since_decision"]["wad"] == str(8 * WAD)
    assert market["slippage"]["at_fill"]["bps"] == round(2 / 220 * 10_000, 3)
    assert market["fill_latency_ms"] == {"count": 1, "p50": 4000.0, "p95": 4000.0, "max": 4000.0}
    # One second later the price is 111, what the maker sold at; five seconds later it has lost 4 a unit.
    assert market["makers"]["edge_wad"] == {"at_fill": str(2 * WAD), "1s": "0", "5s": str(-8 * WAD)}
    assert (market["makers"]["picked_off"], market["fills_on_stale_price"]) == (0, 0)


def test_a_seller_above_the_true_price_picked_its_maker_off(plan: Plan) -> None:
    """The maker bought 3 at 112 what was worth 110, by an index of 112 that was stale."""
    run = history(block(1, 10 * S, index(112 * WAD), traded(-3 * WAD, 112 * WAD)))
    makers = market_quality(plan, run, fills_of(plan, run))
    assert makers["makers"]["picked_off"] == 1
    assert makers["makers"]["lost_to_picking_off_wad"] == str(6 * WAD)
    assert makers["fills_on_stale_price"] == 1
    fair = history(block(1, 10 * S, index(110 * WAD), traded(-3 * WAD, 110 * WAD)))
    figures = market_quality(plan, fair, fills_of(plan, fair))
    assert (figures["makers"]["picked_off"], figures["fills_on_stale_price"]) == (0, 0)


def test_a_cost_is_rounded_up_and_never_away(plan: Plan) -> None:
    """One wei of size a wei above the true price costs a wei, not nothing."""
    run = history(block(1, 10 * S, index(110 * WAD), traded(1, 110 * WAD + 1)))
    assert market_quality(plan, run, fills_of(plan, run))["slippage"]["at_fill"]["wad"] == "1"


def test_depth_counts_what_rests_near_the_true_price_and_can_still_be_matched(plan: Plan) -> None:
    """Of four orders around 110 one is 60 bps away and one is past its deadline."""
    made = block(1, 10 * S, index(110 * WAD))
    orders = [
        (1, 2 * WAD, 110 * WAD - WAD // 10, 100), (2, -WAD, 110 * WAD + WAD // 2, 100),
        (3, 5 * WAD, 109 * WAD + WAD // 3, 100), (4, -WAD, 110 * WAD, 9),
    ]  # fmt: skip
    state = {
        "t": 10 * S, "node": "replica-0", "kind": "state", "number": 1, "hash": made["hash"],
        "totals": {"custody": "0", "insurance": "0", "fees": "0", "dust": "0"}, "accounts": {}, "series": {},
        "assets": {}, "book": {"1": [[i, MAKER, str(rest), str(price), until] for i, rest, price, until in orders]},
    }  # fmt: skip
    run = history(made, states=(state,))
    depth = market_quality(plan, run, fills_of(plan, run))["depth"]["ETH-F"]
    means = {within: figures["mean"] for within, figures in depth["within_bps"].items()}
    assert means == {"10": 219, "25": 219, "50": 330, "100": 876}   # of 219.80, 110.50 and 546.67


def test_an_option_is_worth_its_intrinsic_value_at_its_end_and_more_before(plan: Plan) -> None:
    """The true value of a call goes to max(S − K, 0) at its expiry."""
    values, call = TrueValues(plan), Product("C", "call", "ETH", 150 * WAD, 60)
    assert values.value(call, 60 * S) == 10 * WAD
    assert values.value(call, 30 * S) > 0
    assert values.value(call, 90 * S) == 10 * WAD
