"""What clients were told against what the chain holds: no lost write, no phantom write."""

from __future__ import annotations

from itertools import pairwise

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject


def no_lost_or_phantom_write(subject: Subject) -> Finding:
    """Judges operations whose outcome names a transaction; `info` may be either and is only counted."""
    cases, judged, open_, landed = Cases(), 0, 0, 0
    history = subject.history
    succeeded = {
        transaction.hash: (block.number, transaction.succeeded)
        for block in subject.chain
        for transaction in block.transactions
    }
    for operation in history.operations:
        outcome = operation.outcome
        hash_ = None if outcome is None else outcome.detail.get("tx")
        where = succeeded.get(hash_) if isinstance(hash_, str) else None
        if operation.status == "info":
            open_ += 1
            landed += where is not None and where[1]
            continue
        if not isinstance(hash_, str):
            continue
        judged += 1
        done = where is not None and where[1]
        if done != (operation.status == "ok"):
            cases.add(id=operation.invoke.id, client=operation.invoke.client, action=operation.invoke.action,
                      said=operation.status, tx=hash_, block=None if where is None else where[0],
                      chain="succeeded" if done else "absent" if where is None else "reverted")
    return cases.finding(
        judged,
        holds=f"{judged} known outcomes are as the chain has them; {open_} indeterminate, of which {landed} landed",
        violated="client told otherwise than the chain has it",
        nothing=f"no operation with a known outcome names a transaction ({open_} indeterminate)",
    )


def included_once(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    first: dict[str, int] = {}
    for block in subject.chain:
        for transaction in block.transactions:
            judged += 1
            if transaction.hash in first:
                cases.add(block=block.number, tx=transaction.hash, first_block=first[transaction.hash])
            first.setdefault(transaction.hash, block.number)
    return cases.finding(
        judged,
        holds=f"{judged} transactions are in the chain once each",
        violated="transaction included twice",
        nothing="no transaction in the canonical chain",
    )


def chain_shape(subject: Subject) -> Finding:
    """The parts of rollup.md §6's acceptance that a history shows."""
    cases, judged = Cases(), 0
    chain = subject.chain
    made: dict[int, set[int]] = {}  # L1 block → its times, as its builder wrote them
    for block in subject.history.blocks.values():
        if block.chain == "l1":
            made.setdefault(block.number, set()).add(block.timestamp)
    for parent, block in pairwise(chain):
        judged += 1
        wrong_time = block.timestamp < parent.timestamp
        wrong_origin = (
            parent.origin is not None and block.origin is not None and not 0 <= block.origin - parent.origin <= 1
        )
        wrong_clock = block.origin is not None and block.origin_time is not None and (
            block.origin_time > block.timestamp or block.origin_time not in made.get(block.origin, {block.origin_time})
        )
        if wrong_time or wrong_origin or wrong_clock:
            cases.add(severity=parent.timestamp - block.timestamp, block=block.number, timestamp=block.timestamp,
                      parent_timestamp=parent.timestamp, origin=block.origin, parent_origin=parent.origin,
                      origin_timestamp=block.origin_time)
    return cases.finding(
        judged,
        holds=f"time never falls and the L1 origin, never ahead, advances by at most one over {judged} blocks",
        violated="block's time falls or its L1 origin jumps or is of another time",
        nothing="the canonical chain has fewer than two blocks",
    )


CHECKS = (
    Check("OPS", "no lost or phantom write", "what a client was told about its transaction is what the chain has",
          no_lost_or_phantom_write),
    Check("R1", "included once", "no transaction is in the canonical chain twice", included_once),
    Check("R2", "chain shape", "block times never fall, and the L1 origin never falls, jumps or lies ahead",
          chain_shape),
)
