"""A name is one owner's at a time, and a dead owner's leftovers are the next one's to remove."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson
import pytest

from harness.cli.main import main
from harness.network import claim as module
from harness.network.claim import NOTE, Claim, find, find_all, process_mark, remove_dead
from harness.network.places import STATE, state_home
from harness.network.values import NetworkFailure, NetworkMisuse


def test_a_name_is_taken_until_it_is_released(state: Path) -> None:
    claim = Claim.take("one")
    with pytest.raises(NetworkMisuse, match=f"one is up already .process {os.getpid()}"):
        Claim.take("one")
    other = Claim.take("two")
    assert [(found.name, found.is_live) for found in find_all()] == [("one", True), ("two", True)]
    claim.release()
    claim.release()
    assert find("one") is None
    again = Claim.take("one")
    again.release()
    other.release()
    assert find_all() == []
    assert list((state / "networks").iterdir()) == []


def test_what_a_dead_owner_left_is_removed_and_nothing_else(state: Path, tmp_path: Path) -> None:
    """Only folders that look like ours: the note is a file, and files can be damaged."""
    ours = Path(tempfile.mkdtemp(prefix="harness-"))
    theirs = tmp_path / "precious"
    theirs.mkdir()
    claim = Claim.take("one")
    claim.write(temporary=[str(ours), str(theirs), str(tmp_path)])
    (claim.folder / "nodes").mkdir()
    os.close(claim._lock)   # as the kernel does when the owner is killed
    found = find("one")
    assert found is not None
    assert not found.is_live
    assert remove_dead("one")
    assert not ours.exists()
    assert theirs.is_dir()
    assert find("one") is None
    assert not remove_dead("one")


def test_a_process_id_used_again_is_not_mistaken_for_the_owners(state: Path) -> None:
    """A bystander has the id that the note speaks of, and lives on."""
    bystander = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        claim = Claim.take("one")
        claim.write(processes=[{**process_mark(bystander.pid), "started": 1}])
        os.close(claim._lock)
        Claim.take("one").release()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.communicate()


def test_a_process_of_a_dead_owner_that_does_not_end_is_ended(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GONE_TIMEOUT_S", 0.2)
    left = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        claim = Claim.take("one")
        claim.write(processes=[process_mark(left.pid)])
        os.close(claim._lock)
        Claim.take("one").release()
        assert left.wait(10) == -9
    finally:
        left.kill()
        left.communicate()


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"processes": 3}', b'{"temporary": "/"}', b"\xff"])
def test_a_damaged_note_hinders_nobody(state: Path, note: bytes) -> None:
    claim = Claim.take("one")
    (claim.folder / NOTE).write_bytes(note)
    os.close(claim._lock)
    assert [found.is_live for found in find_all()] == [False]
    again = Claim.take("one")
    assert orjson.loads((again.folder / NOTE).read_bytes())["pid"] == os.getpid()
    again.release()


@pytest.mark.parametrize("name", ["", "Big", "../up", "a b", "-x", "x" * 33, "ö", "a/b"])
def test_what_is_no_name_is_refused(state: Path, name: str) -> None:
    with pytest.raises(NetworkMisuse, match="cannot name a network"):
        Claim.take(name)
    assert not state.exists()


def test_where_no_folder_can_be_made_there_is_no_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(STATE, "/proc/nowhere")
    with pytest.raises(NetworkFailure, match="set HARNESS_STATE"):
        Claim.take("one")
    assert main(["status"]) == 0
    assert "no network is up" in capsys.readouterr().out


def test_the_state_folder_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(STATE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_home() == tmp_path / "harness"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_home() == Path.home() / ".local" / "state" / "harness"
