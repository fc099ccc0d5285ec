"""Networks of tests live in a state folder of their own, on ports the system chooses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.network.places import STATE


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder all networks of one test live in."""
    folder = tmp_path / "state"
    monkeypatch.setenv(STATE, str(folder))
    return folder


@pytest.fixture(scope="module")
def module_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("networks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE, str(folder))
        yield folder
