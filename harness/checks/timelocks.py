"""Privileged changes by their own words: what was announced, when, and what was carried out (G3).

Read from the chain alone, beside the model's replay: which call of the timelock caused which change, and how long
everybody could have known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import BlockRecord
from harness.model.governance import PRIVILEGED, Factors, words

FACTORS = ("imBps", "mmBps", "optionImBps", "optionMinImBps", "optionMmBps")


@dataclass(slots=True)
class Change:
    """One transaction that changed something privileged."""

    block: int
    tx: int
    timestamp: int
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    announced_at: int | None = None  # block time of the announcement of the newest of its calls; None: it made none
    unannounced: bool = False        # a call it made was never announced
    data: list[str] = field(default_factory=list)  # of its calls

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    @property
    def waited_s(self) -> int | None:
        """How long it was known; None where nobody was told."""
        return None if self.announced_at is None or self.unannounced else self.timestamp - self.announced_at


def changes(subject: Subject) -> list[Change]:
    """Every privileged change after the set-up of block 0, in chain order."""
    return subject.once(_changes)


def _changes(subject: Subject) -> list[Change]:
    return _of_chain(subject.chain)


def _of_chain(chain: Sequence[BlockRecord]) -> list[Change]:
    found: list[Change] = []
    announced: dict[tuple[str, int], int] = {}
    for block in chain:
        by_tx: dict[int, Change] = {}
        for event in block.events:
            change = by_tx.setdefault(event.tx, Change(block.number, event.tx, block.timestamp))
            if event.name in PRIVILEGED and block.number > 0:
                change.events.append((event.name, event.args))
            elif event.name == "CallScheduled":
                announced[str(event.args["id"]), int(event.args["index"])] = block.timestamp
            elif event.name == "CallExecuted":
                told = announced.get((str(event.args["id"]), int(event.args["index"])))
                change.unannounced |= told is None
                change.announced_at = max((at for at in (change.announced_at, told) if at is not None), default=None)
                change.data.append(str(event.args["data"]))
        found += [change for change in by_tx.values() if change.events]
    return found


def announced_before(subject: Subject) -> Finding:
    """A change nobody could see coming for the delay, whatever it changed; the worse, the more accounts it hurt."""
    cases = Cases()
    delay, found = subject.bounds.venue.timelock_delay_s, changes(subject)
    facts = {(fact.block, fact.tx): fact for fact in subject.replay.facts.factors}
    hurt = 0
    for change in found:
        fact = facts.get((change.block, change.tx))
        made_due = () if fact is None else fact.made_due
        hurt += len(made_due)
        others = [
            tuple(args[name] for name in FACTORS) for name, args in change.events
            if name == "FactorsChanged" and not any(
                words(data) == tuple(args[key] for key in FACTORS) for data in change.data)
        ]
        waited = change.waited_s
        if waited is None or waited < delay or others:
            cases.add(severity=len(made_due) * 10**6 + delay - (waited or 0), block=change.block, tx=change.tx,
                      changed=change.names, waited_s=waited, delay_s=delay, accounts_made_liquidatable=list(made_due),
                      factors=None if fact is None else list(fact.after), not_as_announced=[list(o) for o in others])
    untold = _untold(subject, cases)
    return cases.finding(
        len(found) + untold,
        holds=f"{len(found)} privileged changes were announced {delay} s before, word for word; they made {hurt} "
              "accounts liquidatable",
        violated="a privileged change was not announced the whole delay before, or not as announced",
        nothing="governance changed nothing that takes a delay",
    )


def _untold(subject: Subject, cases: Cases) -> int:
    """Factors in storage that no event told of: how many readings differ from those in force by the events."""
    told, count = Factors.of(subject.bounds.venue), 0
    changed = [(fact.block, Factors(*fact.after)) for fact in subject.replay.facts.factors]
    for snapshot in subject.replay.snapshots:
        shown = snapshot.state.governance
        if shown is None:
            continue
        while changed and changed[0][0] <= snapshot.state.number:
            told = changed.pop(0)[1]
        stored = Factors(*(getattr(shown, name) for name in Factors._fields))
        if stored != told:
            count += 1
            cases.add(block=snapshot.state.number, stored=list(stored), told=list(told))
    return count


CHECKS = (
    Check("G3", "announced before", "margin factors and code change only as announced the whole delay before",
          announced_before, occasion="a change by the timelock"),
)
