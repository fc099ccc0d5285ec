"""What an L1 reorg may do to the safe head, and that it comes back: read from what L1's builder and the nodes recorded.

The builder records `l1-reorg` when it replaces blocks, a node `l1-reorg-seen` when it follows, with the safe heights
before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.reader import History

MADE, SEEN = "l1-reorg", "l1-reorg-seen"


@dataclass(frozen=True, slots=True)
class Dip:
    """One node's safe head taken back by an L1 reorg."""

    node: str
    t_ns: int
    safe_from: int
    safe_to: int


def reorgs_made(history: History) -> list[int]:
    """When L1's builder replaced blocks, in order."""
    return [stat.t for stat in history.stats if stat.figures.get("name") == MADE]


def dips(history: History) -> Iterator[Dip]:
    """Every time a node took safe blocks back, in order of time."""
    for stat in history.stats:
        figures = stat.figures
        if figures.get("name") == SEEN and int(figures["safe_to"]) < int(figures["safe_from"]):
            yield Dip(stat.node, stat.t, int(figures["safe_from"]), int(figures["safe_to"]))


def safe_comes_back(subject: Subject) -> Finding:
    """Within the recovery bound, unless another fault, another reorg or the end of the run comes first."""
    history = subject.history
    bound_ns = int(subject.bounds.recover_s * 1e9)
    found = list(dips(history))
    others = [window for window in history.fault_windows() if window.fault != "reorg"]
    cases, judged, slowest = Cases(), 0, 0
    for dip in found:
        due_ns = dip.t_ns + bound_ns
        disturbed = any(w.start_ns < due_ns and (w.end_ns is None or w.end_ns > dip.t_ns) for w in others)
        again = any(later.node == dip.node and dip.t_ns < later.t_ns < due_ns for later in found)
        if disturbed or again or history.end_ns < due_ns:
            continue
        judged += 1
        back_ns = next(
            (head.t for head in history.heads_by_node.get(dip.node, ())
             if head.label == "safe" and head.t > dip.t_ns and head.number >= dip.safe_from), None,
        )  # fmt: skip
        if back_ns is None or back_ns > due_ns:
            cases.add(severity=dip.safe_from - dip.safe_to, node=dip.node, t_ns=dip.t_ns, block=dip.safe_to,
                      was_safe=dip.safe_from, bound_s=subject.bounds.recover_s,
                      took_s=None if back_ns is None else (back_ns - dip.t_ns) / 1e9)
        else:
            slowest = max(slowest, back_ns - dip.t_ns)
    return cases.finding(
        judged,
        holds=f"{judged} times a node's safe head was back {slowest / 1e9:.1f} s after an L1 reorg or sooner "
              f"(bound {subject.bounds.recover_s:g} s)",
        violated="what an L1 reorg took from the safe chain was not posted again in time",
        nothing=f"no node lost safe blocks to an L1 reorg and was then left alone for the bound ({len(found)} did)",
    )


CHECKS = (
    Check("H6", "safe again", "what an L1 reorg takes from the safe chain is safe again within the recovery bound",
          safe_comes_back, occasion="an L1 reorg that takes back safe blocks"),
)
