"""The spot pool of a plan, and what traders will swap in it, drawn apart from everything else they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.plan import PlannedOperation, SpotPool
from harness.ports import Random
from harness.scenario import schema
from harness.scenario.errors import did_you_mean
from harness.scenario.loading import Document
from harness.scenario.market import path_of
from harness.scenario.units import NS_PER_SECOND, price_wad
from harness.scenario.workload import OPERATIONS_MAX, TooMuchWork

FIRST_NS = 3 * NS_PER_SECOND
"""After the workload's start: the pool has its liquidity by then."""
_NATIVE_PER_WAD = 10**12
WAD = 10**18

Operations = tuple[tuple[str, tuple[PlannedOperation, ...]], ...]


def spot_pool(document: Document, scenario: schema.Scenario) -> SpotPool | None:
    """The pool at the market's first price; None where the scenario has none. Raises ScenarioError."""
    spot = scenario.spot
    if spot is None:
        return None
    if not scenario.products:
        raise document.error(("spot",), "needs products: nobody trades where there are none")
    market = scenario.market.get(spot.asset)
    if market is None:
        hint = did_you_mean(spot.asset, scenario.market) or f"; there is {', '.join(scenario.market)}"
        raise document.error(("spot", "asset"), f'no market "{spot.asset}"{hint}')
    if market.signed:
        raise document.error(("spot", "asset"), f"{spot.asset} may be worth less than nothing; no pool can hold that")
    first = path_of(document, ("market", spot.asset), market, price_wad)[0].value
    if first <= 0:
        raise document.error(("spot", "asset"), f"{spot.asset} is worth nothing at first; a pool has a price")
    return SpotPool(spot.asset, spot.liquidity * _NATIVE_PER_WAD * WAD // first, spot.liquidity)


def swap_operations(
    spot: schema.Spot, workload: schema.Workload, *, stop_ns: int, random: Random
) -> Mapping[str, Sequence[PlannedOperation]]:
    """Per trader, its swaps by time; evenly with jitter, half of them each way. Raises TooMuchWork."""
    first_ns = workload.start + FIRST_NS
    slots = max(0, stop_ns - first_ns) * spot.swaps // (1_000 * NS_PER_SECOND) if workload.traders else 0
    if slots > OPERATIONS_MAX:
        raise TooMuchWork(f"{slots} swaps until the storm ends; at most {OPERATIONS_MAX}: lower spot.swaps")
    found: dict[str, list[PlannedOperation]] = {}
    for slot in range(slots):
        at_ns = first_ns + (slot * 1_000 + random.below(1_000, "swap-jitter", slot)) * NS_PER_SECOND // spot.swaps
        trader = f"trader-{random.below(workload.traders, 'swap-trader', slot)}"
        mine = found.setdefault(trader, [])
        low, high = spot.amount
        least, most = spot.tolerance_bps
        mine.append(PlannedOperation(
            id=f"{trader}/swap-{len(mine)}", at_ns=at_ns, action="swap", product=spot.asset,
            side=1 if random.below(2, "swap-side", slot) else -1, leverage_milli=0, fraction_milli=0,
            amount_native=low + random.below(high - low + 1, "swap-amount", slot),
            tolerance_bps=least + random.below(most - least + 1, "swap-tolerance", slot),
        ))  # fmt: skip
    return found


def merged(operations: Operations, swaps: Mapping[str, Sequence[PlannedOperation]]) -> Operations:
    """Both, by time; of two at one time the one on the venue first."""
    return tuple(
        (name, tuple(sorted((*mine, *swaps.get(name, ())), key=lambda op: op.at_ns))) for name, mine in operations
    )
