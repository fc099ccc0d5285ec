"""However a network ends, nothing of it is left, or the next command says what is and removes it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.network.claim import NOTE

pytestmark = [pytest.mark.node, pytest.mark.local]

ROOT = Path(__file__).parents[2]
DEADLINE_S = 90.0
SMALL = ("--set", "network.l2.sequencers=1", "--set", "network.l2.replicas=0", "--set", "network.l1.followers=0")
ROUNDS = int(os.environ.get("HARNESS_UP_DOWN_ROUNDS", "3"))
"""Fifty by hand; every round of the three found what fifty found."""


def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S,
        check=False,
    )  # fmt: skip


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def up(*arguments: str, name: str = "dev") -> dict[str, Any]:
    """Start a small network that goes on; its status."""
    done = harness("up", "--detach", "--any-port", "--name", name, *SMALL, *arguments)
    assert done.returncode == 0, done.stderr
    return status(name)


def status(name: str = "dev") -> dict[str, Any]:
    done = harness("status", "--name", name, "--json")
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def pids_of(status: dict[str, Any]) -> list[int]:
    folder = Path(status["folder"])
    marks = json.loads((folder / NOTE).read_text())["processes"]
    return [status["pid"], *(mark["pid"] for mark in marks), *(role["pid"] for role in status["roles"] if role["pid"])]


def temporary_folders() -> set[str]:
    return {entry.name for entry in Path(tempfile.gettempdir()).glob("harness-*")}


@pytest.fixture
def nothing_left(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder and a temporary folder of this test's own, both empty again at its end."""
    # Not below tmp_path: under xdist that is too deep for the path of a Unix socket.
    temporary = Path(tempfile.mkdtemp(prefix="ends-"))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    try:
        yield state
    finally:
        harness("down", "--all")
    assert [entry.name for entry in (state / "networks").iterdir()] == []
    assert list(temporary.iterdir()) == []
    temporary.rmdir()


def test_up_and_down_leave_nothing_however_often(nothing_left: Path) -> None:
    for _ in range(ROUNDS):
        pids = pids_of(up())
        done = harness("down")
        assert (done.returncode, done.stdout) == (0, "dev is down\n"), done.stderr
        assert [pid for pid in pids if is_running(pid)] == []
        assert temporary_folders() == set()


@pytest.mark.parametrize("with_zygote", [False, True], ids=["owner", "owner and zygote"])
def test_a_killed_owner_is_noticed_and_cleaned_up(nothing_left: Path, with_zygote: bool) -> None:
    """Its processes die by themselves; what they can not remove then is removed by the next command."""
    pids = pids_of(up())
    for pid in pids[: 2 if with_zygote else 1]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(is_running(pid) for pid in pids), "every process of a killed network is gone")
    said = harness("status")
    assert said.returncode == 0
    assert "dead: its owner was killed" in said.stdout
    asked = harness("endpoints", "--name", "dev")
    assert asked.returncode == 2
    assert f"network dev is dead: its owner, process {pids[0]}, was killed" in asked.stderr
    if with_zygote:   # the next one of the name begins from nothing
        assert up()["state"] == "ready"
    else:
        done = harness("down")
        assert done.returncode == 0
        assert "dev was dead" in done.stdout
        assert temporary_folders() == set()


def test_one_network_never_touches_another(nothing_left: Path) -> None:
    one, two = up(name="one"), up(name="two")
    os.kill(one["pid"], signal.SIGKILL)
    assert harness("down", "one").returncode == 0
    assert status("two")["state"] == "ready"
    assert all(is_running(pid) for pid in pids_of(two))
    listed = harness("status", "--json")
    assert [network["name"] for network in json.loads(listed.stdout).get("networks", [{"name": "two"}])] == ["two"]
    missing = harness("down", "three", "two")
    assert (missing.returncode, "three" in missing.stderr) == (2, True)
    assert status("two")["state"] == "ready"


def test_a_taken_port_is_said_before_anything_begins(nothing_left: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = harness("up", "--l1-port", str(port), "--l2-port", "0", "--fault-api-port", "0", *SMALL)
    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 is taken, and the JSON-RPC of l1-0 is to be there" in done.stderr
    assert "--l1-port" in done.stderr
    assert list((nothing_left / "networks").iterdir()) == []


@pytest.fixture
def foreground(nothing_left: Path) -> Iterator[subprocess.Popen[str]]:
    """`harness up` on a terminal of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "up", "--any-port", *SMALL], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_a_signal_ends_it(foreground: subprocess.Popen[str], number: signal.Signals) -> None:
    """And that is no failure: it is how one ends it."""
    assert foreground.stdout is not None
    shown = []
    for line in foreground.stdout:
        shown.append(line)
        if "dev is up after" in line:
            break
    assert "Ctrl-C ends it" in shown[-1]
    pids = pids_of(status())
    foreground.send_signal(number)
    foreground.send_signal(number)   # an impatient hand changes nothing
    _, err = foreground.communicate(timeout=DEADLINE_S)
    assert foreground.returncode == 0, err
    assert err.strip().splitlines()[-1] == "dev is down"
    assert "Traceback" not in err
    assert [pid for pid in pids if is_running(pid)] == []


def test_an_interrupted_boot_leaves_nothing(foreground: subprocess.Popen[str], nothing_left: Path) -> None:
    wait_until((nothing_left / "networks" / "dev" / "plan.json").exists, "the boot has begun")
    foreground.send_signal(signal.SIGINT)
    _, err = foreground.communicate(timeout=DEADLINE_S)
    assert foreground.returncode == 130
    assert err.strip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in err


def test_a_tied_network_ends_with_its_starter(nothing_left: Path) -> None:
    """However that ends: a test run that is killed leaves no network behind."""
    program = (
        "import os, sys\n"
        "from harness.network.network_file import network_plan\n"
        "from harness.network.owner import Wanted\n"
        "from harness.network.ports import ANY\n"
        "from harness.network.starting import up\n"
        "plan = network_plan(None, overrides=['network.l2.sequencers=1', 'network.l2.replicas=0'])\n"
        "network = up(Wanted(plan, name='tied', ports=ANY), tied=True)\n"
        "print(network.status().pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert starter.stdout is not None
        owner = int(starter.stdout.readline())
        assert is_running(owner)
        starter.kill()
        wait_until(lambda: not is_running(owner), "the owner ends when its starter is killed")
    finally:
        starter.kill()
        starter.communicate()


def test_a_broken_down_network_says_why_and_keeps_its_logs(nothing_left: Path) -> None:
    """Its zygote is killed: no role is left, and the owner can only say so."""
    folder = Path(up()["folder"])
    zygote = json.loads((folder / NOTE).read_text())["processes"][0]["pid"]
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: "ended" in json.loads((folder / NOTE).read_text()), "the owner has noticed")
    wait_until(lambda: "dead: zygote" in harness("status").stdout, "status says why")
    assert (folder / "nodes").is_dir()
