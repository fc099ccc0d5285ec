"""Whatever way a run ends, nothing of it is left: no process, no port, no socket, no temporary folder."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

PROGRAM = Path(__file__).parent / "run_until_told.py"
REPOSITORY = Path(__file__).parents[3]
BOOT_S = 30.0
END_S = 15.0

pytestmark = pytest.mark.local


@dataclass(frozen=True)
class Run:
    process: subprocess.Popen[bytes]
    pids: list[int]
    ports: list[int]


def _start(ending: str, folder: Path) -> Run:
    """Start a network with one paused role and one role whose child left its process group; return once it is up."""
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(REPOSITORY)}
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), ending, str(folder / "nodes")],
            stdout=subprocess.PIPE, stderr=errors, env=environment, start_new_session=True,
        )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], BOOT_S)
    line = process.stdout.readline() if ready else b""
    process.stdout.close()
    if not line:
        process.kill()
        process.wait()
        pytest.fail(f"the network did not come up: {(folder / 'stderr').read_text()[-2000:]}")
    parts = orjson.loads(line)
    return Run(process, parts["pids"], parts["ports"])


def _wait_until_gone(pids: list[int]) -> list[int]:
    """The processes that are still there when the deadline is over."""
    deadline = time.monotonic() + END_S
    left = []
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        os.close(descriptor)
        if not ended:
            left.append(pid)
    return left


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _zygotes(run: Run) -> list[int]:
    """The parents of the run's processes that are not the program itself; taken while the run is up."""
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in run.pids}
    return sorted(parents - set(run.pids) - {run.process.pid})


def _assert_nothing_is_left(run: Run, folder: Path, zygotes: list[int]) -> None:
    assert _wait_until_gone([*run.pids, *zygotes]) == []
    assert [port for port in run.ports if _is_listening(port)] == []
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.parametrize(("ending", "code"), [("normal", 0), ("exception", 1)])
def test_nothing_is_left_after_an_end_of_its_own(ending: str, code: int, tmp_path: Path) -> None:
    run = _start(ending, tmp_path)
    assert run.process.wait(END_S) == code
    _assert_nothing_is_left(run, tmp_path, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_a_signal_to_the_harness(number: signal.Signals, tmp_path: Path) -> None:
    run = _start("signal", tmp_path)
    zygotes = _zygotes(run)
    assert len(zygotes) == 1
    run.process.send_signal(number)
    run.process.wait(END_S)
    _assert_nothing_is_left(run, tmp_path, zygotes)


def test_no_role_survives_the_death_of_the_zygote(tmp_path: Path) -> None:
    """The last line of defence: the kernel kills a role whose zygote is gone."""
    run = _start("signal", tmp_path)
    roles, stubborn = run.pids[:-1], run.pids[-1]
    os.kill(_zygotes(run)[0], signal.SIGKILL)
    assert _wait_until_gone(roles) == []
    os.kill(stubborn, signal.SIGKILL)  # it asked for no parent-death signal; an Anvil does
    run.process.send_signal(signal.SIGINT)
    run.process.wait(END_S)
    _assert_nothing_is_left(run, tmp_path, [])
