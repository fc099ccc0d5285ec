"""Other languages find a project's contracts in a network's folder: addresses and ABIs under the project's names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.network.descriptions import contracts_of, write_descriptions
from harness.scenario.planning import plan_from_file
from harness.scenario.stage import SIM_GENESIS_TIMESTAMP, set_stage

from .conftest import EXAMPLES

pytestmark = pytest.mark.node


def test_a_projects_contracts_stand_beside_ours_under_their_own_names(tmp_path: Path) -> None:
    plan = plan_from_file(EXAMPLES / "lending" / "scenario.yaml")
    stage = set_stage(plan, genesis_timestamp=SIM_GENESIS_TIMESTAMP)
    assert plan.project is not None
    contracts = contracts_of(stage, plan.project)
    write_descriptions(tmp_path, name="n", contracts=contracts, endpoints=(), project=plan.project)
    written = json.loads((tmp_path / "deployments.json").read_text())["contracts"]
    for item in plan.project.contracts:
        assert written[item.name]["address"] == item.address
        assert json.loads((tmp_path / written[item.name]["abi"]).read_text()) == json.loads(item.abi)
    assert written["Vault"]["address"] == stage.deployment["vault"]
    assert {"cash", "weth", "pool", "PriceFeed", "Vault"} <= set(written)
