"""What the spot pool's liquidity lost to those who knew better, and what leaders took by ordering, gas and all.

Native units of each token, exact; values in quote at the true price of the moment, floored.
"""

from __future__ import annotations

from typing import Any

from harness.history.reader import History
from harness.history.records import BlockRecord
from harness.plan import Plan
from harness.report.true_values import TrueValues

SCALE = 10**30
"""Native underlying times a price in 1e18 quote per unit, over this: native quote."""
GAS_PRICE_WEI = 10**9
"""What inclusion is charged at beside what was paid: on this chain a leader pays itself."""


def spot_quality(plan: Plan, history: History) -> dict[str, Any] | None:
    """The `spot` object of result.json's `market`; None where the plan has no pool, or nobody provided for it."""
    pool = plan.spot
    if pool is None:
        return None
    values = TrueValues(plan)
    given = [event.args for block in history.chain for event in block.events if event.name == "LiquidityAdded"]
    last = next(
        (state.spot for block in reversed(history.chain) for state in history.states.get(block.hash, ()) if state.spot),
        None,
    )
    if not given or last is None:
        return None
    price = values.price(pool.asset, history.chain[-1].t)
    held = sum(args["underlying"] for args in given) * price // SCALE + sum(args["quote"] for args in given)
    now = last.underlying * price // SCALE + last.quote
    return {
        "swaps": sum(event.name == "Swapped" for block in history.chain for event in block.events),
        # Beside having kept both tokens: the loss to arbitrage, less the fees it earned. Liquidity only comes in here.
        "liquidity": {"worth": str(now), "if_held": str(held), "loss": str(held - now)},
        "searchers": _profit(plan, history, values, "searcher"),
        "leaders": {**_profit(plan, history, values, "sequencer"), **_inclusion(plan, history, price)},
    }


def _profit(plan: Plan, history: History, values: TrueValues, kind: str) -> dict[str, Any]:
    """What roles of a kind made by their swaps: each at the true price of its block."""
    assert plan.spot is not None
    mine = _accounts(plan, history, kind)
    swaps, made = 0, 0
    for block in history.chain:
        price = None
        for event in block.events:
            if event.name != "Swapped" or event.args["account"] not in mine:
                continue
            price = values.price(plan.spot.asset, block.t) if price is None else price
            got, paid, buys = event.args["amountOut"], event.args["amountIn"], event.args["buys"]
            made += got * price // SCALE - paid if buys else got - -(-paid * price // SCALE)
            swaps += 1
    return {"swaps": swaps, "made": str(made)}


def _inclusion(plan: Plan, history: History, price: int) -> dict[str, Any]:
    """Attempts that made it into the chain, those whose victim got through, and the gas of them all."""
    mine = _accounts(plan, history, "sequencer")
    attempts, landed, gas = 0, 0, 0
    for block in history.chain:
        own = [place for place, sent in enumerate(block.transactions) if sent.sender in mine]
        attempts += len(own) // 2
        gas += sum(block.transactions[place].gas_used for place in own)
        landed += sum(_between(block, first, second) for first, second in zip(own[::2], own[1::2], strict=False))
    cost = gas * GAS_PRICE_WEI * price // 10**30   # wei of the underlying, at its price, in native quote
    return {"attempts": attempts, "victims": landed, "gas": gas, "gas_cost_at_1_gwei": str(cost)}


def _between(block: BlockRecord, first: int, second: int) -> bool:
    return any(event.name == "Swapped" and first < event.tx < second for event in block.events)


def _accounts(plan: Plan, history: History, kind: str) -> frozenset[str]:
    accounts = {} if history.run is None else history.run.accounts
    return frozenset(at for name, at in accounts.items() if name.rpartition("-")[0] == kind)
