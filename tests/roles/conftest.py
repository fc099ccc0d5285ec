"""The little network these tests share (`world`), and the Anvils it runs on, booted once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import LastingEngines, Run, StageSet, run_world, set_the_stage  # found by the line above


@pytest.fixture(scope="session")
def stage_set(tmp_path_factory: pytest.TempPathFactory) -> StageSet:
    """One plan with every kind of role, and the genesis files all tests start from."""
    return set_the_stage(tmp_path_factory.mktemp("roles") / "plan.yaml")


@pytest.fixture(scope="session")
def engines(stage_set: StageSet) -> Iterator[LastingEngines]:
    """Two Anvils for all the tests: a block that one test executed, the next is given again."""
    lasting = LastingEngines(stage_set)
    yield lasting
    lasting.end()


@pytest.fixture
def run(stage_set: StageSet, engines: LastingEngines) -> Run:
    """`run(story, *roles, …)` boots the roles, tells the story, `await`ing the world, and ends them."""

    def run_it(story, *roles, **options):  # type: ignore[no-untyped-def]  # typed by `Run`
        return run_world(stage_set, engines, story, roles, **options)

    return run_it
