"""A removal is over when nothing carries the label, however busy the engine is meanwhile; or it says what is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests.exceptions
from docker.errors import APIError, NotFound

from harness.runtimes.compose import removal
from harness.runtimes.compose.removal import left_over, remove_labelled

LABEL = "harness.test=1"


class Thing:
    """Of any kind; goes after so many refusals."""

    def __init__(self, name: str, shelf: list[Thing], *, refusals: int = 0, after: Callable[[], None] = lambda: None):
        self.name, self.id = name, name
        self.attrs: dict[str, Any] = {"Labels": {"harness.test": "1"}}
        self._shelf, self._refusals, self._after = shelf, refusals, after
        shelf.append(self)

    def reload(self) -> None: ...

    def remove(self, **_: Any) -> None:
        if self._refusals:
            self._refusals -= 1
            raise APIError("409 Conflict", explanation=f"removal of {self.name} is already in progress")
        if self not in self._shelf:
            raise NotFound("404")
        self._shelf.remove(self)
        self._after()


class Shelf:
    """One kind's manager; its first listings may fail."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self.failures = 0
        self.failure: Callable[[str], OSError] = requests.exceptions.ReadTimeout

    def list(self, **_: Any) -> list[Thing]:
        if self.failures:
            self.failures -= 1
            raise self.failure("the engine is busy")
        return list(self.things)


class Engine:
    """As a client shows it, with a removal's timing corners."""

    def __init__(self, *, swarm: bool = False) -> None:
        self.containers, self.networks, self.volumes = Shelf(), Shelf(), Shelf()
        self.services, self.secrets = Shelf(), Shelf()
        self._swarm = swarm

    def info(self) -> dict[str, Any]:
        return {"Swarm": {"ControlAvailable": self._swarm}}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "LOOK_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(removal, "LOOK_AGAIN_SECONDS_MAX", 0.02)
    monkeypatch.setattr(removal, "SWARM_QUIET_SECONDS", 0.1)


def test_a_listing_that_fails_and_a_removal_that_is_refused_are_tried_again() -> None:
    """The engine was busy and nothing more; one deadline is for all of it."""
    engine: Any = Engine()
    Thing("container", engine.containers.things, refusals=3)
    Thing("network", engine.networks.things, refusals=5)
    engine.volumes.failures = 2
    removed = remove_labelled(engine, LABEL)
    assert (removed.containers, removed.networks, removed.failures) == (["container"], ["network"], [])
    assert left_over(engine, LABEL) == []


def test_what_comes_while_others_are_removed_goes_too() -> None:
    """A helper or a task that was asked for a moment ago is made although nobody listens any more."""
    engine: Any = Engine()
    things = engine.containers.things
    Thing("first", things, after=lambda: Thing("late", things) and None)
    assert remove_labelled(engine, LABEL).containers == ["first", "late"]
    assert left_over(engine, LABEL) == []


def test_a_task_that_a_swarm_starts_after_its_service_has_gone_goes_too() -> None:
    """All is gone for a moment, and then its agent starts what it was told to before."""
    engine: Any = Engine(swarm=True)
    Thing("service", engine.services.things)
    listings = 0
    plain = engine.containers.list

    def list_late(**words: Any) -> list[Thing]:
        nonlocal listings
        listings += 1
        if listings == 3:
            Thing("task", engine.containers.things)
        return list(plain(**words))

    engine.containers.list = list_late
    removed = remove_labelled(engine, LABEL)
    assert (removed.services, removed.containers, removed.failures) == (["service"], ["task"], [])


def test_what_stays_is_told_with_the_reason() -> None:
    engine: Any = Engine()
    Thing("stubborn", engine.containers.things, refusals=10**6)
    Thing("volume", engine.volumes.things)
    removed = remove_labelled(engine, LABEL, seconds_max=0.1)
    assert removed.volumes == ["volume"]
    assert len(removed.failures) == 1
    assert "stubborn is still there" in removed.failures[0]
    assert "already in progress" in removed.failures[0]


def test_an_engine_that_never_answers_is_an_error() -> None:
    engine: Any = Engine()
    engine.containers.failures = 10**6
    with pytest.raises(requests.exceptions.ReadTimeout):
        remove_labelled(engine, LABEL, seconds_max=0.1)


def test_an_engine_that_stays_away_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket is gone: the next run removes what is left. One that comes back in time is used."""
    monkeypatch.setattr(removal, "NO_ENGINE_SECONDS_MAX", 0.1)
    engine: Any = Engine()
    Thing("container", engine.containers.things)
    engine.containers.failure = absent
    engine.containers.failures = 3
    assert remove_labelled(engine, LABEL).containers == ["container"]
    engine.containers.failures = 10**6
    began = time.monotonic()
    with pytest.raises(requests.exceptions.ConnectionError):
        remove_labelled(engine, LABEL)
    assert time.monotonic() - began < removal.REMOVE_SECONDS_MAX / 2


def absent(_: str) -> OSError:
    """What a client meets when the socket is not there: the cause is two wrappings deep."""
    try:
        try:
            raise FileNotFoundError(2, "No such file or directory")
        except OSError as error:
            raise ConnectionAbortedError("Connection aborted.") from error
    except OSError:
        try:
            raise requests.exceptions.ConnectionError("Connection aborted.")
        except OSError as error:
            return error
