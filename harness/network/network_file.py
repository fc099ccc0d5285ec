"""A NETWORK.yaml to a plan without an end: a scenario file's network, market, products and so on, and no storm."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.evm.accounts import BATCHER, MAKER, OWNER, USERS
from harness.plan import Plan
from harness.scenario import schema, units
from harness.scenario.errors import did_you_mean
from harness.scenario.loading import Document, read_document
from harness.scenario.planning import apply_overrides, make_plan

KEYS = (
    "version", "name", "about", "seed", "network", "market", "products", "venue", "workload", "l1_base_fee",
    "repeat", "project",
)  # fmt: skip
OF_A_STORM = ("faults", "storm", "liveness", "checks", "within")
END_NS = 10 * 365 * 86_400 * units.NS_PER_SECOND
"""When a network's storm would be over: never, for people."""
WORKLOAD_NS = 3_600 * units.NS_PER_SECOND
"""How long traders have something to do, unless the file says otherwise; what they do is drawn before."""

FUNDED = (OWNER, BATCHER, MAKER, *USERS)

# What a network has that its file says nothing of. The products live for a month.
_DEFAULTS: dict[str, Any] = {
    "version": 1,
    "name": "dev",
    "about": "a dev network",
    "market": {"ETH": {"knots": {"0s": 2000}}},
    "products": [
        {"id": "ETH-F", "kind": "future", "underlying": "ETH", "expires": "720h"},
        {"id": "ETH-P", "kind": "put", "underlying": "ETH", "strike": 1900, "expires": "720h"},
    ],
}


def network_plan(file: Path | None, *, seed: int | None = None, overrides: Iterable[str] = ()) -> Plan:
    """The plan of a network file, or of the default network. Raises ScenarioError with every problem's place."""
    document = Document({}, "", Path()) if file is None else read_document(file)
    document.data = copy.deepcopy(document.data)
    apply_overrides(document, overrides)
    return plan_of(document, seed=seed)


def plan_of(document: Document, *, seed: int | None = None) -> Plan:
    """The plan of a network's document. Raises ScenarioError."""
    data = document.data
    for key in data:
        if key in OF_A_STORM:
            raise document.error((key,), "belongs to a scenario; a network has no end, and its faults come by hand")
        if key not in KEYS:
            known = ", ".join(KEYS)
            raise document.error((key,), f"unknown key{did_you_mean(str(key), KEYS)}; known here: {known}")
    period_ns = _period_ns(document, data.pop("repeat", None))
    if data.get("project") is not None:   # without a market it is a network of the user's contracts alone
        data.setdefault("market", {})
    if not data.get("market", True):
        data.setdefault("products", [])
    for key, value in _DEFAULTS.items():
        data.setdefault(key, copy.deepcopy(value))
    if isinstance(workload := data.setdefault("workload", {}), dict):
        workload.setdefault("traders", 0)
        workload.setdefault("stop", f"{WORKLOAD_NS // units.NS_PER_SECOND}s")
    _known_underlyings(data)
    data["storm"] = "720h"  # the longest a file may say
    plan = make_plan(document, schema.parse(document), seed=seed)
    return replace(plan, users=FUNDED, market_period_ns=period_ns, storm_ns=END_NS)


def _period_ns(document: Document, value: object) -> int:
    if value is None:
        return 0
    try:
        return units.positive_duration_ns(value)
    except ValueError as error:
        raise document.error(("repeat",), str(error)) from None


def _known_underlyings(data: dict[str, Any]) -> None:
    """The default products are on ETH; where a file has other markets and no products, each gets a future."""
    market = data["market"]
    if data["products"] == _DEFAULTS["products"] and isinstance(market, dict) and "ETH" not in market:
        data["products"] = [
            {"id": f"{asset}-F", "kind": "future", "underlying": asset, "expires": "720h"} for asset in market
        ]
