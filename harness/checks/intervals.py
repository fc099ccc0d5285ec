"""The chain cut at its state records: what storage said before, what happened, what it said after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.checks.storage import Snapshot
from harness.checks.subject import Subject
from harness.history.records import Event

PARTIES = ("account", "keeper", "taker", "maker", "counterparty")
"""Arguments that name an account whose cash or positions the event changes."""

REPRICING = frozenset(("RoundAccepted", "SeriesFinalized"))
"""Events that change the margin of accounts they do not name."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Everything between two neighbouring state records of the canonical chain, the second one's block included."""

    before: Snapshot
    after: Snapshot
    events: tuple[tuple[int, Event], ...]  # (block, event), in chain order
    isolated: Mapping[tuple[str, int], str] = field(default_factory=dict)  # (owner, pool) → account, all opened by then

    @property
    def block(self) -> int:
        return self.after.state.number

    @property
    def is_repriced(self) -> bool:
        return any(event.name in REPRICING for _, event in self.events)

    def touched(self) -> dict[str, list[Event]]:
        """Account → the events that name it as a party."""
        found: dict[str, list[Event]] = {}
        for _, event in self.events:
            for key in PARTIES:
                if key in event.args:
                    found.setdefault(str(event.args[key]), []).append(event)
            if event.name == "CollateralMoved":
                for end in ("from", "to"):
                    owner = str(event.args["owner"])
                    account = owner if event.args[end] == 0 else self.isolated.get((owner, event.args[end]), owner)
                    found.setdefault(account, []).append(event)
        return found


def intervals(subject: Subject) -> Iterator[Interval]:
    """One for each block with a state record but the first; of several records of a block, the first counts."""
    by_number: dict[int, Snapshot] = {}
    for snapshot in subject.replay.snapshots:
        by_number.setdefault(snapshot.state.number, snapshot)
    before: Snapshot | None = None
    events: list[tuple[int, Event]] = []
    isolated: dict[tuple[str, int], str] = {}
    for block in subject.chain:
        events += [(block.number, event) for event in block.events]
        isolated |= {(str(event.args["owner"]), int(event.args["pool"])): str(event.args["account"])
                     for event in block.events if event.name == "AccountOpened"}
        after = by_number.get(block.number)
        if after is not None:
            if before is not None:
                yield Interval(before, after, tuple(events), isolated)
            before, events = after, []
