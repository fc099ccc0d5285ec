"""Durable rows in memory, on a disk that outlives the process: a crash undoes everything since the last flush."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import orjson

from harness.ports import Json, StoreFailure


class _Table:
    __slots__ = ("keys", "rows")

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.keys: list[str] = []
        """The keys of `rows`, sorted."""


class MemDisk:
    """What is left of a role's store when its process is gone. One process at a time has it mounted."""

    def __init__(self) -> None:
        self.tables: dict[str, _Table] = {}
        self.undo: dict[tuple[str, str], bytes | None] = {}
        """The flushed value (None: no row) of every row changed since the last flush."""
        self.full = False
        """A full disk refuses every flush."""
        self._mounted: MemStore | None = None

    def copy(self) -> MemDisk:
        """A disk with what is durable on this one now; not mounted."""
        disk = MemDisk()
        for name, table in self.tables.items():
            made = disk.tables[name] = _Table()
            made.rows = dict(table.rows)
            made.keys = list(table.keys)
        for (name, key), value in self.undo.items():
            disk.write(name, key, value)
        return disk

    def mount(self) -> MemStore:
        """The store of a new process; the one before it is dead."""
        self.lose_power()
        self._mounted = MemStore(self)
        return self._mounted

    def lose_power(self) -> None:
        """Undo what was not flushed, and detach the process that wrote it."""
        if self._mounted is not None:
            self._mounted.detached = True
            self._mounted = None
        for (table, key), value in self.undo.items():
            self.write(table, key, value)
        self.undo.clear()

    def write(self, table: str, key: str, value: bytes | None) -> bytes | None:
        """Set or, with None, remove a row; returns what was there."""
        rows = self.tables.get(table)
        if rows is None:
            rows = self.tables[table] = _Table()
        before = rows.rows.get(key)
        if value is None:
            if before is not None:
                del rows.rows[key]
                del rows.keys[bisect.bisect_left(rows.keys, key)]
            return before
        rows.rows[key] = value
        if before is None:
            if not rows.keys or key > rows.keys[-1]:
                rows.keys.append(key)
            else:
                bisect.insort(rows.keys, key)
        return before


class MemStore:
    """The `Store` port over a `MemDisk`. Values are kept encoded, so that nobody shares an object with the store."""

    def __init__(self, disk: MemDisk) -> None:
        self._disk = disk
        self.detached = False
        """True once the process is dead: nothing it still tries reaches the disk."""

    def put(self, table: str, key: str, value: Json) -> None:
        self._change(table, key, orjson.dumps(value))

    def get(self, table: str, key: str) -> Json | None:
        rows = self._disk.tables.get(table)
        data = None if rows is None else rows.rows.get(key)
        return None if data is None else orjson.loads(data)

    def delete(self, table: str, key: str) -> None:
        self._change(table, key, None)

    def scan(self, table: str, *, start: str = "", end: str | None = None) -> Iterator[tuple[str, Json]]:
        rows = self._disk.tables.get(table)
        if rows is None:
            return
        first = bisect.bisect_left(rows.keys, start)
        last = len(rows.keys) if end is None else bisect.bisect_left(rows.keys, end)
        # A snapshot: the caller may write to the table while it walks.
        for key, data in [(key, rows.rows[key]) for key in rows.keys[first:last]]:
            yield key, orjson.loads(data)

    def flush(self) -> None:
        if self.detached:
            return
        if self._disk.full:
            raise StoreFailure(f"the disk is full; {len(self._disk.undo)} changed rows are not durable")
        self._disk.undo.clear()

    def _change(self, table: str, key: str, value: bytes | None) -> None:
        if self.detached:
            return
        before = self._disk.write(table, key, value)
        self._disk.undo.setdefault((table, key), before)
