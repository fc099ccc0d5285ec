"""`bridge:` in a scenario: whose collateral comes from L1, when, and who carries it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.plan import BridgePlan, Plan
from harness.scenario.bridging import CARELESS_GAS, GAS
from harness.scenario.errors import ScenarioError
from harness.scenario.plan_file import parse_plan, plan_bytes
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]


def planned(write: Write, minimal: str, text: str) -> Plan:
    return plan_from_file(write(minimal + text))


def test_each_traders_first_deposit_comes_over_the_bridge_and_others_may(write: Write, minimal: str) -> None:
    """Nobody has collateral on L2 before: what is traded on has crossed."""
    before = dict(planned(write, minimal, "").operations)
    plan = planned(write, minimal, "bridge: {deposits: 1/s}\n")
    assert parse_plan(plan_bytes(plan)) == plan
    for trader, operations in plan.operations:
        first = next(op for op in operations if op.action in ("deposit", "bridge"))
        replaced = next(op for op in before[trader] if op.action == "deposit")
        assert (first.action, first.product) == ("bridge", "venue")
        brought = [op for op in operations if op.action == "bridge"]
        assert replaced.amount_native in [op.amount_native for op in brought]
        assert replaced.id not in [op.id for op in operations]
        assert len({op.id for op in operations}) == len(operations)
        assert [op.at_ns for op in operations] == sorted(op.at_ns for op in operations)
    assert sum(op.action == "bridge" for _, operations in plan.operations for op in operations) > len(before)


@pytest.mark.parametrize(("share", "gases"), [(0, {GAS}), (1, {CARELESS_GAS})])
def test_careless_senders_give_too_little_gas(write: Write, minimal: str, share: int, gases: set[int]) -> None:
    plan = planned(write, minimal, f"bridge: {{careless: {share}}}\n")
    to_venue = [op for _, ops in plan.operations for op in ops if op.action == "bridge" and op.product == "venue"]
    assert {op.gas for op in to_venue} == gases


def test_relayers_are_two_with_a_bridge_none_without_and_as_many_as_asked(write: Write, minimal: str) -> None:
    def relayers(text: str) -> tuple[list[str], BridgePlan | None]:
        plan = planned(write, minimal, text)
        return [role.name for role in plan.of_kind("relayer")], plan.bridge

    assert relayers("") == ([], None)
    assert relayers("bridge: {}\n") == (["relayer-0", "relayer-1"], BridgePlan())
    assert relayers("network: {relayers: 3}\nbridge: {byzantine: 2}\n") == (
        ["relayer-0", "relayer-1", "relayer-2"], BridgePlan(2),
    )
    assert relayers("network: {relayers: 1}\n") == (["relayer-0"], BridgePlan())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bridge: {deposit: 1/s}\n", r"bridge\.deposit.*did you mean deposits"),
        ("bridge: {amount: [9, 5]}\n", r"bridge.*low ≤ high"),
        ("bridge: {byzantine: 2}\n", r"bridge\.byzantine: 2 of 2 relayers leave no honest one"),
        ("bridge: {}\nnetwork: {relayers: 0}\n", r"bridge\.byzantine: 0 of 0 relayers leave no honest one"),
        ("network: {relayers: 10}\n", r"network\.relayers"),
        ("bridge: {deposits: 1000/s}\nstorm: 1h\n", r"bridge\.deposits: \d+ deposits over the bridge; at most \d+"),
    ],
)
def test_contradictions_are_refused_with_their_place(write: Write, minimal: str, text: str, says: str) -> None:
    with pytest.raises(ScenarioError, match=says):
        planned(write, minimal, text)


def test_relayers_need_a_venue(write: Write) -> None:
    """A network of a project alone has no bridge."""
    text = "version: 1\nname: bare\nnetwork: {relayers: 1}\nproject: {contracts: contracts}\n"
    with pytest.raises(ScenarioError):
        plan_from_file(write(text))
