"""Ring and bridge: who is cut from whom, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.scenario.errors import ScenarioError
from harness.scenario.partition_shapes import bridge, ring
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]


def reached(names: list[str], pairs: tuple[tuple[str, str], ...]) -> dict[str, frozenset[str]]:
    cut = {frozenset(pair) for pair in pairs}
    return {one: frozenset(two for two in names if frozenset((one, two)) not in cut) for one in names}


@pytest.mark.parametrize("count", range(4, 12))
def test_in_a_ring_everybody_sees_a_majority_and_no_two_the_same(count: int) -> None:
    names = [f"s-{index}" for index in range(count)]
    seen = reached(names, ring(names))
    assert all(len(some) > count / 2 for some in seen.values())
    assert len(set(seen.values())) == count
    assert all(len(some) < count for some in seen.values())


@pytest.mark.parametrize("count", range(3, 10))
def test_a_bridge_is_the_only_way_between_two_halves(count: int) -> None:
    names = [f"s-{index}" for index in range(count)]
    seen = reached(names, bridge(names))
    assert seen["s-0"] == frozenset(names)
    halves = {some for name, some in seen.items() if name != "s-0"}
    one, two = halves
    assert one & two == {"s-0"}
    assert one | two == set(names)
    assert abs(len(one) - len(two)) <= 1


def test_a_scenario_draws_its_shape_from_the_seed(write: Write, minimal: str) -> None:
    text = minimal + "faults:\n  - {at: 2s, for: 3s, partition: {bridge: sequencer}}\n"
    plans = [plan_from_file(write(text), seed=seed).faults[0] for seed in (1, 1, 2, 3, 4, 5)]
    assert plans[0] == plans[1]
    assert len({plan.links for plan in plans}) > 1
    assert all(link.both for link in plans[0].links)
    assert plans[0].rule is not None
    assert plans[0].rule.cut


@pytest.mark.parametrize(
    ("partition", "said"),
    [
        ("{ring: [sequencer-0, sequencer-1, sequencer-2]}", "a ring needs at least 4 roles"),
        ("{bridge: [keeper-0, leader]}", "leader has no place in a shape"),
        ("{ring: sequencr}", 'unknown role "sequencr"'),
        ("{ring: sequencer, bridge: sequencer}", "or a ring or a bridge of roles"),
    ],
)
def test_what_is_no_shape_is_said(write: Write, minimal: str, partition: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        plan_from_file(write(minimal + f"faults:\n  - {{at: 2s, for: 3s, partition: {partition}}}\n"))
