"""What traders bring over the bridge: each its first collateral, and then a deposit now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.plan import BridgePlan, PlannedOperation
from harness.ports import Random
from harness.scenario import schema
from harness.scenario.loading import Document
from harness.scenario.units import NS_PER_SECOND
from harness.scenario.workload import OPERATIONS_MAX, TooMuchWork

FIRST_NS = NS_PER_SECOND
FIRST_WITHIN_NS = 6 * NS_PER_SECOND
GAS = 400_000
"""More than a deposit on the venue takes."""
CARELESS_GAS = 90_000
"""What the tokens alone would take: a deposit fails of it."""
RELAYERS_DEFAULT = 2

Operations = tuple[tuple[str, tuple[PlannedOperation, ...]], ...]


class TooManyDeposits(TooMuchWork):
    """Of those that come over the bridge."""

    location = ("bridge", "deposits")


def relayers_of(scenario: schema.Scenario) -> int:
    """As many as the scenario says; else two where there is a bridge to serve."""
    if scenario.network.relayers is not None:
        return scenario.network.relayers
    return RELAYERS_DEFAULT if scenario.bridge is not None else 0


def bridge_plan(document: Document, scenario: schema.Scenario) -> BridgePlan | None:
    """Raises ScenarioError where what is asked for does not fit."""
    relayers, bridge = relayers_of(scenario), scenario.bridge
    if relayers and not scenario.market:
        raise document.error(("network", "relayers"), "needs market: without one there is no bridge to relay for")
    if bridge is None:
        return BridgePlan() if relayers else None
    if not scenario.products:
        raise document.error(("bridge",), "needs products: nobody trades where there are none")
    if bridge.byzantine >= relayers:
        what = f"{bridge.byzantine} of {relayers} relayers leave no honest one; raise network.relayers"
        raise document.error(("bridge", "byzantine"), what)
    return BridgePlan(bridge.byzantine)


def with_bridge(
    operations: Operations, bridge: schema.Bridge | None, *, stop_ns: int, random: Random
) -> Operations:
    """Operations whose first deposit of each trader comes over the bridge, and further ones at the bridge's rate.

    Raises TooManyDeposits.
    """
    if bridge is None or not operations:
        return operations
    names = [name for name, _ in operations]
    slots = max(0, stop_ns - FIRST_NS - FIRST_WITHIN_NS) * bridge.deposits // (1_000 * NS_PER_SECOND)
    if slots > OPERATIONS_MAX:
        raise TooManyDeposits(f"{slots} deposits over the bridge; at most {OPERATIONS_MAX}: lower bridge.deposits")
    drawn: dict[str, list[PlannedOperation]] = {name: [] for name in names}
    low, high = bridge.amount
    for slot in range(slots):
        jitter = random.below(1_000, "bridge-jitter", slot)
        at_ns = FIRST_NS + FIRST_WITHIN_NS + (slot * 1_000 + jitter) * NS_PER_SECOND // bridge.deposits
        name = names[random.below(len(names), "bridge-trader", slot)]
        amount = low + random.below(high - low + 1, "bridge-amount", slot)
        to_venue = random.below(2, "bridge-target", slot) == 0
        made = _deposit(f"{name}/bridge-{len(drawn[name]) + 1}", at_ns, amount, to_venue=to_venue,
                        careless=to_venue and random.unit("bridge-careless", slot) < bridge.careless)  # fmt: skip
        drawn[name].append(made)
    found = []
    for name, mine in operations:
        first = next((index for index, op in enumerate(mine) if op.action == "deposit" and not op.product), None)
        rest: Sequence[PlannedOperation] = mine
        if first is not None:
            at_ns = FIRST_NS + random.below(FIRST_WITHIN_NS, "bridge-first", name)
            careless = random.unit("bridge-careless-first", name) < bridge.careless
            drawn[name].append(_deposit(f"{name}/bridge-0", at_ns, mine[first].amount_native, to_venue=True,
                                        careless=careless))  # fmt: skip
            rest = (*mine[:first], *mine[first + 1 :])
        found.append((name, tuple(sorted((*drawn[name], *rest), key=lambda op: op.at_ns))))
    return tuple(found)


def _deposit(id: str, at_ns: int, amount: int, *, to_venue: bool, careless: bool) -> PlannedOperation:
    operation = PlannedOperation(id, at_ns, "bridge", "venue" if to_venue else "wallet", 0, 0, 0, amount)
    return replace(operation, gas=CARELESS_GAS if careless else GAS)
