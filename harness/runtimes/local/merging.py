"""Makes one history of the files that the roles and the runner wrote, in order of time."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import orjson

from harness.history.recorder import HistoryWriter


class OwnHistory:
    """What the runner itself records, in a file like those of the roles; the file is made with the first record."""

    def __init__(self, path: Path, *, now_ns: Callable[[], int]) -> None:
        self._path = path
        self._now_ns = now_ns
        self._stream: IO[bytes] | None = None
        self._writer: HistoryWriter | None = None

    def write(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("ab", buffering=0)
            self._writer = HistoryWriter(self._stream, now_ns=self._now_ns)
        self._writer.write(node, kind, fields)

    def close(self) -> None:
        """Idempotent; a later record opens the file again."""
        if self._stream is not None:
            self._stream.close()
        self._writer = self._stream = None


def merge_and_remove(parts: Sequence[Path], into: Path) -> str:
    """`merge_histories`, and remove the parts, all of which is in the whole now."""
    digest = merge_histories(parts, into)
    for part in parts:
        part.unlink(missing_ok=True)
    return digest


def merge_histories(parts: Iterable[Path], into: Path) -> str:
    """Write the records of all parts, each already in order of `t`, to one file in order of `t`; returns its SHA-256.

    At equal times the earlier part in `parts` comes first. A last line without an end was being written when its
    process was killed, and is left out.
    """
    digest = hashlib.sha256()
    try:
        with into.open("wb") as stream:
            streams = [_timed(part, order) for order, part in enumerate(parts) if part.exists()]
            for _, _, _, line in heapq.merge(*streams):
                stream.write(line)
                digest.update(line)
    except OSError:
        into.unlink(missing_ok=True)  # the parts have it all
        raise
    return digest.hexdigest()


def cut_back(part: Path, to_ns: int) -> None:
    """Take back what one writer recorded after a moment, as when a network is brought back to it; it may go on then."""
    kept = 0
    with part.open("rb+") as stream:
        for line in stream:
            if not line.endswith(b"\n") or orjson.loads(line)["t"] > to_ns:
                break
            kept += len(line)
        stream.truncate(kept)


def _timed(part: Path, order: int) -> Iterator[tuple[int, int, int, bytes]]:
    with part.open("rb") as stream:
        for number, line in enumerate(stream):
            if line.endswith(b"\n"):
                yield orjson.loads(line)["t"], order, number, line
