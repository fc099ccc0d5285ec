"""What happened, read from a history for showing: prices, heads, liquidations, settlements, decisions, operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.history.reader import History
from harness.history.records import LABELS, BlockRecord, Event
from harness.plan import Plan, Product
from harness.report.decisions import decision

_WAD = 10**18
Point = tuple[float, float]       # seconds since the run's start, value; for drawing only


@dataclass(frozen=True, slots=True)
class Moment:
    """One liquidation, settlement or decision, as a row of a table and a mark on the timeline."""

    t_s: float
    block: int
    account: str                  # role name where it is known, else the address
    price: float | None           # index price on chain at that block; None before the first observation
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the report draws. Floats: nothing here is used to judge."""

    end_s: float
    true_price: Mapping[str, tuple[Point, ...]]
    chain_price: Mapping[str, tuple[Point, ...]]
    heads: Mapping[str, Mapping[str, tuple[Point, ...]]]       # label → node → (t, block number)
    liquidations: tuple[Moment, ...]
    settlements: tuple[Moment, ...]
    decisions: tuple[Moment, ...]
    phases: tuple[tuple[str, float], ...]
    counts: Mapping[str, int] = field(default_factory=dict)


def tell(plan: Plan, history: History) -> Story:
    """Read the story of one run from its history."""
    end_s = max(history.end_ns, 1) / 1e9
    names = _names(history)
    chain_price: dict[str, list[Point]] = {}
    liquidations: list[Moment] = []
    settlements: list[Moment] = []
    decisions: list[Moment] = []
    counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
    for block in history.chain:
        counts["blocks"] += 1
        counts["transactions"] += len(block.transactions)
        for event in block.events:
            if event.name == "RoundAccepted":
                counts["oracle_rounds"] += 1
                chain_price.setdefault(str(event.args["asset"]), []).append((block.t / 1e9, event.args["price"] / _WAD))
            elif event.name == "Liquidated":
                counts["liquidations"] += 1
                liquidations.append(_liquidation(block, event, names, chain_price))
            elif event.name == "Settled":
                product = _product(plan, event)
                counts["settlements"] += 1
                counts[f"settlements_{product.kind if product else 'unknown'}"] += 1
                settlements.append(_settlement(block, event, names, product))
            elif event.name == "Traded":
                counts["trades"] += 1
            elif (text := decision(event)) is not None and block.number > 0:
                decisions.append(Moment(block.t / 1e9, block.number, event.contract, _price(chain_price), text))
    for operation in history.operations:
        counts["operations"] += 1
        counts[f"operations_{operation.status}"] += 1
    return Story(
        end_s=end_s,
        true_price={
            asset: _clipped([(knot.at_ns / 1e9, knot.value / _WAD) for knot in knots], end_s)
            for asset, knots in plan.markets
        },
        chain_price={asset: (*points, (end_s, points[-1][1])) for asset, points in chain_price.items()},
        heads=_heads(history, plan),
        liquidations=tuple(liquidations),
        settlements=tuple(settlements),
        decisions=tuple(decisions),
        phases=tuple((phase.name, phase.t / 1e9) for phase in history.phases),
        counts=counts,
    )


_COUNTS = (
    "blocks", "transactions", "trades", "oracle_rounds", "liquidations", "settlements", "settlements_future",
    "settlements_call", "settlements_put", "settlements_inverse", "settlements_unknown", "operations",
    "operations_ok", "operations_fail", "operations_info",
)  # fmt: skip


def _names(history: History) -> Mapping[str, str]:
    accounts = history.run.accounts if history.run is not None else {}
    return {address: role for role, address in accounts.items()}


def _product(plan: Plan, event: Event) -> Product | None:
    """Series are listed in the plan's order, with ids from 1."""
    number = int(event.args["seriesId"]) - 1
    return plan.products[number] if 0 <= number < len(plan.products) else None


def _quote(wad: int) -> str:
    return f"{wad / _WAD:,.2f}"


def _liquidation(
    block: BlockRecord, event: Event, names: Mapping[str, str], prices: Mapping[str, Sequence[Point]]
) -> Moment:
    arguments = event.args
    moved = [item for item in block.events if item.name == "PositionTransferred" and item.tx == event.tx]
    text = (
        f"{len(moved)} position{'s' * (len(moved) != 1)} to {names.get(arguments['keeper'], arguments['keeper'])}; "
        f"equity {_quote(arguments['equityBefore'])} below maintenance {_quote(arguments['maintenanceMargin'])}"
    )
    if arguments["badDebt"]:
        text += f"; bad debt {_quote(arguments['badDebt'])}"
    who = names.get(arguments["account"], arguments["account"])
    return Moment(block.t / 1e9, block.number, who, _price(prices), text)


def _price(prices: Mapping[str, Sequence[Point]]) -> float | None:
    """The newest on chain, where there is one asset only."""
    latest = [points[-1] for points in prices.values()]
    return latest[0][1] if len(latest) == 1 else None


def _settlement(block: BlockRecord, event: Event, names: Mapping[str, str], product: Product | None) -> Moment:
    arguments = event.args
    series = product.id if product else f"series {arguments['seriesId']}"
    size, price_text, delta = (_quote(arguments[key]) for key in ("size", "price", "cashDelta"))
    text = f"{series}: {size} at {price_text}, cash {delta}"
    price = arguments["price"] / _WAD
    return Moment(block.t / 1e9, block.number, names.get(arguments["account"], arguments["account"]), price, text)


def _clipped(points: Sequence[Point], end_s: float) -> tuple[Point, ...]:
    """The path up to `end_s`, held level from its last point on."""
    kept = [point for point in points if point[0] <= end_s]
    after = next((point for point in points if point[0] > end_s), None)
    if after is not None and kept:
        (t0, v0), (t1, v1) = kept[-1], after
        kept.append((end_s, v0 + (v1 - v0) * (end_s - t0) / (t1 - t0)))
    elif kept:
        kept.append((end_s, kept[-1][1]))
    return tuple(kept)


def _heads(history: History, plan: Plan) -> dict[str, dict[str, tuple[Point, ...]]]:
    """Heads of the L2 nodes only; an L1 node may record its own labels under the same names."""
    nodes = [role.name for role in plan.of_kind("sequencer", "replica")]
    found: dict[str, dict[str, list[Point]]] = {label: {} for label in LABELS}
    for node in nodes:
        for head in history.heads_by_node.get(node, ()):
            found[head.label].setdefault(node, []).append((head.t / 1e9, float(head.number)))
    return {label: {node: tuple(points) for node, points in by_node.items()} for label, by_node in found.items()}


def highest(series: Iterable[Sequence[Point]]) -> tuple[Point, ...]:
    """The running maximum over several step functions: where the network as a whole had got to."""
    best = -1.0
    steps: list[Point] = []
    for t, value in sorted(point for points in series for point in points):
        if value > best:
            best = value
            steps.append((t, value))
    return tuple(steps)


def behind(points: Sequence[Point], front: Sequence[Point], end_s: float) -> tuple[Point, ...]:
    """How far a step function lies below another, at every change of either."""
    merged = sorted([(t, 0, value) for t, value in points] + [(t, 1, value) for t, value in front])
    own = first = None
    lags: list[Point] = []
    for t, which, value in merged:
        if which == 0:
            own = value
        else:
            first = value
        if own is not None and first is not None:
            lag = max(0.0, first - own)
            if lags and lags[-1][0] == t:
                lags[-1] = (t, lag)
            elif not lags or lags[-1][1] != lag:
                lags.append((t, lag))
    if lags:
        lags.append((end_s, lags[-1][1]))
    return tuple(lags)


def least(points: Sequence[Point], window_s: float) -> tuple[Point, ...]:
    """The lowest value a step function takes in each window of time; what is left is lag that lasted."""
    if not points:
        return ()
    kept: list[Point] = []
    index, value = 0, points[0][1]
    start, end = points[0][0], points[-1][0]
    while start < end:
        lowest = value
        while index < len(points) and points[index][0] < start + window_s:
            # A value that a window only begins with, and leaves at once, is the one before's.
            lowest = points[index][1] if points[index][0] <= start else min(lowest, points[index][1])
            value = points[index][1]
            index += 1
        kept.append((start, lowest))
        start += window_s
    kept.append((end, kept[-1][1]))
    return tuple(kept)
