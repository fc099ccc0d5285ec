"""What one directed link does to the messages offered to it: netem's rules as arithmetic on time, without a transport.

The simulator's network and the TCP proxy of the local runtime drive the same object, so a rule means the same in both.

- Roles speak over TCP, so a link is first in, first out: a message is never delivered before one offered earlier,
  unless a `reorder` rule lets it skip the delay (netem: it is sent at once).
- Every draw is keyed by (link, n-th message, fault, what for); healing one fault leaves the draws of others alone.
- `correlation` ρ repeats the previous draw with probability ρ. netem blends instead, which bends the distribution
  (a 5 % loss at 50 % correlation loses almost nothing); repeating keeps it exact and has autocorrelation ρ.
- `rate` serialises: a message waits for those before it, then takes size/rate. A queue longer than `BACKLOG_NS_MAX`
  drops its tail, as a router's would.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from harness.ports import LinkCounters, LinkRule, Random

BACKLOG_NS_MAX = 5_000_000_000
"""How long a message may wait for a rate-limited link before it is dropped; also bounds how late a heal is felt."""

DISTRIBUTIONS = ("uniform", "normal", "pareto", "exponential")

_LANES = {what: 64 * lane for lane, what in enumerate(("loss", "corrupt", "reorder", "duplicate", "delay", "copy"))}
"""One wide draw per message and fault serves all that can happen to it; each takes its own bits."""

_UNIT_MASK = (1 << 53) - 1

_NORMAL = statistics.NormalDist()


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one message."""

    deliveries: tuple[int, ...]  # ns from the offer to each arrival, the original first; empty: it never arrives
    added_delay_ns: int = 0      # by which rules (not the base latency) held back the original; 0 when none did
    cut: bool = False
    lost: bool = False           # by loss, corruption, a cut or a full queue
    duplicated: bool = False
    reordered: bool = False      # overtook a message still on the way
    corrupted: bool = False

    @property
    def delayed(self) -> bool:
        return self.added_delay_ns > 0


class LinkPolicy:
    """The state of one directed link: its rules, its queue, what it has done so far."""

    def __init__(
        self, src: str, dst: str, random: Random, *, base_delay_ms: float = 0.0, base_jitter_ms: float = 0.0
    ) -> None:
        self.src = src
        self.dst = dst
        self._random = random
        self._base_delay_ms = base_delay_ms
        self._base_jitter_ms = base_jitter_ms
        self._rules: tuple[tuple[str, LinkRule], ...] = ()
        self._cut = False
        self._rate_bps: int | None = None
        self._last_draws: dict[tuple[str, str, str], float] = {}
        self._wide_draws: dict[str, int] = {}  # fault id → the wide draw for the message being offered
        self._sequence = {"message": 0, "probe": 0}
        self._busy_until_ns = 0     # when the serialising queue is free again
        self._last_arrival_ns = 0   # of any message so far: the first-in-first-out floor
        self._last_base_arrival_ns = 0  # what that floor would be had there never been a rule
        self._messages = self._bytes = self._delayed = self._lost = self._refused = 0
        self._duplicated = self._reordered = self._corrupted = 0
        self._delay_ns_total = 0

    @property
    def cut(self) -> bool:
        """Whether nothing passes now, in this direction."""
        return self._cut

    @property
    def rules(self) -> Mapping[str, LinkRule]:
        return dict(self._rules)

    def set_rules(self, rules: Mapping[str, LinkRule]) -> None:
        """Replace the rules (fault id → rule). Raises ValueError for a rule that means nothing."""
        for fault_id, rule in rules.items():
            check_rule(rule, where=f"fault {fault_id} on link {self.src}→{self.dst}")
        ordered = tuple(sorted(rules.items()))
        rates = [rule.rate_bps for _, rule in ordered if rule.rate_bps is not None]
        self._cut = any(rule.cut for _, rule in ordered)
        self._rate_bps = min(rates) if rates else None
        if self._rate_bps is None:
            self._busy_until_ns = 0
        gone = [key for key in self._last_draws if key[0] not in rules]
        for key in gone:
            del self._last_draws[key]
        self._rules = ordered

    def offer(self, size_bytes: int, now_ns: int, *, probe: bool = False) -> Fate:
        """Decide the fate of a message handed to the link now.

        A probe meets the same rules but is numbered apart and holds nothing up, so measuring a link does not change
        what happens to the messages on it.
        """
        kind = "probe" if probe else "message"
        number = self._sequence[kind]
        self._sequence[kind] = number + 1
        self._messages += 1
        self._bytes += size_bytes
        if self._cut:
            self._lost += 1
            return Fate((), cut=True, lost=True)
        base_ns = self._base_ns(kind, number)
        base_arrival_ns = max(self._last_base_arrival_ns, now_ns + base_ns)
        if not probe:
            self._last_base_arrival_ns = base_arrival_ns
        if not self._rules:
            arrival_ns = max(self._last_arrival_ns, now_ns + base_ns)
            added_ns = arrival_ns - base_arrival_ns
            if not probe:
                self._last_arrival_ns = arrival_ns
            if added_ns > 0:
                self._count_delay(added_ns)
            return Fate((arrival_ns - now_ns,), added_delay_ns=max(0, added_ns))
        return self._under_rules(kind, number, size_bytes, now_ns, base_ns, base_arrival_ns)

    def arrive(self) -> bool:
        """Whether a message that is due now still gets through: a cut loses what was on the way as well."""
        if self._cut:
            self._lost += 1
            return False
        return True

    def refuse(self) -> None:
        """Count a connection attempt that the transport turned away because of a cut."""
        self._refused += 1

    def counters(self) -> LinkCounters:
        return LinkCounters(
            messages=self._messages,
            bytes=self._bytes,
            delayed=self._delayed,
            delay_ms_total=self._delay_ns_total / 1e6,
            lost=self._lost,
            refused=self._refused,
            duplicated=self._duplicated,
            reordered=self._reordered,
            corrupted=self._corrupted,
        )

    def _under_rules(
        self, kind: str, number: int, size_bytes: int, now_ns: int, base_ns: int, base_arrival_ns: int
    ) -> Fate:
        probe = kind == "probe"
        self._wide_draws.clear()
        if self._any("loss", kind, number):
            self._lost += 1
            return Fate((), lost=True)
        sent_ns = now_ns
        if self._rate_bps is not None:
            sent_ns = max(now_ns, self._busy_until_ns) + -(-size_bytes * 8_000_000_000 // self._rate_bps)
            if sent_ns - now_ns > BACKLOG_NS_MAX:
                self._lost += 1
                return Fate((), lost=True)
            if not probe:
                self._busy_until_ns = sent_ns
        if self._any("corrupt", kind, number):
            self._corrupted += 1
            self._lost += 1
            return Fate((), lost=True, corrupted=True)
        if self._any("reorder", kind, number):
            arrival_ns = sent_ns
            reordered = arrival_ns < self._last_arrival_ns
        else:
            arrival_ns = max(self._last_arrival_ns, sent_ns + base_ns + self._delay_ns(kind, number, "delay"))
            reordered = False
        if reordered:
            self._reordered += 1
        if not probe:
            self._last_arrival_ns = max(self._last_arrival_ns, arrival_ns)
        added_ns = max(0, arrival_ns - base_arrival_ns)
        if added_ns:
            self._count_delay(added_ns)
        deliveries: tuple[int, ...] = (arrival_ns - now_ns,)
        duplicated = self._any("duplicate", kind, number)
        if duplicated:
            self._duplicated += 1
            copy_ns = max(arrival_ns, sent_ns + base_ns + self._delay_ns(kind, number, "copy"))
            if not probe:
                self._last_arrival_ns = max(self._last_arrival_ns, copy_ns)
            deliveries = (arrival_ns - now_ns, copy_ns - now_ns)
        return Fate(deliveries, added_delay_ns=added_ns, duplicated=duplicated, reordered=reordered)

    def _count_delay(self, added_ns: int) -> None:
        self._delayed += 1
        self._delay_ns_total += added_ns

    def _base_ns(self, kind: str, number: int) -> int:
        delay_ms = self._base_delay_ms
        if self._base_jitter_ms:
            unit = self._random.unit("link", self.src, self.dst, kind, number, "base")
            delay_ms += self._base_jitter_ms * (2.0 * unit - 1.0)
        return max(0, round(delay_ms * 1e6))

    def _any(self, what: str, kind: str, number: int) -> bool:
        """Whether any rule's chance of `what` came up; independent draws, so the probabilities combine."""
        hit = False
        for fault_id, rule in self._rules:
            chance: float = getattr(rule, what)
            if chance > 0.0 and self._draw(fault_id, rule, kind, number, what) < chance:
                hit = True
        return hit

    def _delay_ns(self, kind: str, number: int, what: str) -> int:
        total_ms = 0.0
        for fault_id, rule in self._rules:
            delay_ms = rule.delay_ms
            if rule.jitter_ms > 0.0:
                draw = self._draw(fault_id, rule, kind, number, what)
                delay_ms += rule.jitter_ms * jitter_factor(rule.distribution, draw)
            total_ms += max(0.0, delay_ms)
        return round(total_ms * 1e6)

    def _draw(self, fault_id: str, rule: LinkRule, kind: str, number: int, what: str) -> float:
        wide = self._wide_draws.get(fault_id)
        if wide is None:
            wide = self._random.bits("link", self.src, self.dst, kind, number, fault_id, width=64 * len(_LANES))
            self._wide_draws[fault_id] = wide
        value = ((wide >> _LANES[what]) & _UNIT_MASK) * 2.0**-53
        if rule.correlation > 0.0:
            last = self._last_draws.get((fault_id, what, kind))
            if last is not None:
                repeats = self._random.unit("link", self.src, self.dst, kind, number, fault_id, what, "repeats")
                if repeats < rule.correlation:
                    return last
            self._last_draws[fault_id, what, kind] = value
        return value


def jitter_factor(distribution: str, unit: float) -> float:
    """Turn a uniform draw in [0, 1) into a multiple of the jitter.

    uniform: in [−1, 1). normal: standard normal, cut at ±4. pareto: netem's table, (u^(−1/3) − 1.5)·4/3, cut at 16.
    exponential: mean 1, nothing below 0, so the rule's delay is the least.
    """
    if distribution == "uniform":
        return 2.0 * unit - 1.0
    if distribution == "normal":
        return min(max(_NORMAL.inv_cdf(unit), -4.0), 4.0) if unit > 0.0 else -4.0
    if distribution == "pareto":
        return min((math.pow(1.0 - unit, -1.0 / 3.0) - 1.5) * 4.0 / 3.0, 16.0)
    if distribution == "exponential":
        return -math.log(1.0 - unit)
    raise ValueError(f"unknown jitter distribution {distribution!r}; use one of {', '.join(DISTRIBUTIONS)}")


def check_rule(rule: LinkRule, *, where: str) -> None:
    """Raise ValueError, naming `where`, for a rule no link could follow."""
    for name in ("correlation", "loss", "duplicate", "reorder", "corrupt"):
        chance: float = getattr(rule, name)
        if not 0.0 <= chance <= 1.0:
            raise ValueError(f"{where}: {name} is {chance}, but a probability lies between 0 and 1")
    for name in ("delay_ms", "jitter_ms"):
        value: float = getattr(rule, name)
        if not (math.isfinite(value) and value >= 0.0):
            raise ValueError(f"{where}: {name} is {value}, but a duration is finite and not negative")
    if rule.distribution not in DISTRIBUTIONS:
        raise ValueError(
            f"{where}: unknown jitter distribution {rule.distribution!r}; use one of {', '.join(DISTRIBUTIONS)}"
        )
    if rule.rate_bps is not None and rule.rate_bps <= 0:
        raise ValueError(f"{where}: rate is {rule.rate_bps} bit/s, but a rate is positive; to stop a link, cut it")
