"""What became of one fault: whether it bit, whether it was undone, and the measurements that say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FaultOutcome:
    """`evidence` is JSON; it holds what was measured before, during and after, and the words for what went wrong."""

    id: str
    kind: str
    target: str
    bit: bool
    healed: bool
    evidence: dict[str, Any] = field(default_factory=dict)
