"""What a network under test has committed so far, seen record by record: blocks, their events, heads and the leader."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from harness.history.parse import parse_line
from harness.history.records import BlockRecord
from harness.ports import Json


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event of a committed transaction. Integers are exact."""

    name: str
    contract: str
    args: dict[str, Any]
    block: int
    timestamp: int
    transaction: str | None   # None for the system transaction


@dataclass(slots=True)
class Committed:
    """Fed every record of a run as it is written."""

    leader: str | None = None
    l1_block: int = 0
    number: int = 0
    tip: str | None = None
    _raw: dict[str, dict[str, Json]] = field(default_factory=dict)
    _read: dict[str, BlockRecord] = field(default_factory=dict)

    def watch(self, node: str, kind: str, fields: dict[str, Json]) -> None:
        if kind == "block":
            if fields["chain"] == "l2":
                self._raw.setdefault(str(fields["hash"]), fields)
            else:
                self.l1_block = max(self.l1_block, int(fields["number"]))
        elif kind == "head":
            if fields["label"] == "committed" and fields["number"] > self.number:
                self.number, self.tip = int(fields["number"]), str(fields["hash"])
        elif kind == "notice" and fields.get("leader"):
            self.leader = str(fields["leader"])

    def copy(self) -> Committed:
        """As it is now; the blocks themselves are shared."""
        made = copy.copy(self)
        made._raw = dict(self._raw)
        return made

    def blocks(self, *, above: int = 0) -> list[BlockRecord]:
        """Committed blocks above a height, oldest first, as far as anybody has recorded them."""
        found: list[BlockRecord] = []
        at = self.tip
        while at is not None and (fields := self._raw.get(at)) is not None and fields["number"] > above:
            if at not in self._read:
                line = orjson.dumps({"t": 0, "node": "", "kind": "block", **fields})
                record = parse_line(line, 1)
                assert isinstance(record, BlockRecord), "a block record reads back as one"
                self._read[at] = record
            found.append(self._read[at])
            at = str(fields["parent"])
        return found[::-1]

    def events(self, name: str | None = None, *, above: int = 0) -> Iterator[SeenEvent]:
        """Events of committed blocks: all, those called `Name`, or those of `contract.Name`."""
        contract, _, wanted = (name or "").rpartition(".")
        for block in self.blocks(above=above):
            for event in (*block.events, *block.project_events):
                if (not wanted or event.name == wanted) and (not contract or event.contract == contract):
                    transaction = block.transactions[event.tx].hash if event.tx >= 0 else None
                    yield SeenEvent(
                        event.name, event.contract, dict(event.args), block.number, block.timestamp, transaction
                    )
