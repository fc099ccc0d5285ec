"""Makes one history of the files that the roles and the runner wrote, in order of time."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson


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


def _timed(part: Path, order: int) -> Iterator[tuple[int, int, int, bytes]]:
    with part.open("rb") as stream:
        for number, line in enumerate(stream):
            if line.endswith(b"\n"):
                yield orjson.loads(line)["t"], order, number, line
