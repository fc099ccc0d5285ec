"""The same market twice, with its maker near the chain and far from it: what the distance costs is in the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.scenario.planning import plan_from_file
from harness.scenario.run import run_plan

pytestmark = [pytest.mark.node, pytest.mark.scenario]

STORM = """\
version: 1
name: distance
seed: 5
market:
  ETH: {knots: {0s: 200, 5s: 201, 9s: 199.6, 14s: 201.4, 19s: 199.8, 24s: 201.6, 29s: 199.4, 34s: 200.8}}
products:
  - {id: ETH-F1, kind: future, underlying: ETH, expires: 44s}
venue: {trading: book}
workload: {traders: 12, rate: 8/s, leverage: [1, 3], informed: 3, stop: 32s}
faults:
  - {at: 1s, for: 32s, latency: {between: [maker-0, all], delay: 20ms}}
storm: 34s
liveness: 11s
checks: [C1, A6, M1]
within: {recover: 10s}
"""


def market_at(folder: Path, delay: str) -> dict[str, Any]:
    """The figures of the market with the maker so far away from everybody."""
    path = folder / "distance.yaml"
    path.write_text(STORM, encoding="utf-8")
    plan = plan_from_file(path, overrides=[f"faults[0].latency.delay={delay}"])
    result = run_plan(plan, out_dir=folder, report=False)
    assert result.exit_code == 0, result.result["checks"]
    found: dict[str, Any] = result.result["market"]
    return found


def test_a_maker_far_from_the_chain_costs_takers_and_itself_more(tmp_path: Path) -> None:
    """20 ms and 400 ms: takers without a view pay more, informed ones take more that is stale, and less is offered."""
    near, far = market_at(tmp_path, "20ms"), market_at(tmp_path, "400ms")
    assert min(near["fills"], far["fills"]) > 30
    slippage = [m["slippage"]["by_taker"]["scripted"]["bps"] for m in (near, far)]
    lost = [m["makers"]["lost_to_picking_off_bps"] for m in (near, far)]
    assert slippage[1] > slippage[0]
    assert lost[1] > lost[0]
    depth = [m["depth"]["ETH-F1"]["within_bps"]["50"]["mean"] for m in (near, far)]
    assert depth[1] < depth[0]
