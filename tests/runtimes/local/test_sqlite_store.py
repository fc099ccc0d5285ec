"""What was flushed survives everything, and a full disk says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness.ports import StoreFailure
from harness.runtimes.local.sqlite_store import SCAN_ROWS_MAX, SqliteStore


def test_a_full_disk_is_a_store_failure_that_keeps_the_rows_for_another_try(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s", capacity_bytes=64 << 10)
    store.put("t", "small", 1)
    store.flush()
    store.put("t", "large", "x" * (1 << 20))
    with pytest.raises(StoreFailure, match="full"):
        store.flush()
    assert store.get("t", "small") == 1
    assert [key for key, _ in store.scan("t")] == ["large", "small"]
    store.limit(None)
    store.flush()
    store.close()
    again = SqliteStore(tmp_path / "s")
    assert [key for key, _ in again.scan("t")] == ["large", "small"]
    again.close()


def test_sigkill_loses_exactly_what_was_not_flushed(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        store = SqliteStore(tmp_path / "s")
        store.put("t", "flushed", 1)
        store.flush()
        store.put("t", "unflushed", 1)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    store = SqliteStore(tmp_path / "s")
    assert [key for key, _ in store.scan("t")] == ["flushed"]
    store.close()


def test_a_scan_longer_than_one_page_mixes_flushed_and_fresh_rows_in_key_order(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s")
    count = 2 * SCAN_ROWS_MAX + 2
    for number in range(0, count, 2):
        store.put("t", f"{number:06d}", number)
    store.flush()
    for number in range(1, count, 2):
        store.put("t", f"{number:06d}", number)
    assert [value for _, value in store.scan("t")] == list(range(count))
    store.close()


def test_a_damaged_file_is_a_store_failure_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"this is no database " * 500)
    with pytest.raises(StoreFailure, match="can not be opened"):
        SqliteStore(tmp_path / "s")
