"""A small valid scenario to damage in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

MINIMAL = """\
version: 1
name: tiny
seed: 3
market:
  ETH: {knots: {0s: 200, 20s: 150}}
products:
  - {id: ETH-F1, kind: future, underlying: ETH, expires: 20s}
workload: {traders: 3, rate: 2/s, leverage: [2, 8]}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write text as a scenario file and return its path."""

    def to_file(text: str) -> Path:
        path = tmp_path / "storm.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


@pytest.fixture
def minimal() -> str:
    return MINIMAL
