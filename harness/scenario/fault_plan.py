"""Faults of a scenario to planned faults: words resolved to roles and links, and contradictions refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.faults.rules import RpcRule
from harness.plan import CHAIN_OF_KIND, LinkSelector, PlannedFault, PlannedOrder, PlannedReorg, RoleSpec, Trigger
from harness.ports import LinkRule, Random
from harness.rollup.profile import from_name
from harness.scenario import fault_words, schema
from harness.scenario.lie_plan import leading_words, oracle_words, planned_order, rpc_words
from harness.scenario.lie_words import Rpc
from harness.scenario.loading import Document, Location
from harness.scenario.partition_shapes import bridge, ring
from harness.scenario.selectors import LEADER, Selectors
from harness.scenario.units import duration_text

T = TypeVar("T")
USER = "user"
"""Who asks at the public JSON-RPC: wallets, outside the network."""
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """When a fault with a fixed start is on; `end_ns` None is until the storm ends."""

    start_ns: int
    end_ns: int | None


def interval_of(fault: fault_words.Fault) -> Interval | None:
    """None for a fault that waits for an event."""
    if fault.at is None:
        return None
    if fault.restart is not None:
        return Interval(fault.at, fault.restart)
    return Interval(fault.at, None if fault.for_ is None else fault.at + fault.for_)


def plan_faults(
    document: Document, scenario: schema.Scenario, roles: Sequence[RoleSpec], *, storm_ns: int, random: Random
) -> tuple[PlannedFault, ...]:
    """Every fault with its targets, in file order. Raises ScenarioError."""
    products = {product.id for product in scenario.products}
    planned = []
    for number, fault in enumerate(scenario.faults):
        location: Location = ("faults", number)
        key = f"f{number + 1}"
        interval = interval_of(fault)
        if interval is not None:
            _inside_storm(document, location, fault, interval, storm_ns)
        if fault.when is not None and fault.when.product is not None and fault.when.product not in products:
            raise document.error(
                (*location, "when", "product"),
                f'unknown product "{fault.when.product}"; products are {", ".join(sorted(products))}',
            )
        if fault.reorg is not None and (why := from_name(scenario.network.profile).why_no_reorg(fault.reorg.depth)):
            raise document.error((*location, "reorg", "depth"), why)
        planned.append(plan_fault(document, location, fault, roles, key=key, random=random))
    _refuse_contradictions(document, scenario.faults, planned, storm_ns)
    return tuple(planned)


def plan_fault(
    document: Document, location: Location, fault: fault_words.Fault, roles: Sequence[RoleSpec], *, key: str,
    random: Random, doors: Sequence[str] = (),
) -> PlannedFault:
    """One fault with its targets; `key` becomes its id and names its draws. Raises ScenarioError.

    `doors` are the nodes that answer the world outside, which links call `user`.
    """
    resolver = _Resolver(document, location, Selectors(roles, random, key=key), roles, doors)
    rule, links, targets, words = resolver.resolve(fault)
    skew = fault.skew
    return PlannedFault(
        id=key,
        kind=fault.word,
        trigger=_trigger(fault),
        duration_ns=_duration(fault),
        rule=rule,
        links=links,
        targets=targets,
        offset_ms=skew.offset / _NS_PER_MS if skew else 0.0,
        drift_ppm=skew.drift if skew else 0.0,
        grace_ns=fault.stop.grace if fault.stop else 0,
        cores_milli=round(fault.cpu.cores * 1000) if fault.cpu else 0,
        text=f"{fault.word} {words}{_timing(fault)}",
        rpc=resolver.rpc_rule(fault.rpc) if fault.rpc else None,
        order=resolver.order(fault),
        reorg=PlannedReorg(fault.reorg.depth, drops=fault.reorg.dropped == "lost") if fault.reorg else None,
    )


def contradiction(earlier: PlannedFault, later: PlannedFault) -> str:
    """Why two faults cannot be on at one time, or the empty string. Link rules add up; process faults do not."""
    state = EXCLUSIVE.get((earlier.kind, later.kind))
    both = sorted((set(earlier.targets) & set(later.targets)) - {LEADER}) if state else []
    return f"{both[0]} is already {state}" if both else ""


def _inside_storm(
    document: Document, location: Location, fault: fault_words.Fault, interval: Interval, storm_ns: int
) -> None:
    if interval.start_ns >= storm_ns:
        raise document.error(
            (*location, "at"),
            f"starts at {duration_text(interval.start_ns)}, when the storm is over ({duration_text(storm_ns)})",
        )
    if interval.end_ns is not None and interval.end_ns > storm_ns:
        word = "restart" if fault.restart is not None else "for"
        raise document.error(
            (*location, word),
            f"ends at {duration_text(interval.end_ns)}, after the storm ({duration_text(storm_ns)}); "
            "shorten it or set a longer storm",
        )


def _trigger(fault: fault_words.Fault) -> Trigger:
    when = fault.when
    if when is None:
        return Trigger(at_ns=fault.at, event=None)
    if when.l2_block is not None:
        event = f"l2-block:{when.l2_block}"
    elif when.l1_block is not None:
        event = f"l1-block:{when.l1_block}"
    else:
        event = f"expiry:{when.product}" if when.event == "expiry" else str(when.event)
    return Trigger(at_ns=None, event=event, delay_ns=when.after)


def _duration(fault: fault_words.Fault) -> int | None:
    if fault.restart is not None and fault.at is not None:
        return fault.restart - fault.at
    return fault.for_


def _timing(fault: fault_words.Fault) -> str:
    trigger = _trigger(fault)
    start = f"at {duration_text(trigger.at_ns)}" if trigger.at_ns is not None else f"at {trigger.event}"
    if trigger.delay_ns:
        start += f" + {duration_text(trigger.delay_ns)}"
    duration = _duration(fault)
    if fault.reorg is not None:
        return f", {start}"
    return f", {start}, {'until the storm ends' if duration is None else f'for {duration_text(duration)}'}"


Resolved = tuple[LinkRule | None, tuple[LinkSelector, ...], tuple[str, ...], str]


class _Resolver:
    """One fault's selectors, with errors that carry their path."""

    def __init__(
        self, document: Document, location: Location, selectors: Selectors, roles: Sequence[RoleSpec],
        doors: Sequence[str],
    ) -> None:
        self._document = document
        self._location = location
        self._selectors = selectors
        self._roles_there = roles
        self._doors = tuple(doors)
        self._l1 = tuple(sorted(role.name for role in roles if role.kind in ("l1-builder", "l1-follower")))

    def resolve(self, fault: fault_words.Fault) -> Resolved:
        """(rule, links, targets, words for the report)."""
        if fault.latency is not None:
            spec = fault.latency
            rule = LinkRule(
                delay_ms=spec.delay / _NS_PER_MS, jitter_ms=spec.jitter / _NS_PER_MS, distribution=spec.distribution,
                correlation=spec.correlation,
            )  # fmt: skip
            words = f"{duration_text(spec.delay)} ± {duration_text(spec.jitter)}"
            return self._link_fault("latency", spec, rule, words)
        if fault.loss is not None:
            rule = LinkRule(loss=fault.loss.probability, correlation=fault.loss.correlation)
            return self._link_fault("loss", fault.loss, rule, f"{fault.loss.probability:.3g}")
        if fault.duplicate is not None:
            rule = LinkRule(duplicate=fault.duplicate.probability)
            return self._link_fault("duplicate", fault.duplicate, rule, f"{fault.duplicate.probability:.3g}")
        if fault.reorder is not None:
            rule = LinkRule(reorder=fault.reorder.probability, delay_ms=fault.reorder.delay / _NS_PER_MS)
            return self._link_fault("reorder", fault.reorder, rule, f"{fault.reorder.probability:.3g}")
        if fault.corrupt is not None:
            rule = LinkRule(corrupt=fault.corrupt.probability)
            return self._link_fault("corrupt", fault.corrupt, rule, f"{fault.corrupt.probability:.3g}")
        if fault.rate is not None:
            return self._link_fault("rate", fault.rate, LinkRule(rate_bps=fault.rate.rate), f"{fault.rate.rate} bit/s")
        if fault.partition is not None:
            return self._partition(fault.partition)
        if fault.view_lag is not None:
            targets = self._roles(("view-lag", "of"), fault.view_lag.of)
            rule = LinkRule(delay_ms=fault.view_lag.delay / _NS_PER_MS)
            links = (LinkSelector(self._l1, targets, both=False),)
            return rule, links, targets, f"{', '.join(fault.view_lag.of)} {duration_text(fault.view_lag.delay)}"
        if fault.skew is not None:
            drift = f" {fault.skew.drift:+.6g} ppm" if fault.skew.drift else ""
            words = f"{', '.join(fault.skew.of)} {fault.skew.offset / _NS_PER_MS:+.6g} ms{drift}"
            return None, (), self._roles(("skew", "of"), fault.skew.of), words
        if fault.stop is not None:
            words = f"{', '.join(fault.stop.of)} within {duration_text(fault.stop.grace)}"
            return None, (), self._roles(("stop", "of"), fault.stop.of), words
        if fault.cpu is not None:
            words = f"{', '.join(fault.cpu.of)} to {fault.cpu.cores:g} cores"
            return None, (), self._roles(("cpu", "of"), fault.cpu.of), words
        if fault.rpc is not None:
            return None, (), self._liars(fault.rpc), rpc_words(fault.rpc)
        if fault.oracle is not None:
            return None, (), self._of_kind("oracle", fault.oracle.of, "reporter"), oracle_words(fault.oracle)
        if fault.fee_spike is not None:
            return None, (), self._builder(), f"× {fault.fee_spike.factor:g}"
        if (leading := fault.censor or fault.sandwich) is not None:
            return None, (), self._of_kind(fault.word, leading.of, "sequencer"), leading_words(leading)
        if fault.reorg is not None:
            return None, (), self._builder(), f"{fault.reorg.depth} L1 blocks, transactions {fault.reorg.dropped}"
        chosen = fault.kill or fault.pause or fault.disconnect or fault.disk_full or []
        return None, (), self._roles((fault.word,), chosen), ", ".join(chosen)

    def rpc_rule(self, spec: Rpc) -> RpcRule:
        """Who is lied to, about what, and how."""
        words = spec.from_ or []
        roles = [word for word in words if word != USER]
        senders = self._roles(("rpc", "from"), roles) if roles else ()
        return RpcRule(
            senders=(*senders, *([USER] if USER in words else [])),
            methods=tuple(spec.method),
            action=spec.do,
            probability=spec.probability,
            delay_ms=(spec.delay or 0) / _NS_PER_MS,
            blocks=spec.blocks or 0,
        )

    def _liars(self, spec: Rpc) -> tuple[str, ...]:
        nodes = {role.name for role in self._roles_there if role.kind in CHAIN_OF_KIND}
        if spec.to is None:
            return tuple(sorted(role.name for role in self._roles_there if CHAIN_OF_KIND.get(role.kind) == "l2"))
        chosen = self._roles(("rpc", "to"), spec.to)
        for name in chosen:
            if name not in nodes and name != LEADER:
                raise self._document.error(
                    (*self._location, "rpc", "to"), f"{name} is no node and answers nobody; nodes are "
                    f"{', '.join(sorted(nodes))}",
                )  # fmt: skip
        return chosen

    def order(self, fault: fault_words.Fault) -> PlannedOrder | None:
        """What the targets are ordered to do, for the words that are orders."""
        leading = fault.censor or fault.sandwich
        victims = () if leading is None else self._roles((fault.word, "from"), leading.from_)
        return planned_order(fault.oracle, fault.fee_spike, leading, victims)

    def _of_kind(self, word: str, selector: Sequence[str], kind: str) -> tuple[str, ...]:
        """The roles chosen, which must be of one kind."""
        there = {role.name for role in self._roles_there if role.kind == kind}
        chosen = self._roles((word, "of"), selector)
        for name in chosen:
            if name not in there and not (name == LEADER and kind == "sequencer"):
                raise self._document.error((*self._location, word, "of"), f"{name} is no {kind}")
        return chosen

    def _builder(self) -> tuple[str, ...]:
        return tuple(role.name for role in self._roles_there if role.kind == "l1-builder")

    def _link_fault(self, word: str, spec: fault_words.Carried, rule: LinkRule, words: str) -> Resolved:
        link, shown = self._links(word, spec)
        by = " by the kernel" if spec.via == "kernel" else ""
        return replace(rule, via=spec.via), (link,), (), f"{shown} {words}{by}"

    def _links(self, word: str, spec: fault_words.Links) -> tuple[LinkSelector, str]:
        if any(USER in (side or ()) for side in (spec.from_, spec.to, *(spec.between or ()))):
            return self._outside_links(word, spec)
        if spec.between is not None:
            left = self._roles((word, "between", 0), spec.between[0])
            right = self._roles((word, "between", 1), spec.between[1], taken=left)
            self._not_one_role((word, "between"), left, right)
            return LinkSelector(left, right, both=True), f"{_group(spec.between[0])} ↔ {_group(spec.between[1])}"
        src_words, dst_words = spec.from_ or ["all"], spec.to or ["all"]
        src = self._roles((word, "from"), src_words)
        dst = self._roles((word, "to"), dst_words, taken=src)
        self._not_one_role((word, "to"), src, dst)
        return LinkSelector(src, dst, both=False), f"{_group(src_words)} → {_group(dst_words)}"

    def _outside_links(self, word: str, spec: fault_words.Links) -> tuple[LinkSelector, str]:
        """Links between the world outside and the nodes that answer it; all of them where a side is left out."""
        if not self._doors:
            what = "is whoever asks from outside, and a run has nobody outside; it goes with harness fault"
            raise self._document.error((*self._location, word), f'"{USER}" {what}')
        sides = spec.between or [spec.from_ or ["all"], spec.to or ["all"]]
        keys: tuple[Location, Location] = (("from",), ("to",)) if spec.between is None else (
            ("between", 0), ("between", 1))
        outside = next(number for number, side in enumerate(sides) if USER in side)
        if list(sides[outside]) != [USER] or USER in sides[1 - outside]:
            what = f'"{USER}" stands alone on one side, and roles on the other'
            raise self._document.error((*self._location, word, *keys[outside]), what)
        where = (word, *keys[1 - outside])
        inside = tuple(name for name in self._roles(where, sides[1 - outside]) if name in self._doors)
        if not inside:
            what = f"nobody there answers users; {', '.join(self._doors)} do"
            raise self._document.error((*self._location, *where), what)
        src, dst = ((USER,), inside) if outside == 0 else (inside, (USER,))
        arrow = "→" if spec.between is None else "↔"
        shown = f"{_group(sides[0])} {arrow} {_group(sides[1])}"
        return LinkSelector(src, dst, both=spec.between is not None), shown

    def _partition(self, spec: fault_words.Partition) -> Resolved:
        cut = LinkRule(cut=True)
        if (words := spec.ring or spec.bridge) is not None:
            name, shape = ("bridge", bridge) if spec.ring is None else ("ring", ring)
            pairs = self._guard(("partition", name), lambda: shape(self._selectors.in_drawn_order(words)))
            links = tuple(LinkSelector((left,), (right,), both=True) for left, right in pairs)
            return cut, links, (), f"{name} of {_group(words)}"
        if spec.groups is None:
            link, shown = self._links("partition", spec)
            return cut, (link,), (), shown
        groups = self._guard(("partition",), lambda: self._selectors.groups(spec.groups or []))
        links = tuple(
            LinkSelector(left, right, both=True) for i, left in enumerate(groups) for right in groups[i + 1 :]
        )
        return cut, links, (), " | ".join(_group(group) for group in spec.groups)

    def _not_one_role(self, where: Location, src: tuple[str, ...], dst: tuple[str, ...]) -> None:
        if src == dst and len(src) == 1:
            raise self._document.error((*self._location, *where), f"{src[0]} has no link to itself")

    def _roles(self, where: Location, words: Sequence[str], *, taken: Sequence[str] = ()) -> tuple[str, ...]:
        return self._guard(where, lambda: self._selectors.resolve(words, taken=taken))

    def _guard(self, where: Location, resolve: Callable[[], T]) -> T:
        try:
            return resolve()
        except ValueError as error:
            raise self._document.error((*self._location, *where), str(error)) from None


def _group(words: Sequence[str]) -> str:
    return ", ".join(words)


# Two faults of these kinds on one role at one time undo or hide each other; link rules add up instead.
EXCLUSIVE = {
    ("kill", "kill"): "killed",
    ("kill", "pause"): "killed",
    ("kill", "skew"): "killed",
    ("kill", "view-lag"): "killed",
    ("kill", "oracle"): "killed",
    ("kill", "censor"): "killed",
    ("kill", "sandwich"): "killed",
    ("kill", "fee-spike"): "killed",
    ("pause", "pause"): "paused",
    ("skew", "skew"): "skewed",
    ("cpu", "cpu"): "squeezed",
    ("disconnect", "disconnect"): "disconnected",
    ("disk-full", "disk-full"): "out of room",
    **{(down, "stop"): f"{was}" for down, was in (("kill", "killed"), ("stop", "stopped"), ("pause", "paused"))},
    **{("stop", other): "stopped" for other in ("kill", "pause", "skew", "view-lag", "disconnect", "cpu", "disk-full")},
    **{("kill", other): "killed" for other in ("disconnect", "cpu", "disk-full")},
    **{("disk-full", other): "out of room" for other in ("kill", "pause", "stop")},
}


def _refuse_contradictions(
    document: Document, faults: Sequence[fault_words.Fault], planned: Sequence[PlannedFault], storm_ns: int
) -> None:
    """Refuse what cannot both be true. Only fixed times and named roles can be judged before the run."""

    def span(number: int) -> tuple[int, int] | None:
        interval = interval_of(faults[number])
        if interval is None:
            return None
        return interval.start_ns, storm_ns if interval.end_ns is None else interval.end_ns

    for later in range(len(planned)):
        for earlier in range(len(planned)):
            one, two = planned[earlier], planned[later]
            first, second = span(earlier), span(later)
            if earlier == later or first is None or second is None:
                continue
            when = f"from {duration_text(first[0])} to {duration_text(first[1])} (faults[{earlier}])"
            here: Location = ("faults", later)
            same_kind = one.kind == two.kind
            if (not same_kind or earlier < later) and _overlap(first, second) and (why := contradiction(one, two)):
                raise document.error((*here, two.kind), f"contradiction: {why} {when}")
            if one.kind == "kill" and two.links and first[0] <= second[0] and second[1] <= first[1]:
                for link in two.links:
                    for side in (link.src, link.dst):
                        if set(side) <= set(one.targets):
                            raise document.error(
                                (*here, two.kind), f"can have no effect: {', '.join(side)} is killed {when}"
                            )


def _overlap(first: tuple[int, int], second: tuple[int, int]) -> bool:
    return first[0] < second[1] and second[0] < first[1]
