"""A harness command as a user runs it: a process with its own temp folder, watched, signalled, and counted after."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0
POLL_S = 0.01
GONE_WITHIN_S = 5.0
"""What dies with a killed harness is gone after so long."""


class ProcessEnded(AssertionError):
    """The command ended before what was waited for."""


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Child:
    """A running command. Its temp folder is its own, and names every process of the run: by environment or argument."""

    process: subprocess.Popen[str]
    temp: Path
    _err: list[str] = field(default_factory=list)
    _out: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _readers: list[threading.Thread] = field(default_factory=list)

    def read_along(self) -> None:
        """Collect both streams while it runs."""
        for stream, into in ((self.process.stdout, self._out), (self.process.stderr, self._err)):
            if stream is not None:
                reader = threading.Thread(target=self._collect, args=(stream, into), daemon=True)
                reader.start()
                self._readers.append(reader)

    def _collect(self, stream: IO[str], into: list[str]) -> None:
        with stream:
            for line in stream:
                with self._news:
                    into.append(line)
                    self._news.notify_all()

    def wait_for_line(self, words: str) -> None:
        """Return once it has said a line with these words on stderr; fails if it ends first or at the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        with self._news:
            while not any(words in line for line in self._err):
                left = deadline - time.monotonic()
                assert left > 0, f"no line with {words!r} within {DEADLINE_S:g} s; it said {''.join(self._err)!r}"
                assert self.process.poll() is None, f"it ended before a line with {words!r}: {''.join(self._err)!r}"
                self._news.wait(min(left, 0.2))

    def wait_until(self, holds: Callable[[], object], what: str) -> None:
        """Return once something is so; fails at the deadline, and with `ProcessEnded` if the command ends first."""
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
            if self.process.poll() is not None:
                raise ProcessEnded(f"it ended before {what}: {''.join(self._err)!r}")
            threading.Event().wait(POLL_S)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ending(self) -> Ending:
        """Wait for its end."""
        self.process.wait(DEADLINE_S)
        self.close()
        return Ending(self.process.returncode, "".join(self._out), "".join(self._err))

    def close(self) -> None:
        """Read the streams to their end, which comes when the last process that has them is gone."""
        for reader in self._readers:
            reader.join(GONE_WITHIN_S)

    def others(self) -> dict[int, str]:
        """Processes of this run besides the command itself: pid → command line."""
        found = processes_of(self.temp)
        found.pop(self.process.pid, None)
        return found

    def anvils(self) -> dict[int, str]:
        return {pid: line for pid, line in self.others().items() if "--no-mining" in line}

    def left(self) -> list[str]:
        """What stayed in its temp folder."""
        return sorted(path.relative_to(self.temp).as_posix() for path in self.temp.rglob("*"))

    def assert_no_process_left(self) -> None:
        """All that the run started has ended, or does so now."""
        deadline = time.monotonic() + GONE_WITHIN_S
        while (alive := self.others()) and time.monotonic() < deadline:
            threading.Event().wait(POLL_S)
        assert alive == {}

    def assert_nothing_left(self) -> None:
        """No process of the run lives, and its temp folder is empty."""
        self.assert_no_process_left()
        assert self.left() == []


def processes_of(temp: Path) -> dict[int, str]:
    """Live processes that carry a run's temp folder in their environment or arguments."""
    marker = os.fsencode(temp)
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or another user's
        if line and (marker in line or marker in environment):
            found[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


@contextlib.contextmanager
def harness(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    stdout: int = subprocess.PIPE,
    temp: Path | None = None,
) -> Iterator[Child]:
    """Start `harness <arguments>`, and be certain at the end that nothing of it is left, whatever the test found.

    Args:
        env: on top of this process's environment.
        before: a command that starts it, such as `unshare -m`.
        temp: the temp folder of another command, which cleans up for both; None makes one.
    """
    folder = temp or Path(tempfile.mkdtemp(prefix="ugly-"))
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "harness.cli", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        restore_signals=True,
        start_new_session=True,
    )
    child = Child(process, folder)
    child.read_along()
    try:
        yield child
    finally:
        for pid in processes_of(folder) if temp is None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        child.close()
        if temp is None:
            shutil.rmtree(folder, ignore_errors=True)
