"""Head labels of every node: ordered, in agreement, never conflicting, never falling, and moving again after heal.

Labels start at genesis (number 0) on every node. Records of L1 nodes are left aside: these labels are L2's. A `reset`
takes back what its node had labelled above the number it names, and only that.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from harness.checks.l1_reorgs import reorgs_made
from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.reader import History
from harness.history.records import HeadRecord

_ORDER = ("finalized", "safe", "committed", "unsafe")
_AGREED = ("committed", "safe", "finalized")


def _nodes(history: History) -> Iterator[tuple[str, tuple[HeadRecord, ...]]]:
    for node in sorted(history.heads_by_node):
        if not node.startswith("l1-"):
            yield node, history.heads_by_node[node]


def label_order(subject: Subject) -> Finding:
    """Judged once per instant of a node: labels that move together are recorded one after another at the same time."""
    cases, judged = Cases(), 0
    for node, heads in _nodes(subject.history):
        at: dict[str, tuple[int, str | None]] = dict.fromkeys(_ORDER, (0, None))
        for index, head in enumerate(heads):
            at[head.label] = (head.number, head.hash)
            if index + 1 < len(heads) and heads[index + 1].t == head.t:
                continue
            judged += 1
            for lower, upper in pairwise(_ORDER):
                (low, low_hash), (high, high_hash) = at[lower], at[upper]
                split = low == high and low_hash is not None and high_hash is not None and low_hash != high_hash
                if low > high or split:
                    cases.add(severity=low - high, node=node, t_ns=head.t, block=low, above=high,
                              label=lower, should_not_pass=upper, hash=low_hash, other_hash=high_hash)
    return cases.finding(
        judged,
        holds=f"finalized ≤ safe ≤ committed ≤ unsafe at {judged} instants",
        violated="labels out of order",
        nothing="no node reported a head",
    )


def _standing(heads: tuple[HeadRecord, ...], label: str) -> list[HeadRecord]:
    """What the node labelled so and did not take back by a later reset."""
    standing: list[HeadRecord] = []
    for head in heads:
        if head.label != label:
            continue
        if head.reset:
            standing = [earlier for earlier in standing if earlier.number <= head.number]
        standing.append(head)
    return standing


def agreement(subject: Subject) -> Finding:
    cases = Cases()
    seen: dict[int, HeadRecord] = {}
    shared: set[int] = set()
    canonical = {block.number: block.hash for block in subject.history.chain}
    for node, heads in _nodes(subject.history):
        for label in _AGREED:
            for head in _standing(heads, label):
                first = seen.setdefault(head.number, head)
                if first.node != node:
                    shared.add(head.number)
                expected = canonical.get(head.number, first.hash)
                if head.hash != expected:
                    cases.add(severity=len(canonical) - head.number, node=node, block=head.number, label=label,
                              t_ns=head.t, hash=head.hash, expected=expected,
                              other=first.node if first.hash == expected else "canonical chain")
    return cases.finding(
        len(shared),
        holds=f"all nodes agree on the hash at {len(shared)} heights that two or more of them labelled",
        violated="a node labelled another block than the rest at that height",
        nothing="no height was labelled by two nodes",
    )


def no_fall(subject: Subject) -> Finding:
    """Safe may fall by a reset, once for each time L1's builder had replaced blocks; finalized never may."""
    cases, judged = Cases(), 0
    made = reorgs_made(subject.history)
    for node, heads in _nodes(subject.history):
        last: dict[str, HeadRecord] = {}
        excused = 0
        for head in heads:
            if head.label not in ("safe", "finalized"):
                continue
            before = last.get(head.label)
            last[head.label] = head
            if before is None:
                continue
            if head.reset and head.label == "safe" and excused < sum(t <= head.t for t in made):
                excused += 1
                continue
            judged += 1
            swapped = head.number == before.number and head.hash != before.hash
            if head.number < before.number or swapped:
                cases.add(severity=before.number - head.number, node=node, label=head.label, t_ns=head.t,
                          block=head.number, hash=head.hash, from_block=before.number, from_hash=before.hash,
                          reset=head.reset)
    return cases.finding(
        judged,
        holds=f"safe and finalized only rose, in {judged} moves",
        violated="safe fell without a reset after an L1 reorg, or finalized fell",
        nothing="no node moved its safe or finalized head twice",
    )


def no_conflict(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    committed: dict[int, HeadRecord] = {}
    canonical = {block.number: block for block in subject.history.chain}
    for _node, heads in _nodes(subject.history):
        for head in _standing(heads, "committed"):
            judged += 1
            other = committed.setdefault(head.number, head)
            block = canonical.get(head.number)
            if other.hash != head.hash:
                cases.add(severity=1, block=head.number, node=head.node, hash=head.hash, other=other.node,
                          other_hash=other.hash, t_ns=head.t)
            elif block is not None and block.hash != head.hash:
                cases.add(block=head.number, node=head.node, hash=head.hash, other="ancestor of the committed tip",
                          other_hash=block.hash, t_ns=head.t)
    return cases.finding(
        judged,
        holds=f"{judged} commitments, one hash for each height",
        violated="two blocks committed at one height",
        nothing="nothing was committed",
    )


def progress(subject: Subject) -> Finding:
    """After heal every node commits, within the bound, a block above all committed before; and none lags at the end.

    A node lags at the end when its committed head is below what another had committed a bound earlier.
    """
    history = subject.history
    heal_ns = history.phase_ns("heal")
    if heal_ns is None:
        return Cases().finding(0, holds="", violated="", nothing="the run has no heal phase")
    bound_ns = int(subject.bounds.recover_s * 1e9)
    if history.end_ns < heal_ns + bound_ns:
        short = (heal_ns + bound_ns - history.end_ns) / 1e9
        return Cases().finding(0, holds="", violated="", nothing=f"the history ends {short:.1f} s before the bound")
    committed = {
        node: [head for head in heads if head.label == "committed"] for node, heads in _nodes(history)
    }
    before = max((head.number for heads in committed.values() for head in heads if head.t <= heal_ns), default=0)
    settled_ns = history.end_ns - bound_ns
    due = max((head.number for heads in committed.values() for head in heads if head.t <= settled_ns), default=0)
    cases, slowest = Cases(), 0
    for node, heads in committed.items():
        passed = next((head.t for head in heads if head.number > before and head.t > heal_ns), None)
        last = max((head.number for head in heads), default=0)
        if passed is None or passed > heal_ns + bound_ns:
            took = None if passed is None else (passed - heal_ns) / 1e9
            cases.add(severity=before - last + 1, node=node, block=last, must_pass=before, took_s=took,
                      bound_s=subject.bounds.recover_s)
            continue
        slowest = max(slowest, passed - heal_ns)
        if last < due:
            cases.add(severity=due - last, node=node, block=last, others_had=due, bound_s=subject.bounds.recover_s)
    return cases.finding(
        len(committed),
        holds=f"all {len(committed)} nodes committed new blocks {slowest / 1e9:.1f} s after heal or sooner "
              f"(bound {subject.bounds.recover_s:g} s)",
        violated="a node did not move on after heal, or lags at the end",
        nothing="no node reported a committed head",
    )


CHECKS = (
    Check("H1", "head order", "finalized ≤ safe ≤ committed ≤ unsafe on every node at every moment", label_order),
    Check("H2", "replica agreement", "all nodes have the same block at every committed, safe or finalized height",
          agreement),
    Check("H3", "heads never fall", "safe falls only when L1 was reorged, finalized never falls", no_fall),
    Check("H4", "no conflicting commits", "no two blocks are ever committed at one height", no_conflict),
    Check("H5", "progress after heal", "within the recovery bound after heal every node commits new blocks", progress),
)
