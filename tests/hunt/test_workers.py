"""A set of runs in worker processes: every answer comes once, what fails is named, and no process is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.hunt.workers import JobFailed, run_jobs


def children() -> set[str]:
    """Processes of ours that are still there."""
    mine = str(os.getpid())
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[1] == mine and fields[0] != "Z":
            found.add(stat.parent.name)
    return found


@pytest.fixture(autouse=True)
def _leaves_no_process() -> object:
    before = children()
    yield
    assert children() <= before


def test_a_job_that_cannot_be_done_ends_the_set_and_is_named() -> None:
    """Nothing is known of it, and a table without it would look complete."""
    jobs = [{"job": "seed", "name": "no-such-storm", "seed": n, "set": [], "out": "/nowhere"} for n in range(3)]
    with pytest.raises(JobFailed, match=r"seed no-such-storm .* could not be run: ScenarioError"):
        list(run_jobs(jobs, at_once=2))


def test_a_set_of_nothing_starts_nothing() -> None:
    assert list(run_jobs([], at_once=2)) == []


def test_who_stops_listening_ends_the_workers() -> None:
    """Ctrl-C arrives as the end of the loop over the answers."""
    jobs = [{"job": "mutant", "name": "X1", "mutant": "{}"}]
    with pytest.raises(JobFailed, match="mutant X1 could not be run: ValidationError"):
        next(run_jobs(jobs, at_once=1))
