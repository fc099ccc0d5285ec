"""Runs a tool briefly and bounded, or asks one that stays: its output, or why there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `code` is None where it could not start or did not end in time; `problem` then says why."""

    code: int | None
    output: str
    problem: str | None = None


def run(
    command: Sequence[str | Path],
    *,
    timeout_s: float = VERSION_TIMEOUT_S,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a command in its own process group and wait for it, at most `timeout_s`; nothing of it survives the call."""
    try:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=cwd, env=env, start_new_session=True, text=True, errors="replace",
        )
    except OSError as error:
        return Outcome(code=None, output="", problem=error.strerror or str(error))
    try:
        output, _ = process.communicate(timeout=timeout_s)
        return Outcome(code=process.returncode, output=output)
    except subprocess.TimeoutExpired:
        return Outcome(code=None, output="", problem=f"no answer within {timeout_s:g} s")
    finally:
        _end_group(process)


def ask_line(process: subprocess.Popen[bytes], line: bytes, *, timeout_s: float) -> bytes | None:
    """One line to a process that answers each with one; None where it ended first, or was ended for taking too long."""
    assert process.stdin is not None
    assert process.stdout is not None
    watchdog = threading.Timer(timeout_s, process.kill)
    watchdog.start()
    try:
        process.stdin.write(line)
        process.stdin.flush()
        answer = process.stdout.readline()
    except OSError:
        return None
    finally:
        watchdog.cancel()
    return answer if answer.endswith(b"\n") else None


def _end_group(process: subprocess.Popen[str]) -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
