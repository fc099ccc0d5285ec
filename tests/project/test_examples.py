"""The shipped examples run, hold, repeat to the byte, and go red when their contracts are broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.scenario.plan_file import parse_plan, plan_bytes, read_plan
from harness.scenario.planning import plan_from_file
from harness.scenario.run import run_plan

from .conftest import EXAMPLES

pytestmark = [pytest.mark.node, pytest.mark.scenario]
Copy = Callable[[str], Path]

# example, contract, text, what it becomes, the check that must see it
MUTANTS = [
    ("vault", "Vault.sol", "amount = worth - fee;", "amount = worth; fee = 0;", None),  # a vault without fees is sound
    ("vault", "Vault.sol", "token.transfer(msg.sender, amount);", "token.transfer(msg.sender, worth);",
     "VAULT-CUSTODY"),  # pays the fee out, and owes it still
    ("vault", "Vault.sol", "totalShares -= shares;", "totalShares -= shares - 1;", "VAULT-SHARES"),
    ("lending", "LendingPool.sol", "LIQUIDATION_BPS = 8_000;", "LIQUIDATION_BPS = 7_000;", "POOL-JUST"),
    ("lending", "LendingPool.sol", "totalDebt -= debt;", "totalDebt -= debt - 1;", "POOL-BOOKS"),
]  # fmt: skip


def verdicts(result: dict[str, object]) -> dict[str, str]:
    checks = result["checks"]
    assert isinstance(checks, list)
    return {check["id"]: check["verdict"] for check in checks if check["demanded"] or check["verdict"] == "violated"}


@pytest.mark.parametrize("name", ["vault", "lending"])
def test_an_example_holds_and_its_plan_alone_repeats_it(name: str, copy_of: Copy, tmp_path: Path) -> None:
    """The plan carries contracts, actors and checks: with the sources gone the whole history is the same."""
    folder = copy_of(name)
    first = run_plan(plan_from_file(folder / "scenario.yaml"), out_dir=tmp_path / "runs", report=True)
    assert set(verdicts(dict(first.result)).values()) == {"holds"}
    assert first.exit_code == 0
    for file in sorted(folder.rglob("*.*")):
        file.unlink()
    again = run_plan(read_plan(first.folder), out_dir=tmp_path / "again", report=False)
    assert again.result["history_sha256"] == first.result["history_sha256"]
    assert verdicts(dict(again.result)) == verdicts(dict(first.result))


@pytest.mark.parametrize(("name", "file", "old", "new", "check"), MUTANTS)
def test_a_broken_contract_is_caught(
    name: str, file: str, old: str, new: str, check: str | None, copy_of: Copy, tmp_path: Path
) -> None:
    source = copy_of(name) / "contracts" / file
    text = source.read_text()
    assert text.count(old) == 1
    source.write_text(text.replace(old, new))
    overrides = ["faults=[]", "liveness=15s", "network.l2.sequencers=1", "network.l1.followers=0", "storm=26s"]
    plan = plan_from_file(tmp_path / name / "scenario.yaml", overrides=overrides)
    result = run_plan(plan, out_dir=tmp_path / "runs", report=False).result
    found = verdicts(dict(result))
    assert [id_ for id_, verdict in found.items() if verdict == "violated"] == ([] if check is None else [check])


@pytest.mark.local
def test_an_example_holds_with_a_process_per_role(tmp_path: Path) -> None:
    """The actors are the same classes, loaded from the plan in processes of their own."""
    plan = plan_from_file(
        EXAMPLES / "vault" / "scenario.yaml",
        overrides=["faults=[]", "storm=6s", "liveness=15s", "checks=[VAULT-CUSTODY, VAULT-SHARES, OPS, H4]",
                   "network.l2.sequencers=1", "network.l2.replicas=0", "network.l1.followers=0"],
    )  # fmt: skip
    result = run_plan(plan, runtime="local", out_dir=tmp_path, report=False).result
    assert set(verdicts(dict(result)).values()) == {"holds"}


def test_a_plan_with_a_project_goes_through_its_file_unchanged() -> None:
    plan = plan_from_file(EXAMPLES / "vault" / "scenario.yaml")
    assert parse_plan(plan_bytes(plan)) == plan
