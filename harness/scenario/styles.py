"""Which traders of a plan have a strategy, and what is left of their scripts."""

from __future__ import annotations

from harness.plan import PlannedOperation, Style
from harness.scenario import schema

Operations = tuple[tuple[str, tuple[PlannedOperation, ...]], ...]


def styles_of(workload: schema.Workload) -> tuple[tuple[str, Style], ...]:
    """(trader, style) of the last traders, in the order of the words."""
    counted: tuple[tuple[Style, int], ...] = (
        ("informed", workload.informed), ("hedger", workload.hedgers), ("momentum", workload.momentum),
        ("adversary", workload.adversaries),
    )  # fmt: skip
    styles: list[Style] = []
    for style, count in counted:
        styles.extend(style for _ in range(count))
    first = workload.traders - len(styles)
    return tuple((f"trader-{first + place}", style) for place, style in enumerate(styles))


def with_styles(operations: Operations, styles: tuple[tuple[str, Style], ...]) -> Operations:
    """A trader with a style only pays in by script; the rest of what was drawn for it is dropped."""
    styled = dict(styles)
    return tuple(
        (name, tuple(op for op in mine if op.action == "deposit")[:1] if name in styled else mine)
        for name, mine in operations
    )
