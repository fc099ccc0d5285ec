"""Faults of directed links: latency, loss, duplication, reordering, rate, partition, a lagging view of L1.

Undone by taking its own rules off every link it touched; rules of other faults on the same links stay. Interrupted
halfway, the links it had reached are known and healed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.faults.evidence import LinkMeasurement, difference, link_fault_bit, link_healed
from harness.ports import LinkCounters, LinkRule
from harness.runtimes.injectors.stage import PROBE_SECONDS, Stage

LINKS_PROBED_MAX = 6
LINKS_TOLD_MAX = 12


class LinkInjector:
    """One rule on some links."""

    def __init__(self, stage: Stage, fault: str, rule: LinkRule, links: Sequence[tuple[str, str]]) -> None:
        self._stage = stage
        self._fault = fault
        self._rule = rule
        self._links = tuple(dict.fromkeys(links))
        step = max(1, -(-len(self._links) // LINKS_PROBED_MAX))
        self._probed = self._links[::step]
        self._touched: dict[tuple[str, str], None] = {}
        self._counters_before: dict[tuple[str, str], LinkCounters] = {}
        self._moved: dict[tuple[str, str], LinkCounters] = {}
        self._rtt_before: dict[tuple[str, str], float | None] = {}
        self._rtt_during: dict[tuple[str, str], float | None] = {}
        self._rtt_after: dict[tuple[str, str], float | None] = {}
        self._unverifiable: dict[tuple[str, str], str] = {}

    @property
    def target(self) -> str:
        names = [f"{src}→{dst}" for src, dst in self._links[:LINKS_TOLD_MAX]]
        more = len(self._links) - len(names)
        return ", ".join(names) + (f" and {more} more" if more > 0 else "")

    async def measure_before(self, *, seconds_max: float) -> None:
        self._rtt_before = await self._probe_all(min(seconds_max, PROBE_SECONDS))

    async def apply(self) -> None:
        for link in self._links:
            self._counters_before[link] = await self._stage.counters(*link)
        for link in self._links:
            self._touched[link] = None
            await self._stage.add_rule(self._fault, *link, self._rule)

    async def measure_during(self, *, seconds_max: float) -> None:
        slowest = 2.0 * (self._rule.delay_ms + 3.0 * self._rule.jitter_ms) / 1000.0
        self._rtt_during = await self._probe_all(min(seconds_max, PROBE_SECONDS + slowest))

    async def measure_end(self) -> None:
        for link, before in self._counters_before.items():
            self._moved[link] = difference(await self._stage.counters(*link), before)

    async def heal(self) -> Sequence[str]:
        failures: list[str] = []
        for link in self._touched:
            try:
                await self._stage.remove_rule(self._fault, *link)
            except Exception as error:
                failures.append(f"{link[0]}→{link[1]}: {type(error).__name__}: {error}")
        return failures

    async def is_healed(self, *, seconds_max: float) -> bool:
        self._unverifiable = {}
        links: list[tuple[str, str]] = []
        for src, dst in self._probed:
            others = [*self._stage.rules(src, dst), *self._stage.rules(dst, src)]
            down = [role for role in (src, dst) if self._stage.is_held(role) or not await self._stage.is_alive(role)]
            if others:
                self._unverifiable[src, dst] = f"still under {', '.join(sorted(set(others)))}"
            elif down:
                self._unverifiable[src, dst] = f"{', '.join(down)} is down"
            else:
                links.append((src, dst))
        answers = await asyncio.gather(*[self._stage.probe(*link, seconds_max=seconds_max) for link in links])
        self._rtt_after = dict(zip(links, answers, strict=True))
        return all(
            link_healed(self._rule, rtt_before_ms=self._rtt_before.get(link), rtt_after_ms=answer)
            for link, answer in self._rtt_after.items()
        )

    def has_bitten(self) -> bool:
        return link_fault_bit(self._rule, self._measurements())

    def evidence(self) -> dict[str, object]:
        told = [m for m in self._measurements() if m.rtt_during_ms or m.moved.messages][:LINKS_TOLD_MAX]
        found: dict[str, object] = {"links": len(self._links), "measured": [m.to_json() for m in told]}
        if self._rule.via == "kernel":
            by_kernel = any(moved.kernel_packets for moved in self._moved.values())
            found["via"] = "kernel" if by_kernel else f"the proxy instead of the kernel: {self._stage.kernel_refusal()}"
        if self._rtt_after:
            found["rtt_after_ms"] = {
                f"{src}→{dst}": None if rtt is None else round(rtt, 3) for (src, dst), rtt in self._rtt_after.items()
            }
        if self._unverifiable:
            found["not_probed_after"] = {f"{src}→{dst}": why for (src, dst), why in self._unverifiable.items()}
        shared = self._stage.shares_links_with(self._fault)
        if shared:
            found["shares_links_with"] = shared
        return found

    def _measurements(self) -> list[LinkMeasurement]:
        return [
            LinkMeasurement(
                src=link[0],
                dst=link[1],
                moved=self._moved.get(link, LinkCounters()),
                rtt_before_ms=self._rtt_before.get(link),
                rtt_during_ms=(self._rtt_during[link],) if link in self._rtt_during else (),
            )
            for link in self._links
        ]

    async def _probe_all(self, seconds_max: float) -> dict[tuple[str, str], float | None]:
        answers = await asyncio.gather(*[self._stage.probe(*link, seconds_max=seconds_max) for link in self._probed])
        return dict(zip(self._probed, answers, strict=True))
