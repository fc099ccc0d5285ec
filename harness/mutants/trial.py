"""The trial of the mutants: each runs in a process of its own, and the checks have to notice."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from harness.mutants.catalogue import Mutant
from harness.runtimes.failure import RuntimeFailure

RUN_TIMEOUT_S = 600.0
STDERR_SHOWN = 400
_VIOLATED = 1
_JUDGED = (0, 1, 3)


class TrialFailed(RuntimeFailure):
    """A mutant could not be run at all; nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What became of a mutant."""

    mutant: Mutant
    violated: tuple[str, ...]       # checks, those the catalogue names first
    seconds: float | None           # of the run, until the first evidence; None where nothing noticed
    wall_s: float

    @property
    def is_caught(self) -> bool:
        """Whether the property that the catalogue names noticed, not merely any."""
        return any(check in self.mutant.trips for check in self.violated)

    @property
    def is_as_foretold(self) -> bool:
        """Caught by what must; or free, as the catalogue says of an equivalent or an escape."""
        return self.is_caught if self.mutant.fate == "caught" else not self.violated

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.mutant.id, "breaks": self.mutant.breaks, "fate": self.mutant.fate, "trips": self.mutant.trips,
            "scenario": self.mutant.scenario, "violated": self.violated, "caught": self.is_caught,
            "as_foretold": self.is_as_foretold, "seconds": self.seconds, "wall_s": round(self.wall_s, 1),
        }  # fmt: skip


def try_all(mutants: Sequence[Mutant], *, jobs: int) -> Iterator[Sentence]:
    """Each mutant's sentence, as they come. What runs when the caller stops is ended. Raises TrialFailed."""
    running = _Running()
    with ThreadPoolExecutor(jobs, thread_name_prefix="mutant") as pool:
        futures = [pool.submit(_try, mutant, running) for mutant in mutants]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
            running.end()


class _Running:
    """The processes of a trial, so that an interrupted one leaves none."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._has_ended = False

    def run(self, command: Sequence[str]) -> tuple[int, bytes, bytes]:
        with self._lock:
            if self._has_ended:
                raise TrialFailed("the trial was called off")
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            self._processes.add(process)
        try:
            out, err = process.communicate(timeout=RUN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.communicate()
            raise TrialFailed(f"{' '.join(command)} did not end within {RUN_TIMEOUT_S:g} s") from None
        finally:
            with self._lock:
                self._processes.discard(process)
        return process.returncode, out, err

    def end(self) -> None:
        with self._lock:
            self._has_ended = True
            for process in self._processes:
                process.terminate()   # the run ends what it started, and then itself


def _try(mutant: Mutant, running: _Running) -> Sentence:
    with tempfile.TemporaryDirectory(prefix="harness-mutant-") as out:
        run = ("run", mutant.scenario, "--mutant", mutant.id, "--json", "--out", out)
        command = [sys.executable, "-m", "harness.cli", *run]
        code, stdout, stderr = running.run(command)
        if code not in _JUDGED:
            said = stderr.decode(errors="replace").strip()[-STDERR_SHOWN:]
            raise TrialFailed(f"{mutant.id} in {mutant.scenario} ended with exit code {code}: {said}")
        result = orjson.loads(stdout)
        return _sentence(mutant, result)


def _sentence(mutant: Mutant, result: Mapping[str, Any]) -> Sentence:
    violated = [check for check in result["checks"] if check["verdict"] == "violated"]
    named = [check["id"] for check in violated if check["id"] in mutant.trips]
    others = [check["id"] for check in violated if check["id"] not in mutant.trips]
    blocks = [
        case["block"] for check in violated for case in check["evidence"]
        if isinstance(case, dict) and isinstance(case.get("block"), int)
    ]  # fmt: skip
    seconds = _second_of(Path(result["folder"]) / "history.jsonl", min(blocks)) if blocks else None
    return Sentence(mutant, (*named, *others), seconds, float(result["stats"]["wall_s"]))


def _second_of(history: Path, number: int) -> float | None:
    """When an L2 block was first seen, in seconds of the run."""
    with history.open("rb") as lines:
        for line in lines:
            if b'"block"' not in line:
                continue
            record = orjson.loads(line)
            if record.get("kind") == "block" and record.get("chain") == "l2" and record.get("number") == number:
                return round(int(record["t"]) / 1e9, 1)
    return None


def default_jobs() -> int:
    """As many runs at once as there are cores."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


