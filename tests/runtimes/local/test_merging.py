"""Histories of a network that is brought back to a moment: nothing of what came after it stays."""

from __future__ import annotations

from pathlib import Path

from harness.runtimes.local.merging import cut_back


def test_what_was_recorded_after_the_moment_is_taken_back(tmp_path: Path) -> None:
    """A line that was being written when its process was killed goes too, whatever its time."""
    part = tmp_path / "role.history.jsonl"
    part.write_bytes(b'{"t":1}\n{"t":5}\n{"t":5,"x":1}\n{"t":6}\n{"t":7')
    cut_back(part, 5)
    assert part.read_bytes() == b'{"t":1}\n{"t":5}\n{"t":5,"x":1}\n'
    part.write_bytes(b'{"t":1}\n{"t":2')
    cut_back(part, 5)
    assert part.read_bytes() == b'{"t":1}\n'
