"""Lies and orders in a plan's values, and in words for reports."""

from __future__ import annotations

from harness.plan import PlannedOrder
from harness.roles.orders import EVEN_FORCED
from harness.scenario.lie_words import Censor, FeeSpike, Oracle, Rpc, Sandwich
from harness.scenario.units import duration_text


def rpc_words(spec: Rpc) -> str:
    senders, nodes = ", ".join(spec.from_ or ["everybody"]), ", ".join(spec.to or ["L2 nodes"])
    how = {"delay": f" {duration_text(spec.delay or 0)}", "stale": f" {spec.blocks} blocks"}.get(spec.do, "")
    share = f" {spec.probability:.3g}" if spec.probability < 1 else ""
    return f"{senders} → {nodes} {', '.join(spec.method)}: {spec.do}{how}{share}"


def oracle_words(spec: Oracle) -> str:
    by = "" if spec.by is None else f" {spec.by:+g} %"
    factor = "" if spec.factor is None else f" × {spec.factor:g}"
    return f"{', '.join(spec.of)} {spec.do}{by}{factor}"


def leading_words(spec: Censor | Sandwich) -> str:
    greedily = ", greedily" if isinstance(spec, Sandwich) and spec.greedy else ""
    forced = ", forced or not" if isinstance(spec, Censor) and spec.forced else ""
    return f"{', '.join(spec.from_)} by {', '.join(spec.of)}{greedily}{forced}"


def planned_order(
    oracle: Oracle | None, fee_spike: FeeSpike | None, leading: Censor | Sandwich | None, victims: tuple[str, ...]
) -> PlannedOrder | None:
    """What targets are ordered to do; None for a fault that is no order. Percents and factors become thousandths."""
    if oracle is not None:
        amount = round((oracle.by or 0.0) * 10) if oracle.factor is None else round(oracle.factor * 1000)
        return PlannedOrder(oracle.do, amount)
    if fee_spike is not None:
        return PlannedOrder("multiply", round(fee_spike.factor * 1000))
    if isinstance(leading, Sandwich):
        return PlannedOrder("greedy" if leading.greedy else "within-limit", names=victims)
    if isinstance(leading, Censor):
        return PlannedOrder(EVEN_FORCED if leading.forced else "leave-out", names=victims)
    return None
