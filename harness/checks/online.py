"""The cheap checks while a run goes on: each committed block is judged as soon as its state record is there.

The same check functions as at the end, shown a history of one block: what they find in it is what they would find of
it in the whole. Checks that need more than a block, or that wait for something to happen in time, are left to the end.
A violation is told within a block of its happening; the verdict is still the one given over the whole history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.checks.catalogue import CHECKS
from harness.checks.registry import Check, judge_one
from harness.checks.replay import Replay, apply_block, listed_assets, reporters_of
from harness.checks.results import Evidence, JudgeBounds, Verdict
from harness.checks.subject import Subject
from harness.history.errors import HistoryError
from harness.history.parse import parse_record
from harness.history.reader import History, from_records
from harness.history.records import BlockRecord, RunRecord, StateRecord
from harness.model.venue import Venue

WHOLE_BLOCKS = frozenset((
    "C1", "C2", "C3", "C4", "C7", "A1", "A2", "A6", "M1", "M2", "M3", "M5", "M6", "M7", "M9", "T1", "T6", "T8",
    "LS1", "LS2", "LS3", "LS4", "LS5", "LS6", "LL3", "LL4", "LL5", "S2", "S3", "O1", "O2", "O3", "O4", "O6", "O7",
    "O9", "G2", "G5", "G6", "F2", "F4",
))
"""Checks whose judgement of a block needs nothing but that block and the model before it."""

BLOCKS_WAITING_MAX = 64
"""Committed blocks whose state record has not come yet; more are a gap, after which nothing is judged any more."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """The first time a check found a violation."""

    check: str
    name: str
    block: int
    summary: str
    evidence: Evidence


class OnlineJudge:
    """Fed the records of a run as they are written; says what is violated, each check once."""

    def __init__(self, bounds: JudgeBounds, ids: Iterable[str] = WHOLE_BLOCKS) -> None:
        wanted = frozenset(ids)
        self.checks: Sequence[Check] = [check for check in CHECKS if check.id in wanted & WHOLE_BLOCKS]
        self.alarms: list[Alarm] = []
        self.judged = 0              # blocks
        self.stopped: str | None = None  # why nothing is judged any more
        self._bounds = bounds
        self._venue = Venue(bounds.venue)
        self._run: RunRecord | None = None
        self._blocks: dict[str, BlockRecord] = {}
        self._tip: BlockRecord | None = None

    def see(self, node: str, kind: str, fields: Mapping[str, Any]) -> list[Alarm]:
        """Take in one record; returns the alarms it raised. Never raises: what cannot be judged stops the judging."""
        if self.stopped is not None or not self.checks or kind not in ("run", "block", "state"):
            return []
        if kind == "block" and (fields.get("chain") != "l2" or "hash" not in fields):
            return []  # of another chain, or only a notice that it was made
        try:
            record = parse_record({"t": 0, "node": node, "kind": kind, **fields})
            if isinstance(record, RunRecord):
                self._run = record
                self._venue.list_assets(listed_assets(record))
                self._venue.appoint(reporters_of(record))
            elif isinstance(record, BlockRecord):
                self._hold(record)
            elif isinstance(record, StateRecord):
                return self._take(record)
        except HistoryError as error:
            self.stopped = f"a record could not be read: {error}"
        except Exception as error:  # the run goes on whatever its judge does; the end will judge it again
            self.stopped = f"the judge itself failed: {type(error).__name__}: {error}"
        return []

    def figures(self) -> dict[str, Any]:
        """For result.json: how much was judged while it ran, and what was told then."""
        alarms = [{"id": alarm.check, "block": alarm.block, "summary": alarm.summary} for alarm in self.alarms]
        return {"blocks": self.judged, "checks": len(self.checks), "alarms": alarms, "stopped": self.stopped}

    def _hold(self, block: BlockRecord) -> None:
        if self._tip is None or block.number > self._tip.number:
            self._blocks[block.hash] = block
            if len(self._blocks) > BLOCKS_WAITING_MAX * 4:
                self.stopped = f"{len(self._blocks)} blocks wait for a state record"

    def _take(self, state: StateRecord) -> list[Alarm]:
        """A state record: its block, and those before it that had none, are canonical."""
        if self._tip is not None and state.number <= self._tip.number:
            return []
        path: list[BlockRecord] = []
        wanted = state.hash
        while len(path) <= BLOCKS_WAITING_MAX and (block := self._blocks.get(wanted)) is not None:
            path.append(block)
            if self._tip is not None and block.parent == self._tip.hash:
                break
            wanted = block.parent
        first = path[-1] if path else None
        reaches = first is not None and (
            first.number <= 1 if self._tip is None else first.parent == self._tip.hash
        )
        if not reaches or len(path) > BLOCKS_WAITING_MAX:
            self.stopped = f"block {state.number} does not reach down to the last one judged"
            return []
        found: list[Alarm] = []
        for block in reversed(path):
            found += self._judge(block, state if block.hash == state.hash else None)
        return found

    def _judge(self, block: BlockRecord, state: StateRecord | None) -> list[Alarm]:
        window = Replay(self._venue, facts=self._venue.take_facts())
        history = _history(self._run, block, state)
        apply_block(window, block, history)
        self._tip = block
        self._blocks = {key: held for key, held in self._blocks.items() if held.number > block.number}
        self.judged += 1
        subject = Subject(history, self._bounds, replayed=window)
        found: list[Alarm] = []
        known = {alarm.check for alarm in self.alarms}
        for check in self.checks:
            if check.id in known:
                continue
            result = judge_one(check, subject)
            if result.verdict is Verdict.VIOLATED:
                found.append(Alarm(check.id, check.name, block.number, result.summary, result.evidence[0]))
        self.alarms += found
        return found


def _history(run: RunRecord | None, block: BlockRecord, state: StateRecord | None) -> History:
    """A history of one block."""
    empty = from_records([])
    return replace(
        empty, run=run, blocks={block.hash: block}, chain=(block,), chain_gap=None,
        states={} if state is None else {state.hash: (state,)},
    )

