"""A check nobody has seen fail is not a check: each small patch below must turn a whole run red."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.consensus.messages import Certificate
from harness.ports import Json
from harness.roles import client
from harness.roles.batcher import Batcher
from harness.roles.context import Role, RoleContext
from harness.roles.node import Node
from harness.roles.registry import make_role
from harness.roles.replica import Replica
from harness.roles.wire import inputs_from_json
from harness.rollup.blocks import InvalidBlock
from harness.rollup.forced import ForcedEntry, ForcedView
from harness.runtimes.sim.network import Fabric
from harness.runtimes.sim.runtime import SimRuntime
from harness.scenario.conduct import Variant
from harness.solidity.compile import contracts_root

from .conftest import SCENARIOS, Run, verdict_of

pytestmark = [pytest.mark.node, pytest.mark.scenario]


def patched(tmp_path: Path, file: str, old: str, new: str) -> Variant:
    """Our contracts with one change; the text to change must occur exactly once."""
    root = tmp_path / "contracts"
    shutil.copytree(contracts_root(), root)
    source = (root / file).read_text()
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in {file}"
    (root / file).write_text(source.replace(old, new))
    return Variant(contracts=root)


def test_a_weaker_margin_comparison_is_caught(run: Run, tmp_path: Path) -> None:
    """M1: a venue that opens positions on maintenance margin lets traders in that the spec keeps out."""
    variant = patched(
        tmp_path,
        "exchange/Moves.sol",
        "if (after_.creditedEquity >= int256(after_.initialMargin)) {",
        "if (after_.creditedEquity >= int256(after_.maintenanceMargin)) {",
    )
    result = run("black-thursday", variant=variant)
    assert result.exit_code == 1
    assert verdict_of(result, "M1") == "violated"


def test_truncating_a_shorts_settlement_is_caught(run: Run, tmp_path: Path) -> None:
    """S2: Solidity's division truncates toward zero, which pays a short one wei that nobody paid in."""
    variant = patched(
        tmp_path,
        "exchange/Margin.sol",
        "return price.floor(size) - notional;",
        "return size * price.numerator / int256(price.denominator) - notional;",
    )
    result = run("calm", variant=variant)
    assert result.exit_code == 1
    assert verdict_of(result, "S2") == "violated"
    # And it was told while the run went on, at the block it happened in.
    (at_the_end,) = (check["evidence"][0] for check in result.result["checks"] if check["id"] == "S2")
    alarms = {alarm["id"]: alarm["block"] for alarm in result.result["stats"]["online"]["alarms"]}
    assert alarms["S2"] == at_the_end["block"]
    # A set of runs judges at the end alone, and comes to the same.
    unwatched = run("calm", variant=variant, judges_online=False)
    assert unwatched.result["stats"]["online"]["alarms"] == []
    assert unwatched.result["checks"] == result.result["checks"]


def test_a_missing_staleness_guard_is_caught(run: Run, tmp_path: Path) -> None:
    """O1: with the reporters cut off, a venue that trades on goes on at a price from before the storm."""
    variant = patched(
        tmp_path,
        "exchange/PriceFeed.sol",
        "if (age > maxPriceAge) revert StalePrice(asset, age, maxPriceAge);",
        "",
    )
    cut_off = tmp_path / "reporters-cut-off.yaml"
    fault = "faults: [{at: 8s, for: 36s, partition: {from: 'reporter-*', to: 'sequencer-*'}}]\n"
    cut_off.write_text((SCENARIOS / "calm.yaml").read_text().replace("name: calm", "name: reporters-cut-off") + fault)
    result = run(cut_off, variant=variant)
    assert result.exit_code == 1
    assert verdict_of(result, "O1") == "violated"


class Reordering(Node):
    """A node that executes every block's transactions backward and does not look at the hash."""

    async def adopt(self, items: Sequence[Json], certificate: Certificate | None) -> bool:
        for item in items:
            inputs = inputs_from_json(item["inputs"])
            committed = self.chain.heads.committed
            if inputs.number == committed.number + 1:
                backward = replace(inputs, parent=committed.hash, transactions=inputs.transactions[::-1])
                try:
                    block = await self.chain.execute(backward)
                except InvalidBlock:  # two of one sender: that order cannot be executed at all
                    return False
                self.committed(block.hash, None)
        return True


def make_reordering_replica(context: RoleContext) -> Role:
    if context.name != "replica-1":
        return make_role(context)
    replica = Replica(context)
    replica.node = Reordering(context)
    return replica


def test_a_replica_with_another_block_order_is_caught(run: Run) -> None:
    """H2: order is part of a block, and a replica that has another one must never pass for a healthy node."""
    result = run("calm", variant=Variant(make_role=make_reordering_replica))
    assert result.exit_code == 1
    assert verdict_of(result, "H2") == "violated"


@pytest.mark.parametrize("broken", ["newest first", "sixteen L1 blocks late"])
def test_a_rollup_that_serves_the_forced_queue_out_of_turn_is_caught(
    run: Run, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Q1, Q2 (X5): builder, voters and derivation all agree on the wrong rule, so only the history can tell."""
    read = ForcedView.at

    def wrongly(view: ForcedView, l1_number: int) -> tuple[ForcedEntry, ...]:
        return read(view, l1_number)[::-1] if broken == "newest first" else read(view, l1_number - 16)

    monkeypatch.setattr(ForcedView, "at", wrongly)
    # Censored until the grace is over by L1's clock, so that what is not forced in time is not there in time.
    result = run("censored-top-up", overrides=["faults[1].for=54s", "venue.grace=30s"])
    assert result.exit_code == 1
    assert verdict_of(result, "Q1") == "violated"
    assert verdict_of(result, "Q2") == ("holds" if broken == "newest first" else "violated")


def test_a_partition_that_does_not_cut_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storm that did not happen proves nothing: the fault says so, and the run cannot hold."""
    monkeypatch.setattr(Fabric, "set_rules", lambda *_: None)
    result = run("split-brain")
    assert [fault["bit"] for fault in result.result["faults"]] == [False]
    assert result.exit_code != 0


def test_a_client_that_believes_every_error_is_caught(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPS: a gateway's error after it took a transaction is no failure, and a client that reports one lies in turn."""
    monkeypatch.setattr(client, "is_definite", lambda refused: True)
    result = run("lying-rpc", seed=1)
    assert result.exit_code == 1
    assert verdict_of(result, "OPS") == "violated"


def test_a_lie_that_was_never_told_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose nodes stayed honest has not shown that clients survive the lies of its file."""

    async def forget(*_: object) -> None:
        return None

    monkeypatch.setattr(SimRuntime, "set_rpc", forget)
    result = run("lying-rpc", seed=1)
    assert [fault["bit"] for fault in result.result["faults"]] == [False] * 7
    assert result.exit_code == 3


def test_a_batcher_that_does_not_notice_an_l1_reorg_is_caught(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """H6: frames that L1 took back and nobody posts again leave the safe head where the reorg put it."""

    monkeypatch.setattr(Batcher, "_notices_reorg", lambda batcher, nonce: False)
    result = run("l1-reorg", seed=1)
    assert result.exit_code == 1
    assert verdict_of(result, "H6") == "violated"


def test_a_node_that_ignores_an_l1_reorg_is_caught(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that goes on deriving from blocks L1 gave up stands still, or tells another safe chain than the rest."""

    monkeypatch.setattr(Node, "_follow_reorg", lambda node, derivation, fork: None)
    result = run("l1-reorg", seed=1)
    assert result.exit_code == 1


def test_more_liars_than_the_median_bears_are_caught(run: Run, tmp_path: Path) -> None:
    """P1: three of four reporters that agree on a false price carry it into the chain, and the run says so."""
    storm = (SCENARIOS / "byzantine-reporter.yaml").read_text()
    assert storm.count("of: reporter-0, do: spike") == 1
    file = tmp_path / "cartel.yaml"
    file.write_text(storm.replace("of: reporter-0, do: spike", 'of: "reporter[0,1,2]", do: spike'))
    result = run(file, seed=1)
    assert result.exit_code == 1
    assert verdict_of(result, "P1") == "violated"
