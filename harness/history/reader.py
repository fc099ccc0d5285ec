"""A whole history read back: the canonical chain, the heads of every node, operations paired, everything in order."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.history.errors import HistoryError
from harness.history.parse import parse_line
from harness.history.records import (
    BlockRecord,
    FaultRecord,
    HeadRecord,
    ObservationRecord,
    OperationRecord,
    PhaseRecord,
    ProblemRecord,
    ReadingRecord,
    Record,
    RunRecord,
    StateRecord,
    StatRecord,
)

LINE_BYTES_MAX = 64 << 20
"""A longer line is not one of ours."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A client's operation from its invocation to what it learned; `outcome` is None while it is still in the air."""

    invoke: OperationRecord
    outcome: OperationRecord | None

    @property
    def status(self) -> str:
        """ok, fail, or info (indeterminate; also when no outcome was ever recorded)."""
        return "info" if self.outcome is None else self.outcome.phase


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """When one fault was on; `end_ns` is None if nothing says it was healed."""

    id: str
    fault: str
    start_ns: int
    end_ns: int | None


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was recorded, in order of time. Immutable; build one with `read` or `from_lines`."""

    run: RunRecord | None
    blocks: Mapping[str, BlockRecord]                 # by hash, both chains, canonical or not, in order of appearance
    chain: tuple[BlockRecord, ...]                    # canonical L2 blocks, ascending
    chain_gap: str | None                             # why `chain` does not reach down to genesis, if it does not
    heads: tuple[HeadRecord, ...]
    heads_by_node: Mapping[str, tuple[HeadRecord, ...]]
    states: Mapping[str, tuple[StateRecord, ...]]     # by block hash
    readings: Mapping[str, ReadingRecord]             # by block hash: what a project watches
    operations: tuple[Operation, ...]                 # in order of invocation
    faults: tuple[FaultRecord, ...]
    observations: tuple[ObservationRecord, ...]
    phases: tuple[PhaseRecord, ...]
    problems: tuple[ProblemRecord, ...]
    stats: tuple[StatRecord, ...]
    end_ns: int                                       # time of the last record
    records: int

    def phase_ns(self, name: str) -> int | None:
        """When the run first entered that phase, or None if it never did."""
        return next((phase.t for phase in self.phases if phase.name == name), None)

    def fault_windows(self) -> tuple[FaultWindow, ...]:
        """Each injection of each fault with the last heal that ended it, in order of injection."""
        windows: list[FaultWindow] = []
        still_on: dict[str, int] = {}
        healed: dict[str, int] = {}
        for record in self.faults:
            if record.phase == "inject":
                if record.id not in still_on:
                    still_on[record.id] = len(windows)
                    windows.append(FaultWindow(record.id, record.fault, record.t, None))
            elif record.phase == "heal" and record.id in still_on:
                index = still_on.pop(record.id)
                on = windows[index]
                windows[index] = FaultWindow(on.id, on.fault, on.start_ns, record.t)
                healed[record.id] = index
            elif record.phase == "not-healed" and record.id in healed:
                # The probe after a heal found the fault still there: it goes on until another heal.
                index = still_on[record.id] = healed.pop(record.id)
                windows[index] = FaultWindow(record.id, record.fault, windows[index].start_ns, None)
        return tuple(windows)


def read(path: Path) -> History:
    """The history in that file.

    Raises:
        HistoryError: a line is unknown or malformed, or the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return from_lines(stream)
    except OSError as error:
        raise HistoryError(f"cannot read {path.name}: {error.strerror}; is it a run's history.jsonl?") from error


def from_lines(lines: Iterable[bytes | str]) -> History:
    """The history made of these lines, one JSON object each."""
    # A history is a large tree without cycles; collecting while it grows costs a third of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return from_records(_numbered(lines))
    finally:
        if collecting:
            gc.enable()


def _numbered(lines: Iterable[bytes | str]) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(lines, start=1):
        if len(line) > LINE_BYTES_MAX:
            raise HistoryError(f"the line has {len(line)} bytes, more than any record ({LINE_BYTES_MAX})", line=number)
        yield number, parse_line(line, number)


def from_records(records: Iterable[tuple[int, Record]]) -> History:
    """The history made of (line number, record) pairs.

    Raises:
        HistoryError: the time of one node runs backward, a second `run` record, two outcomes of one operation, or an
            outcome before its invocation.
    """
    run: RunRecord | None = None
    blocks: dict[str, BlockRecord] = {}
    heads: list[HeadRecord] = []
    by_node: dict[str, list[HeadRecord]] = {}
    states: dict[str, list[StateRecord]] = {}
    readings: dict[str, ReadingRecord] = {}
    invoked: dict[str, OperationRecord] = {}
    outcomes: dict[str, OperationRecord] = {}
    faults: list[FaultRecord] = []
    observations: list[ObservationRecord] = []
    phases: list[PhaseRecord] = []
    problems: list[ProblemRecord] = []
    stats: list[StatRecord] = []
    last_t: dict[str, int] = {}
    end_ns, count = 0, 0
    for line, record in records:
        count += 1
        t, node = record.t, record.node
        if t < last_t.get(node, t):
            raise HistoryError(f"time of {node} runs backward, from {last_t[node]} to {t} ns", line=line)
        last_t[node] = t
        if t > end_ns:
            end_ns = t
        if isinstance(record, HeadRecord):
            heads.append(record)
            by_node.setdefault(node, []).append(record)
        elif isinstance(record, BlockRecord):
            blocks.setdefault(record.hash, record)
        elif isinstance(record, OperationRecord):
            _pair(record, invoked, outcomes, line)
        elif isinstance(record, ObservationRecord):
            observations.append(record)
        elif isinstance(record, StateRecord):
            states.setdefault(record.hash, []).append(record)
        elif isinstance(record, FaultRecord):
            faults.append(record)
        elif isinstance(record, PhaseRecord):
            phases.append(record)
        elif isinstance(record, ProblemRecord):
            problems.append(record)
        elif isinstance(record, StatRecord):
            stats.append(record)
        elif isinstance(record, ReadingRecord):
            readings.setdefault(record.hash, record)
        else:
            if run is not None:
                raise HistoryError("a second run record; one history holds one run", line=line)
            run = record
    chain, gap = _canonical(blocks, heads)
    return History(
        run=run, blocks=blocks, chain=chain, chain_gap=gap, heads=tuple(heads),
        heads_by_node={node: tuple(items) for node, items in by_node.items()},
        states={block_hash: tuple(items) for block_hash, items in states.items()},
        readings=readings, operations=tuple(Operation(first, outcomes.get(key)) for key, first in invoked.items()),
        faults=tuple(faults), observations=tuple(observations), phases=tuple(phases), problems=tuple(problems),
        stats=tuple(stats), end_ns=end_ns, records=count,
    )


def _pair(
    record: OperationRecord, invoked: dict[str, OperationRecord], outcomes: dict[str, OperationRecord], line: int
) -> None:
    if record.phase == "invoke":
        if record.id in invoked:
            raise HistoryError(f"operation {record.id!r} invoked twice; ids are unique in a run", line=line)
        invoked[record.id] = record
        return
    if record.id not in invoked:
        raise HistoryError(f"operation {record.id!r} has the outcome {record.phase!r} but was never invoked", line=line)
    earlier = outcomes.get(record.id)
    # Indeterminate may become known later (the reply was lost, the receipt was found); known never changes.
    if earlier is not None and earlier.phase != "info":
        raise HistoryError(f"operation {record.id!r} was {earlier.phase!r} and is now {record.phase!r}", line=line)
    outcomes[record.id] = record


def _canonical(
    blocks: Mapping[str, BlockRecord], heads: Iterable[HeadRecord]
) -> tuple[tuple[BlockRecord, ...], str | None]:
    """The ancestor path of the highest committed head (the first to reach that height), and why it stops early."""
    tip: HeadRecord | None = None
    for head in heads:
        if head.label == "committed" and (tip is None or head.number > tip.number):
            tip = head
    if tip is None:
        return (), "no node ever reported a committed head"
    path: list[BlockRecord] = []
    wanted, number = tip.hash, tip.number
    while number >= 0:
        block = blocks.get(wanted)
        if block is None or block.chain != "l2":
            break
        if block.number != number:
            return tuple(reversed(path)), f"block {wanted} says number {block.number} where {number} was due"
        path.append(block)
        wanted, number = block.parent, number - 1
    path.reverse()
    if number > 0:
        return tuple(path), f"block {number} ({wanted}) is an ancestor of the committed head but was never recorded"
    return tuple(path), None
