"""The writing side of a history: records gain their time and author, and a running hash that names the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import IO, Any

import orjson


class HistoryWriter:
    """Streams records to a file in the order they come, hashing each line; `sha256` names the history so far.

    One writer per file. Nothing is kept in memory, so a long run costs disk and not RAM.
    """

    def __init__(self, stream: IO[bytes], *, now_ns: Callable[[], int]) -> None:
        self._stream = stream
        self._now_ns = now_ns
        self._digest = hashlib.sha256()
        self.records = 0

    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        """Append one record. Raises OSError when the disk refuses it (the run then ends with exit code 4)."""
        line = orjson.dumps({"t": self._now_ns(), "node": node, "kind": kind, **fields}) + b"\n"
        self._stream.write(line)
        self._digest.update(line)
        self.records += 1

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def recorder(self, node: str) -> NodeRecorder:
        return NodeRecorder(self, node)


class NodeRecorder:
    """The `Recorder` port of one role over a shared writer."""

    def __init__(self, writer: HistoryWriter, node: str) -> None:
        self._writer = writer
        self._node = node

    def record(self, kind: str, **fields: Any) -> None:
        self._writer.write(self._node, kind, fields)
