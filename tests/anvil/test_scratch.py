"""Temporary folders of nodes: removed by whoever comes after a dead owner, and by nobody while the owner lives."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.anvil.scratch import PREFIX, ScratchFolder, sweep

OWNER = "from harness.anvil.scratch import ScratchFolder; f = ScratchFolder(); print(f.path, flush=True); input()"


@pytest.fixture(autouse=True)
def own_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_sweep_removes_what_a_killed_owner_left_and_not_before() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert sweep() == []
        assert folder.is_dir()
        owner.kill()
        owner.wait(10)
        assert sweep() == [folder]
    assert not folder.exists()


def test_a_sweep_spares_ones_own_and_what_only_looks_like_one(own_temp: Path) -> None:
    mine = ScratchFolder()
    being_made = own_temp / f"{PREFIX}new"
    being_made.mkdir()
    foreign = own_temp / "anvil-x"
    foreign.mkdir()
    (foreign / "lock").touch()
    (own_temp / f"{PREFIX}file").touch()
    assert sweep() == []
    assert [path.is_dir() for path in (mine.path, being_made, foreign)] == [True] * 3
    mine.remove()
    assert not mine.path.exists()


def test_a_sweep_follows_no_link_out(own_temp: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    precious = tmp_path_factory.mktemp("precious")
    (precious / "lock").touch()
    (own_temp / f"{PREFIX}link").symlink_to(precious)
    sweep()
    assert (precious / "lock").exists()


def test_removing_twice_is_harmless() -> None:
    folder = ScratchFolder()
    folder.remove()
    folder.remove()
