"""Judging measurements: did a link fault bite, and is its link as before?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from harness.ports import LinkCounters, LinkRule

RTT_SHARE = 0.5
"""A probe shows a delay if it is slower than before by this share of what the rule adds at least."""


@dataclass(frozen=True, slots=True)
class LinkMeasurement:
    """One faulted link: what its counters did while the fault was on, and what probes over it met (ms; None: lost)."""

    src: str
    dst: str
    moved: LinkCounters                      # counters at the end less those at the beginning
    rtt_before_ms: float | None = None
    rtt_during_ms: tuple[float | None, ...] = ()

    def to_json(self) -> dict[str, Any]:
        moved = {f.name: _rounded(getattr(self.moved, f.name)) for f in fields(LinkCounters)}
        return {
            "link": f"{self.src}→{self.dst}",
            **{name: value for name, value in moved.items() if value},
            "rtt_before_ms": _rounded(self.rtt_before_ms),
            "rtt_during_ms": [_rounded(rtt) for rtt in self.rtt_during_ms],
        }


def difference(after: LinkCounters, before: LinkCounters) -> LinkCounters:
    """What the counters moved by."""
    return LinkCounters(**{f.name: getattr(after, f.name) - getattr(before, f.name) for f in fields(LinkCounters)})


def link_fault_bit(rule: LinkRule, links: Sequence[LinkMeasurement]) -> bool:
    """Whether the links show what the rule says, at least on one of them, and for a cut: nothing passed on any.

    Counters are the first witness. Round trips stand in for delay where a transport cannot count it, but only against
    a round trip measured before.
    """
    if rule.cut:
        passed = any(rtt is not None for link in links for rtt in link.rtt_during_ms)
        return not passed and any(link.moved.lost + link.moved.refused > 0 for link in links)
    return any(_shows(rule, link) for link in links)


def link_healed(rule: LinkRule, *, rtt_before_ms: float | None, rtt_after_ms: float | None) -> bool:
    """Whether one round trip looks like before the fault; where there was none before, any answer does."""
    if rtt_after_ms is None:
        return False
    if rtt_before_ms is None or rule.delay_ms <= 0.0:
        return True
    return rtt_after_ms - rtt_before_ms < RTT_SHARE * rule.delay_ms


def _shows(rule: LinkRule, link: LinkMeasurement) -> bool:
    moved = link.moved
    if (rule.loss > 0.0 or rule.corrupt > 0.0) and moved.lost > 0:
        return True
    if rule.duplicate > 0.0 and moved.duplicated > 0:
        return True
    if rule.reorder > 0.0 and moved.reordered > 0:
        return True
    if rule.delay_ms > 0.0 or rule.jitter_ms > 0.0 or rule.rate_bps is not None:
        if moved.delayed > 0:
            return True
        least_ms = RTT_SHARE * max(0.0, rule.delay_ms - rule.jitter_ms)
        if least_ms > 0.0 and link.rtt_before_ms is not None:
            return any(rtt is not None and rtt - link.rtt_before_ms >= least_ms for rtt in link.rtt_during_ms)
    return False


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if isinstance(value, float) else value
