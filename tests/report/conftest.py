"""A small made-up run of the shipped demo: enough of every record kind to draw, summarise and judge by eye."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.checks.results import CheckResult, Verdict
from harness.history.reader import History, from_lines
from harness.plan import Plan
from harness.report.result import build_result
from harness.report.story import tell
from harness.roles.market import PricePath
from harness.scenario.planning import plan_from_file

ROOT = Path(__file__).parents[2]
WAD = 10**18
ADDRESSES = {f"trader-{i}": f"0x{i + 1:040x}" for i in range(12)} | {
    f"keeper-{i}": f"0x{i + 101:040x}" for i in range(2)
}


@dataclass(frozen=True)
class Fault:
    id: str
    kind: str
    target: str
    bit: bool
    healed: bool
    evidence: Any


def _hash(number: int) -> str:
    return f"0x{number:064x}"


def _windows(plan: Plan) -> Iterator[tuple[str, str, float, float]]:
    for fault in plan.faults:
        start = 22.4 if fault.trigger.at_ns is None else fault.trigger.at_ns / 1e9
        assert fault.duration_ns is not None
        yield fault.id, fault.kind, start, start + fault.duration_ns / 1e9


def _records(plan: Plan) -> Iterator[dict[str, Any]]:
    """A run as it could have been; every number made up, from a fixed seed."""
    draw = random.Random(1)
    path = PricePath(plan.markets[0][1])
    end = (plan.storm_ns + plan.liveness_ns) // 10**9
    yield {
        "t": 0, "node": "run", "kind": "run", "scenario": plan.scenario, "seed": plan.seed, "runtime": "sim",
        "versions": {"anvil": "1.7.1"}, "genesis_timestamp": 1_700_000_000, "deployment": {}, "accounts": ADDRESSES,
    }  # fmt: skip
    yield {"t": 0, "node": "run", "kind": "phase", "name": "storm"}
    timed: list[dict[str, Any]] = [
        {"t": plan.storm_ns, "node": "run", "kind": "phase", "name": "heal"},
        {"t": plan.storm_ns + 1, "node": "run", "kind": "phase", "name": "liveness"},
    ]
    for id_, kind, start, stop in _windows(plan):
        common = {"node": "run", "kind": "fault", "id": id_, "fault": kind, "target": "x", "detail": {}}
        timed.append({"t": int(start * 1e9), "phase": "inject", **common})
        timed.append({"t": int(stop * 1e9), "phase": "heal", **common})
    last_price = 0
    for number in range(1, end * 2):
        t = number * 500_000_000 + 40_000_000
        price = path.at(t)
        events: list[dict[str, Any]] = []
        if abs(price - last_price) * 200 > price:
            arguments = {
                "asset": "ETH",
                "round": str(number),
                "timestamp": str(number),
                "price": str(price),
                "sources": "4",
                "prices": [str(price)] * 4,
            }
            events.append({"name": "RoundAccepted", "contract": "feed", "tx": 0, "args": arguments})
            last_price = price
        if number in (40, 60, 61, 88, 89, 90, 91, 115, 140, 150, 219, 221):
            arguments = {
                "account": ADDRESSES[f"trader-{number % 12}"], "keeper": ADDRESSES[f"keeper-{number % 2}"],
                "equityBefore": str(412 * WAD), "maintenanceMargin": str(430 * WAD), "toKeeper": "1",
                "toInsurance": "1", "covered": "0", "badDebt": str(17 * WAD if number == 91 else 0), "stage": 1,
            }  # fmt: skip
            events.append({"name": "Liquidated", "contract": "liquidator", "tx": 0, "args": arguments})
        for product, series in (("ETH-C180", 3), ("ETH-F1", 1), ("ETH-P150", 4), ("ETH-F2", 2)):
            expiry = next(item.expires_s for item in plan.products if item.id == product)
            if number == expiry * 2 + 3:
                for trader in range(5):
                    arguments = {
                        "account": ADDRESSES[f"trader-{trader}"], "seriesId": str(series), "size": str(3 * WAD),
                        "price": str(price), "cashDelta": str(-120 * WAD),
                    }  # fmt: skip
                    events.append({"name": "Settled", "contract": "settlement", "tx": 0, "args": arguments})
        transaction = {"hash": _hash(10**6 + number), "sender": ADDRESSES["keeper-0"], "to": None, "ok": True,
                       "gas": 21_000, "error": None}  # fmt: skip
        timed.append({
            "t": t, "node": "sequencer-0", "kind": "block", "chain": "l2", "number": number, "hash": _hash(number),
            "parent": _hash(number - 1), "timestamp": 1_700_000_000 + number // 2, "origin": 1, "base_fee": "0",
            "transactions": [transaction], "events": events,
        })  # fmt: skip
        for role in plan.of_kind("sequencer", "replica"):
            alone = role.name == "sequencer-2" and 76 <= number < 83
            for label, late in (
                ("unsafe", 0),
                ("committed", 1),
                ("safe", 9 if not 110 < number < 132 else number - 101),
                ("finalized", 58),
            ):
                at = number - late - (number - 76 if alone else 0)
                if at < 1 or draw.random() < 0.1:
                    continue
                when = t + draw.randrange(2_000_000, 90_000_000)
                timed.append(
                    {"t": when, "node": role.name, "kind": "head", "label": label, "number": at, "hash": _hash(at)}
                )
    timed.sort(key=lambda record: record["t"])
    yield from timed
    yield {"t": timed[-1]["t"], "node": "run", "kind": "phase", "name": "end"}


@pytest.fixture(scope="session")
def plan() -> Plan:
    return plan_from_file(ROOT / "scenarios" / "black-thursday.yaml")


@pytest.fixture(scope="session")
def history(plan: Plan) -> History:
    return from_lines(orjson.dumps(record) for record in _records(plan))


@pytest.fixture(scope="session")
def checks() -> list[CheckResult]:
    case = {
        "case": "first",
        "block": 92,
        "account": "trader-7",
        "expected": str(412 * WAD),
        "found": str(412 * WAD + 1),
    }
    return [
        CheckResult("C1", "conservation", Verdict.HOLDS, 249, "custody equals the ledger after each of 249 blocks"),
        CheckResult("A1", "zero-sum", Verdict.HOLDS, 249, "positions of every series sum to zero"),
        CheckResult(
            "LS1", "liquidation safety", Verdict.HOLDS, 12, "12 liquidations, each below maintenance at a fresh price"
        ),
        CheckResult("LL1", "liquidation liveness", Verdict.UNKNOWN, 0, "no account stayed liquidatable long enough"),
        CheckResult("S1", "settlement price", Verdict.VIOLATED, 20, "1 × settled at another price", (case,)),
    ]


@pytest.fixture(scope="session")
def faults(plan: Plan) -> list[Fault]:
    evidence = {"delayed_messages": 412, "median_ms": 398.2}
    return [
        Fault(fault.id, fault.kind, ", ".join(fault.targets) or "links", fault.kind != "loss", True, evidence)
        for fault in plan.faults
    ]


MakeResult = Callable[..., dict[str, Any]]


@pytest.fixture
def make_result(plan: Plan, history: History, checks: list[CheckResult], faults: list[Fault]) -> MakeResult:
    """result.json of the made-up run, with parts replaced."""

    def make(**changes: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "runtime": "sim", "checks": checks, "faults": faults, "history": history, "history_sha256": "ab" * 32,
            "story": tell(plan, history), "stats": {"wall_s": 6.1}, "versions": {"anvil": "1.7.1", "harness": "0.1.0"},
            "replay": "harness replay runs/black-thursday-7-20261123T120000Z",
        }  # fmt: skip
        return build_result(plan, **{**arguments, **changes})

    return make
