"""A lock of the machine is waited for, told of once, given up on in words, and free when its holder is gone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.toolchain.errors import ToolError
from harness.toolchain.machine_lock import machine_lock

HOLDER = """
import sys
from pathlib import Path
from harness.toolchain.machine_lock import machine_lock
with machine_lock(Path(sys.argv[1]), who="test", timeout_s=5, narrate=print):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_waits_too_long_is_told_where_and_what_to_do(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "made" / "on demand.lock"
    problem = re.escape(f"another builder holds the lock: {path} for 1 s; end it, or set")
    with (
        machine_lock(path, who="builder", timeout_s=1, narrate=told.append),
        pytest.raises(ToolError, match=problem),
        machine_lock(path, who="builder", timeout_s=1, narrate=told.append),
    ):
        raise AssertionError("two hold it")
    assert told == ["waiting up to 1 s for another builder"]
    with machine_lock(path, who="builder", timeout_s=0, narrate=told.append):
        assert len(told) == 1, "nobody waits for a free one"


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        with machine_lock(path, who="test", timeout_s=30, narrate=lambda line: None):
            pass
    finally:
        holder.kill()
        holder.communicate(timeout=30)
