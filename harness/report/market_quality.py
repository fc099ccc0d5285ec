"""How well the market worked for those in it: what fills cost against the true price, how late they came, who lost.

Every fill of the canonical chain is held against the *true value* of what was traded: the plan's price path for
futures and perpetuals, Black's value on it, at the variance it has realised, for options. Costs are exact integers
(1e18 quote); basis points are of the underlying's notional, since an option's own price may be nothing, and only for
reading.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.history.reader import History
from harness.plan import Plan, Product
from harness.report.keeper_quality import keeper_quality
from harness.report.spot_quality import spot_quality
from harness.report.true_values import TrueValues

WAD = 10**18
BPS = 10_000
MARKOUTS_S = (1, 5)
"""Seconds after a fill at which the maker's side of it is valued again."""
STALE_BPS = 25
"""A fill is on a stale price when the index it was margined and banded at was so far from the true price."""
DEPTHS_BPS = (10, 25, 50, 100)
TIMELINE_POINTS_MAX = 60


@dataclass(frozen=True, slots=True)
class Fill:
    """One `Traded` event, with what was true when it was decided and when it happened. Prices in 1e18 quote."""

    t_ns: int                   # when its block was built
    decided_ns: int | None      # when the taker's operation began; None where nobody recorded one
    committed_ns: int | None    # when a node first reported its block committed
    product: Product
    maker: str                  # addresses
    taker: str
    side: int                   # +1 the taker bought
    size: int                   # > 0
    price: int
    index: int | None           # of the underlying on chain then
    true_price: int             # of the underlying
    value: int                  # true value of what was traded, at `t_ns`
    value_decided: int | None
    value_after: tuple[int, ...]  # at `t_ns` + each of MARKOUTS_S

    @property
    def notional(self) -> int:
        return self.size * abs(self.true_price) // WAD

    def cost_against(self, value: int) -> int:
        """What the taker paid beyond a value, which is what the maker made; ceiled, so that no cost is hidden."""
        return -(-self.side * (self.price - value) * self.size // WAD)

    @property
    def is_stale(self) -> bool:
        return self.index is not None and abs(self.index - self.true_price) * BPS > STALE_BPS * abs(self.true_price)


def fills_of(plan: Plan, history: History) -> tuple[Fill, ...]:
    """Every trade of the canonical chain, in order."""
    values = TrueValues(plan)
    decided = {
        str(operation.outcome.detail["tx"]): operation.invoke.t
        for operation in history.operations
        if operation.outcome is not None and operation.outcome.detail.get("tx")
    }
    committed = _commitments(history)
    index: dict[str, int] = {}
    found = []
    for block in history.chain:
        for event in block.events:
            if event.name == "RoundAccepted":
                index[str(event.args["asset"])] = event.args["price"]
            if event.name != "Traded" or not 1 <= event.args["seriesId"] <= len(plan.products):
                continue
            product = plan.products[event.args["seriesId"] - 1]
            at = decided.get(block.transactions[event.tx].hash)
            size, price = event.args["size"], event.args["price"]
            # An inverse future's contracts are dollars; everything here is of the coin they were worth.
            units = abs(size) * WAD // price if product.kind == "inverse" else abs(size)
            found.append(Fill(
                t_ns=block.t, decided_ns=at, committed_ns=committed.get(block.number), product=product,
                maker=event.args["maker"], taker=event.args["taker"],
                side=1 if size > 0 else -1, size=units, price=price,
                index=index.get(product.underlying), true_price=values.price(product.underlying, block.t),
                value=values.value(product, block.t),
                value_decided=None if at is None else values.value(product, at),
                value_after=tuple(values.value(product, block.t + after * 10**9) for after in MARKOUTS_S),
            ))  # fmt: skip
    return tuple(found)


def market_quality(plan: Plan, history: History, fills: Sequence[Fill]) -> dict[str, Any]:
    """The `market` object of result.json; see README."""
    notional = sum(fill.notional for fill in fills)
    decided = [fill for fill in fills if fill.value_decided is not None]
    against_decision = [fill.cost_against(fill.value_decided or 0) for fill in decided]
    against_fill = [fill.cost_against(fill.value) for fill in fills]
    latencies = [
        (fill.committed_ns - fill.decided_ns) // 10**6
        for fill in fills
        if fill.committed_ns is not None and fill.decided_ns is not None
    ]
    return {
        "fills": len(fills),
        "notional_wad": str(notional),
        "slippage": {
            "since_decision": _cost(against_decision, decided),
            "at_fill": _cost(against_fill, fills),
            "by_taker": _by_taker(plan, history, decided),
        },
        "fill_latency_ms": _spread(latencies),
        "fills_on_stale_price": sum(fill.is_stale for fill in fills),
        "stale_bps": STALE_BPS,
        "makers": _makers(fills),
        "depth": _depth(plan, history),
        **({} if (keepers := keeper_quality(plan, history)) is None else {"keepers": keepers}),
        **({} if (spot := spot_quality(plan, history)) is None else {"spot": spot}),
    }


def _cost(costs: Sequence[int], fills: Sequence[Fill]) -> dict[str, Any]:
    """Costs of fills: the sum, its share of their notional, and how far single fills were off, either way."""
    notional = sum(fill.notional for fill in fills)
    off = [Fraction(abs(cost) * BPS, fill.notional) for cost, fill in zip(costs, fills, strict=True) if fill.notional]
    return {"wad": str(sum(costs)), "bps": _bps(sum(costs), notional), "off_bps": _spread(off)}


def _by_taker(plan: Plan, history: History, decided: Sequence[Fill]) -> dict[str, Any]:
    """Cost since the decision of takers by what they are: a strategy, or `scripted` for who follows its plan."""
    names = {} if history.run is None else {at: name for name, at in history.run.accounts.items()}
    styles = dict(plan.styles)
    groups: dict[str, list[Fill]] = {}
    for fill in decided:
        groups.setdefault(styles.get(names.get(fill.taker, ""), "scripted"), []).append(fill)
    return {
        group: _cost([fill.cost_against(fill.value_decided or 0) for fill in fills], fills)
        for group, fills in sorted(groups.items())
    }


def _makers(fills: Sequence[Fill]) -> dict[str, Any]:
    """What those who quoted made by their fills, at once and a little later, and what was taken from stale quotes.

    A fill is *picked off* when its price was on the wrong side of the true value for the maker as it happened.
    """
    notional = sum(fill.notional for fill in fills)
    at_fill = sum(fill.cost_against(fill.value) for fill in fills)
    picked = [cost for fill in fills if (cost := fill.cost_against(fill.value)) < 0]
    after = {
        f"{seconds}s": sum(fill.cost_against(fill.value_after[place]) for fill in fills)
        for place, seconds in enumerate(MARKOUTS_S)
    }
    edges = {"at_fill": at_fill, **after}
    return {
        "edge_wad": {name: str(edge) for name, edge in edges.items()},
        "edge_bps": {name: _bps(edge, notional) for name, edge in edges.items()},
        "picked_off": len(picked),
        "lost_to_picking_off_wad": str(-sum(picked)),
        "lost_to_picking_off_bps": _bps(-sum(picked), notional),
    }


def _depth(plan: Plan, history: History) -> dict[str, Any]:
    """By series: notional (whole quote) that rests within so many bps of the true price, over the blocks it was open.

    Only of futures and perpetuals, whose true price is nobody's opinion; empty where no book was read.
    """
    values = TrueValues(plan)
    found: dict[str, Any] = {}
    times: dict[str, list[tuple[int, list[int]]]] = {}
    for block in history.chain:
        book = next((state.book for state in history.states.get(block.hash, ()) if state.book is not None), None)
        for number, orders in (book or {}).items():
            product = plan.products[number - 1]
            if product.kind not in ("future", "perpetual") or block.t >= product.expires_s * 10**9:
                continue
            true = values.price(product.underlying, block.t)
            depths = []
            for within in DEPTHS_BPS:
                near = [o for o in orders if abs(o.price - true) * BPS <= within * abs(true)
                        and o.deadline >= block.timestamp]  # fmt: skip
                depths.append(sum(abs(o.rest) * abs(o.price) for o in near) // (WAD * WAD))
            times.setdefault(product.id, []).append((block.t, depths))
    for name, rows in times.items():
        step = -(-len(rows) // TIMELINE_POINTS_MAX)
        found[name] = {
            "blocks": len(rows),
            "within_bps": {
                str(within): {"mean": sum(depths[i] for _, depths in rows) // len(rows),
                              "least": min(depths[i] for _, depths in rows)}
                for i, within in enumerate(DEPTHS_BPS)
            },
            "timeline": [[round(t / 1e9, 1), *depths] for t, depths in rows[::step]],
        }  # fmt: skip
    return found


def _commitments(history: History) -> Mapping[int, int]:
    """L2 block → when a node first said that it, or a block after it, is committed."""
    steps: list[tuple[int, int]] = []   # (number, t), both rising
    for head in history.heads:
        if head.label == "committed" and (not steps or head.number > steps[-1][0]):
            steps.append((head.number, head.t))
    numbers = [number for number, _ in steps]
    found = {}
    for block in history.chain:
        place = bisect_left(numbers, block.number)
        if place < len(steps):
            found[block.number] = steps[place][1]
    return found


def _bps(cost: int, notional: int) -> float | None:
    return round(float(Fraction(cost * BPS, notional)), 3) if notional else None


def _spread(numbers: Iterable[int | Fraction]) -> dict[str, Any]:
    """How many, and the quantiles; nothing but the count where there are none."""
    ranked = sorted(numbers)
    if not ranked:
        return {"count": 0}
    ranks = {"p50": (len(ranked) - 1) // 2, "p95": (len(ranked) - 1) * 95 // 100, "max": len(ranked) - 1}
    return {"count": len(ranked), **{name: round(float(ranked[rank]), 3) for name, rank in ranks.items()}}
