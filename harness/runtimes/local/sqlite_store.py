"""The `Store` port on SQLite: puts wait in memory until `flush` commits them all in one durable transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from harness.ports import Json, StoreFailure

PAGE_BYTES = 4096
SCAN_ROWS_MAX = 256  # rows read at a time, so that a scan may be interleaved with puts
_DELETED = b""       # no JSON value encodes to nothing


class SqliteStore:
    """One role's durable rows. SIGKILL loses exactly what was put since the last `flush`.

    A failed flush keeps its rows in memory, so the caller may flush again once there is room.
    """

    def __init__(self, path: Path, *, capacity_bytes: int | None = None) -> None:
        """Open or create the database. `capacity_bytes` makes the disk full at that size.

        Raises `StoreFailure` if the file is not a database or can not be opened.
        """
        self._path = path
        self._unflushed: dict[str, dict[str, bytes]] = {}
        self._is_synced = False   # the file itself and its name, which SQLite leaves to us
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            # An empty database is nothing to be kept: it is synced with the first rows, and a boot waits for no disk.
            self._database.execute("PRAGMA synchronous=OFF")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS rows (tab TEXT, key TEXT, value BLOB, PRIMARY KEY (tab, key)) WITHOUT ROWID"
            )
            self._database.execute("PRAGMA synchronous=FULL")  # from now on the WAL is synced at every commit
            self.limit(capacity_bytes)
        except sqlite3.Error as error:
            raise StoreFailure(f"store {path} can not be opened: {error}; remove it to start empty") from error

    def limit(self, capacity_bytes: int | None) -> None:
        """Make the disk full at this many bytes; None lifts the limit."""
        pages = capacity_bytes // PAGE_BYTES if capacity_bytes is not None else 2**31 - 2
        self._database.execute(f"PRAGMA max_page_count={max(1, pages)}")

    def put(self, table: str, key: str, value: Json) -> None:
        self._unflushed.setdefault(table, {})[key] = orjson.dumps(value)

    def delete(self, table: str, key: str) -> None:
        self._unflushed.setdefault(table, {})[key] = _DELETED

    def get(self, table: str, key: str) -> Json | None:
        raw = self._unflushed.get(table, {}).get(key)
        if raw is None:
            rows = self._query("SELECT value FROM rows WHERE tab=?1 AND key=?2", (table, key))
            raw = rows[0][0] if rows else _DELETED
        return orjson.loads(raw) if raw != _DELETED else None

    def scan(self, table: str, *, start: str = "", end: str | None = None) -> Iterator[tuple[str, Json]]:
        """Rows in key order, as they were when the scan began for what is unflushed."""
        unflushed = self._unflushed.get(table, {})
        fresh = {key: raw for key, raw in unflushed.items() if key >= start and (end is None or key < end)}
        waiting = sorted(fresh)
        at = 0
        for key, raw in self._flushed(table, start, end):
            while at < len(waiting) and waiting[at] < key:
                if fresh[waiting[at]] != _DELETED:
                    yield waiting[at], orjson.loads(fresh[waiting[at]])
                at += 1
            if key not in fresh:
                yield key, orjson.loads(raw)
        for key in waiting[at:]:
            if fresh[key] != _DELETED:
                yield key, orjson.loads(fresh[key])

    def _flushed(self, table: str, start: str, end: str | None) -> Iterator[tuple[str, bytes]]:
        after, comparison = start, ">="
        while True:
            rows = self._query(
                f"SELECT key, value FROM rows WHERE tab=?1 AND key{comparison}?2 AND (?3 IS NULL OR key<?3) "
                "ORDER BY key LIMIT ?4",
                (table, after, end, SCAN_ROWS_MAX),
            )
            yield from rows
            if len(rows) < SCAN_ROWS_MAX:
                return
            after, comparison = rows[-1][0], ">"

    def _query(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreFailure(f"store {self._path} can not be read: {error}; remove it to start empty") from error

    def flush(self) -> None:
        changes = [(table, key, raw) for table, rows in self._unflushed.items() for key, raw in rows.items()]
        if not changes:
            return
        puts = [(table, key, raw) for table, key, raw in changes if raw != _DELETED]
        deletes = [(table, key) for table, key, raw in changes if raw == _DELETED]
        try:
            self._sync_file()
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO rows VALUES (?,?,?)", puts)
            self._database.executemany("DELETE FROM rows WHERE tab=? AND key=?", deletes)
            self._database.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StoreFailure(
                f"store {self._path}: {len(changes)} rows could not be made durable: {error}; "
                "what was flushed before is intact"
            ) from error
        self._unflushed.clear()

    def _sync_file(self) -> None:
        if self._is_synced:
            return
        for path in (self._path, self._path.parent):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._is_synced = True

    def close(self) -> None:
        """Close the file; what was not flushed is lost, as in a crash."""
        self._unflushed.clear()
        self._database.close()
