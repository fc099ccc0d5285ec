"""Every role's durable rows at one moment, as files: what a network is brought back from."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

# SQLite's file and its write-ahead log; the shared-memory index is rebuilt from them.
_PATTERNS = ("*.sqlite", "*.sqlite-wal")


@dataclass(frozen=True, slots=True)
class SavedStores:
    folder: Path
    clock_ns: int   # of the run's clock, when they were taken

    def take_from(self, stores: Path) -> None:
        """Copy the files of roles that stand still. Raises OSError."""
        _copy(stores, self.folder)

    def put_into(self, stores: Path) -> None:
        """Copy them to where roles that have not begun will look for theirs. Raises OSError."""
        _copy(self.folder, stores)


def is_part_of_a_store(name: str) -> bool:
    """Whether a file of that name is one that rows are brought back from."""
    return any(fnmatch(name, pattern) for pattern in _PATTERNS)


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for pattern in _PATTERNS:
        for file in sorted(source.glob(pattern)):
            shutil.copyfile(file, target / file.name)
