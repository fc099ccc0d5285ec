"""The processes of a set of runs: each does one after the other, and none outlives the set."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import orjson

from harness.runtimes.failure import RuntimeFailure
from harness.toolchain.commands import ask_line

JOB_TIMEOUT_S = 600.0
END_TIMEOUT_S = 30.0
STDERR_SHOWN = 400


class JobFailed(RuntimeFailure):
    """A run could not be made at all; nothing is known of it."""


def run_jobs(jobs: Sequence[Mapping[str, Any]], *, at_once: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Index and answer of each job (see `harness.hunt.jobs`), as they come. Blocks.

    What runs when the caller stops is ended, and the first job that cannot be done ends all. Raises JobFailed.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(jobs)):
        waiting.put(index)
    answered: queue.SimpleQueue[tuple[int, dict[str, Any]] | BaseException] = queue.SimpleQueue()
    crew = _Crew()
    with ThreadPoolExecutor(min(at_once, len(jobs)) or 1, thread_name_prefix="worker") as pool:
        try:
            for _ in range(min(at_once, len(jobs))):
                pool.submit(_serve, jobs, waiting, answered, crew)
            for _ in jobs:
                item = answered.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            crew.end()


class _Crew:
    """The worker processes there are, so that whoever ends the set ends them all."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self.has_ended = False

    def start(self, stderr: Any) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.has_ended:
                raise JobFailed("the set of runs was called off")
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.hunt.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
            )  # fmt: skip
            self._processes.add(process)
            return process

    def dismiss(self, process: subprocess.Popen[bytes]) -> None:
        """Ends one: asked first, for a run ends what it started."""
        process.terminate()
        try:
            process.communicate(timeout=END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        with self._lock:
            self._processes.discard(process)

    def end(self) -> None:
        with self._lock:
            self.has_ended = True
            for process in self._processes:
                process.terminate()


def _serve(
    jobs: Sequence[Mapping[str, Any]],
    waiting: queue.SimpleQueue[int],
    answered: queue.SimpleQueue[tuple[int, dict[str, Any]] | BaseException],
    crew: _Crew,
) -> None:
    """One worker's life, in a thread of ours."""
    try:
        with tempfile.TemporaryFile() as stderr:
            process = crew.start(stderr)
            try:
                while not crew.has_ended:
                    try:
                        index = waiting.get_nowait()
                    except queue.Empty:
                        return
                    answered.put((index, _ask(process, jobs[index], stderr)))
            finally:
                crew.dismiss(process)
    except BaseException as error:  # for whoever waits for answers
        answered.put(error)


def _ask(process: subprocess.Popen[bytes], job: Mapping[str, Any], stderr: Any) -> dict[str, Any]:
    name = " ".join(str(value) for key, value in job.items() if key in ("job", "name", "seed"))
    line = ask_line(process, orjson.dumps(job) + b"\n", timeout_s=JOB_TIMEOUT_S)
    if line is None:
        stderr.seek(0)
        said = stderr.read().decode(errors="replace").strip()[-STDERR_SHOWN:]
        raise JobFailed(f"{name} ended without an answer (limit {JOB_TIMEOUT_S:g} s): {said or 'it said nothing'}")
    answer: dict[str, Any] = orjson.loads(line)
    if "failed" in answer:
        raise JobFailed(f"{name} could not be run: {answer['failed']}")
    done: dict[str, Any] = answer["done"]
    return done


def default_at_once() -> int:
    """As many runs at once as there are cores."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
