"""What a run came to, as a number; by itself, for every command needs it and few need what it is worked out from."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    HOLDS = 0
    VIOLATED = 1
    USAGE = 2
    UNKNOWN = 3
    FAILED = 4
    INTERRUPTED = 130
    TERMINATED = 143


def is_idle(check: Mapping[str, Any]) -> bool:
    """Of an entry of result.json's `checks`: it waited for an occasion that never came, and nobody demanded it."""
    return check["verdict"] == "unknown" and not check.get("demanded", True) and not check.get("crashed", False)
