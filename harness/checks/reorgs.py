"""What a reorg takes back happens again once or not at all, and what is told afterwards is true (Q5).

On L1 the builder replaces blocks; on L2 a block that nodes showed as their head loses to another. Whoever acted in
such a block (keepers, batchers, those who force their way in) acts again, and must not be counted twice for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.checks.forced import canonical_l1
from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.reader import History
from harness.history.records import BlockRecord


def lost_blocks(history: History, canonical: Iterable[str]) -> list[BlockRecord]:
    """Blocks that somebody was shown and that are not on the chains which stayed, in order of appearance."""
    kept = dict.fromkeys(canonical)
    shown = {head.hash for head in history.heads}
    return [block for name, block in history.blocks.items()
            if name not in kept and (block.chain == "l1" or name in shown)]


def taken_back_once(subject: Subject) -> Finding:
    """Transactions of lost blocks at most once on the chain that stayed; the next reading of storage is the model's."""
    history, cases = subject.history, Cases()
    chains = {"l1": canonical_l1(history), "l2": list(subject.chain)}
    lost = lost_blocks(history, (block.hash for blocks in chains.values() for block in blocks))
    again = repeated = readings = 0
    if lost:
        done = {name: Counter(transaction.hash for block in blocks for transaction in block.transactions)
                for name, blocks in chains.items()}
        for block in lost:
            for transaction in block.transactions:
                times = done[block.chain][transaction.hash]
                again += 1
                repeated += times == 1
                if times > 1:
                    cases.add(severity=times, chain=block.chain, block=block.number, tx=transaction.hash, times=times)
        snapshots = subject.replay.snapshots
        for block in lost:
            after = next((each for each in snapshots if each.state.t >= block.t), None)
            if after is None:
                continue
            readings += 1
            if after.differences:
                path, expected, got = after.differences[0]
                cases.add(severity=len(after.differences), chain=block.chain, block=block.number,
                          read_at=after.state.number, what=path, expected=expected, got=got)
    return cases.finding(
        again + readings,
        holds=f"{len(lost)} blocks were taken back with {again} transactions, {repeated} of which happened again, none "
              f"twice; {readings} readings of storage after them were the model's",
        violated="what a reorg took back happened twice, or left storage wrong",
        nothing=f"no block that anybody was shown was taken back with anything in it ({len(lost)} were)",
    )


CHECKS = (
    Check("Q5", "taken back once", "what a reorg takes back happens again once or never, and storage is right after it",
          taken_back_once, occasion="a block taken back with transactions in it"),
)
