"""Link faults by the kernel of the sending container: loss by iptables, rate by tbf, the rest by netem where it is.

A directed link src→dst is what src sends to the one port of the proxy that stands for dst, so a rule on src's outgoing
packets to that port is a rule on the link. Packets vanish below TCP, which sends them again: what the roles feel is
latency and stalls, as on a bad line, not the missing messages that the proxy makes of the same words.

Each link has a chain of its own under HARNESS, and a class of its own under an htb that shapes nothing else. Their
packet counters are the evidence. They end with a rule, so what they had counted is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from harness.ports import LinkCounters, LinkRule
from harness.runtimes.compose.netadmin import Helper, HelperFailure

CHAIN = "HARNESS"
UNSHAPED = "10gbit"
TBF_BACKLOG = "5s"
_MTU_BYTES = 1600
_COUNTED = re.compile(r"^\[(\d+):\d+\] -A (\S+) .*-j (\S+)$", re.MULTILINE)
_NETEM_ONLY = ("delay_ms", "jitter_ms", "duplicate", "reorder", "corrupt", "correlation")
# On lo of the namespace, which carries next to nothing, for a moment.
_PROBE = "tc qdisc add dev lo root netem delay 1us && tc qdisc del dev lo root && echo yes || echo no"
_DEVICE = "ip -o -4 route show | sed -n 's/.* dev \\([^ ]*\\) .*/\\1/p' | head -n 1"
# Also where a helper before this one has done it: one that did not answer is replaced.
_BASE = (
    "iptables -w -N {chain} 2>/dev/null\n"
    "iptables -w -C OUTPUT -j {chain} 2>/dev/null || iptables -w -I OUTPUT -j {chain}\n"
    "tc qdisc show dev {device} | grep -q 'qdisc htb 1: root' || tc qdisc add dev {device} root handle 1: htb default 0"
)
# In whatever state the rules are: the chain of a namespace with all below it, and the shaping of its device.
UNDO_ALL = (
    f"iptables -w -D OUTPUT -j {CHAIN} 2>/dev/null\n"
    f"chains=$(iptables-save -t filter | sed -n 's/^:\\({CHAIN}[^ ]*\\) .*/\\1/p')\n"
    "for chain in $chains; do iptables -w -F $chain; done\n"
    "for chain in $chains; do iptables -w -X $chain; done\n"
    f"tc qdisc del dev $({_DEVICE}) root 2>/dev/null\n"
    f"! iptables-save | grep {CHAIN} && ! tc qdisc show | grep 'htb 1:'"
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Count:
    seen: int = 0       # packets to the link's port
    lost: int = 0       # of them, dropped by iptables or a full qdisc
    held: int = 0       # of them, made to wait by tbf or netem

    def __add__(self, other: _Count) -> _Count:
        return _Count(self.seen + other.seen, self.lost + other.lost, self.held + other.held)


@dataclass(slots=True)
class _Link:
    """One directed link that has, or had, a kernel rule."""

    number: int                    # names its chain and its class; unique in its namespace
    address: str                   # of the proxy, as src sees it
    port: int
    rules: dict[str, LinkRule] = field(default_factory=dict)
    before: _Count = _Count()      # counted by rules that are gone

    @property
    def chain(self) -> str:
        return f"{CHAIN}-{self.number}"


@dataclass(slots=True)
class _Namespace:
    """A sending role's side: its helper, opened with the first rule, and its links."""

    helper: Helper | None = None
    device: str = ""
    links: dict[str, _Link] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KernelLinks:
    """Rules with `via == "kernel"` of one network's links."""

    def __init__(self, open_helper: Callable[[str], Helper]) -> None:
        """`open_helper(role)` blocks; it starts a helper in the role's namespace, or raises `HelperFailure`."""
        self._open_helper = open_helper
        self._namespaces: dict[str, _Namespace] = {}
        self._opening: set[asyncio.Future[Helper]] = set()
        """Helpers on their way; who waited for one may have been cancelled, and it comes all the same."""
        self._has_netem: bool | None = None
        self.refusal = ""
        """Why the proxy had to stand in for the kernel, the last time that it had to."""

    async def can(self, src: str, rule: LinkRule) -> bool:
        """Whether the kernel can do the rule; if not, `refusal` says why."""
        try:
            async with (space := self._space(src)).lock:
                await self._opened(src, space)
            if not any(getattr(rule, name) for name in _NETEM_ONLY):
                return True
            if rule.distribution != "uniform":
                self.refusal = f"netem has no {rule.distribution} distribution of ours"
                return False
            if not self._has_netem:
                self.refusal = "this kernel has no netem"
            return bool(self._has_netem)
        except HelperFailure as failure:
            self.refusal = str(failure)
            return False

    async def set_rules(self, src: str, dst: str, *, address: str, port: int, rules: Mapping[str, LinkRule]) -> None:
        """Replace the kernel rules of a link; with none, what stood for it is gone afterwards, as read back.

        Raises `HelperFailure`.
        """
        space = self._space(src)
        async with space.lock:
            link = space.links.get(dst)
            if link is None:
                if not rules:
                    return
                link = space.links[dst] = _Link(len(space.links) + 1, address, port)
            if not rules and not link.rules:
                return
            helper = await self._opened(src, space)
            link.before += await self._counted(helper, space, link)
            link.rules = dict(rules)
            await _in_thread(helper.run, script(link, space.device))
            if not rules:
                await self._is_clean(helper, space, link)

    async def counters(self, src: str, dst: str) -> LinkCounters:
        """What the kernel has done on a link so far; nothing where it never had a rule."""
        space = self._namespaces.get(src)
        link = None if space is None else space.links.get(dst)
        if space is None or link is None:
            return LinkCounters()
        async with space.lock:
            total = link.before
            if space.helper is not None:
                total += await self._counted(await self._opened(src, space), space, link)
        return LinkCounters(lost=total.lost, delayed=total.held, kernel_packets=total.seen, kernel_dropped=total.lost)

    async def restarted(self, src: str) -> None:
        """The role's container has a new namespace: put its rules in force there. Raises `HelperFailure`."""
        space = self._namespaces.get(src)
        if space is None:
            return
        async with space.lock:
            if space.helper is not None:
                await _in_thread(space.helper.close)
                space.helper = None
            if any(link.rules for link in space.links.values()):
                helper = await self._opened(src, space)
                for link in space.links.values():
                    if link.rules:
                        await _in_thread(helper.run, script(link, space.device))

    async def gone(self, src: str) -> None:
        """The role's container is about to end: remember what was counted while it can still be read."""
        space = self._namespaces.get(src)
        if space is None:
            return
        async with space.lock:
            if space.helper is None:
                return
            for link in space.links.values():
                try:
                    link.before += await self._counted(space.helper, space, link)
                except HelperFailure:
                    continue
            await _in_thread(space.helper.close)
            space.helper = None

    async def close(self) -> None:
        """Remove the helpers; the rules end with the namespaces. Idempotent."""
        for opening in list(self._opening):
            with contextlib.suppress(HelperFailure):
                await _in_thread((await opening).close)
            self._opening.discard(opening)
        for space in self._namespaces.values():
            if space.helper is not None:
                await _in_thread(space.helper.close)
                space.helper = None

    # -- inside

    def _space(self, src: str) -> _Namespace:
        return self._namespaces.setdefault(src, _Namespace())

    async def _opened(self, src: str, space: _Namespace) -> Helper:
        if space.helper is None or space.helper.is_closed:
            opening = asyncio.get_running_loop().run_in_executor(None, self._open_helper, src)
            self._opening.add(opening)
            try:
                helper = await asyncio.shield(opening)
            except HelperFailure:
                self._opening.discard(opening)
                raise
            self._opening.discard(opening)
            try:
                if self._has_netem is None:
                    self._has_netem = (await _in_thread(helper.run, _PROBE)).strip().endswith("yes")
                space.device = (await _in_thread(helper.run, _DEVICE)).strip() or "eth0"
                await _in_thread(helper.run, _BASE.format(chain=CHAIN, device=space.device))
            except BaseException:
                await _in_thread(helper.close)
                raise
            space.helper = helper
        return space.helper

    async def _counted(self, helper: Helper, space: _Namespace, link: _Link) -> _Count:
        if not link.rules:
            return _Count()
        asked = f"iptables-save -c -t filter; echo; tc -s -j qdisc show dev {space.device}"
        return count(await _in_thread(helper.run, asked), link)

    async def _is_clean(self, helper: Helper, space: _Namespace, link: _Link) -> None:
        left = await _in_thread(helper.run, f"iptables-save -t filter | grep -c -e '{link.chain}$' -e '{link.chain} '; "
                                f"tc class show dev {space.device} | grep -c 'htb 1:{link.number} '; true")
        if left.split() != ["0", "0"]:
            raise HelperFailure(f"rules or classes of {link.chain} are still there: {left.split()}")


def script(link: _Link, device: str) -> str:
    """Shell commands that put exactly the link's rules in force, whatever was there before."""
    number, chain = link.number, link.chain
    to = f"-p tcp -d {link.address} --dport {link.port}"
    lines = [
        f"iptables -w -D {CHAIN} {to} -j {chain} 2>/dev/null",
        f"iptables -w -F {chain} 2>/dev/null; iptables -w -X {chain} 2>/dev/null",
        f"tc filter del dev {device} parent 1: prio {number} 2>/dev/null",
        f"tc class del dev {device} classid 1:{number} 2>/dev/null",
    ]
    if link.rules:
        lines += ["set -e", f"iptables -w -N {chain}", f"iptables -w -A {CHAIN} {to} -j {chain}"]
        lines += [
            f"iptables -w -A {chain} -m comment --comment {fault} -m statistic --mode random --probability "
            f"{rule.loss:.9f} -j DROP"
            for fault, rule in link.rules.items() if rule.loss and not rule.correlation
        ]
        if leaves := _leaves(list(link.rules.values())):
            lines.append(f"tc class add dev {device} parent 1: classid 1:{number} htb rate {UNSHAPED} quantum 60000")
            parent = f"1:{number}"
            for index, leaf in enumerate(leaves):
                handle = 0x1000 + 2 * number + index
                lines.append(f"tc qdisc add dev {device} parent {parent} handle {handle:x}: {leaf}")
                parent = f"{handle:x}:1"
            lines.append(f"tc filter add dev {device} parent 1: protocol ip prio {number} u32 match ip protocol 6 0xff "
                         f"match ip dst {link.address}/32 match ip dport {link.port} 0xffff flowid 1:{number}")
    return "( " + "\n".join(lines) + ("\ntrue" if not link.rules else "") + "\n)"


def _leaves(rules: list[LinkRule]) -> list[str]:
    """The qdiscs a link's packets pass, outermost first: netem for what only it can do, tbf for the smallest rate."""
    leaves = []
    netem = [rule for rule in rules if any(getattr(rule, name) for name in _NETEM_ONLY)]
    if netem:
        words = [f"netem limit 10000 delay {sum(rule.delay_ms for rule in netem):g}ms"]
        if jitter := sum(rule.jitter_ms for rule in netem):
            words.append(f"{jitter:g}ms {100 * max(rule.correlation for rule in netem):g}%")
        for name in ("duplicate", "corrupt", "reorder"):
            if (chance := max(getattr(rule, name) for rule in netem)) > 0.0:
                words.append(f"{name} {100 * chance:g}%")
        correlated = [rule for rule in netem if rule.loss and rule.correlation]
        if correlated:
            words.append(f"loss {100 * max(rule.loss for rule in correlated):g}% "
                         f"{100 * max(rule.correlation for rule in correlated):g}%")
        leaves.append(" ".join(words))
    rates = [rule.rate_bps for rule in rules if rule.rate_bps is not None]
    if rates:
        # A bucket smaller than what one timer tick lets through would never reach the rate.
        burst = max(2 * _MTU_BYTES, min(rates) // 8 // 100)
        leaves.append(f"tbf rate {min(rates)}bit burst {burst} latency {TBF_BACKLOG}")
    return leaves


def count(listing: str, link: _Link) -> _Count:
    """What the counters say of a link: iptables-save with counters, an empty line, and tc's qdiscs as JSON."""
    rules, _, qdiscs = listing.partition("\n\n")
    seen = dropped = held = 0
    for packets, chain, target in _COUNTED.findall(rules):
        if chain == CHAIN and target == link.chain:
            seen = int(packets)
        elif chain == link.chain and target == "DROP":
            dropped += int(packets)
    parents = {f"1:{link.number}", f"{0x1000 + 2 * link.number:x}:1"}
    for qdisc in json.loads(qdiscs.strip() or "[]"):
        if qdisc.get("parent") in parents:
            dropped += int(qdisc["drops"])
            held += int(qdisc["overlimits"]) if qdisc["kind"] == "tbf" else int(qdisc["packets"])
    return _Count(seen, dropped, held)


def split(rules: Mapping[str, LinkRule]) -> tuple[dict[str, LinkRule], dict[str, LinkRule]]:
    """Rules for the kernel, and those for the proxy."""
    kernel = {fault: rule for fault, rule in rules.items() if rule.via == "kernel"}
    return kernel, {fault: rule for fault, rule in rules.items() if fault not in kernel}


def added(one: LinkCounters, two: LinkCounters) -> LinkCounters:
    """The proxy's counters of a link and the kernel's, together."""
    return replace(
        one, lost=one.lost + two.lost, delayed=one.delayed + two.delayed, kernel_packets=two.kernel_packets,
        kernel_dropped=two.kernel_dropped,
    )


async def _in_thread(call: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)
