"""Removes everything that carries a label: containers, networks, volumes, and of a swarm services and secrets.

A busy engine answers late, refuses what it is still about, and makes things that somebody asked for a moment ago. So a
removal is not a pass over a list: it looks again until nothing carries the label, with one deadline for all of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException, NotFound

from harness.runtimes.compose.client import nobody_listens

if TYPE_CHECKING:
    from docker import DockerClient

REMOVE_SECONDS_MAX = 60.0
"""For all that carries a label, together; the engine answers 409 while it still lets go of something."""
NO_ENGINE_SECONDS_MAX = 10.0
"""As long as an engine that is started again at once needs; one that stays away is not waited for."""
LOOK_AGAIN_SECONDS = 0.2
LOOK_AGAIN_SECONDS_MAX = 2.0
QUIET_SECONDS = 0.3
"""Without anything: the engine hides a network that it deletes, and shows it again where that fails."""
SWARM_QUIET_SECONDS = 1.5
"""A swarm's agent may still start a task whose service is gone: nothing must have come for so long."""
_REMOVED_AT_ONCE = 8
_TROUBLE = (DockerException, OSError)   # requests' exceptions are OSErrors


@dataclass(slots=True)
class Removed:
    """What a removal did, by name."""

    containers: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)   # of a swarm, as secrets are
    secrets: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)   # what is still there, and why

    def add(self, other: Removed) -> None:
        self.containers += other.containers
        self.networks += other.networks
        self.volumes += other.volumes
        self.services += other.services
        self.secrets += other.secrets
        self.failures += other.failures

    def __len__(self) -> int:
        return sum(map(len, (self.containers, self.networks, self.volumes, self.services, self.secrets)))

    def __str__(self) -> str:
        counts = [
            f"{len(names)} {word if len(names) == 1 else word + 's'}"
            for names, word in ((self.containers, "container"), (self.networks, "network"), (self.volumes, "volume"),
                                (self.services, "service"), (self.secrets, "secret"))
            if names
        ]
        return "removed " + (", ".join(counts) or "nothing") + "".join(f"; {failure}" for failure in self.failures)


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of thing that can carry a label."""

    found: Callable[[DockerClient, str], list[Any]]
    remove: Callable[[Any], object]
    into: Callable[[Removed], list[str]]
    of_swarm: bool = False


def remove_labelled(client: DockerClient, label: str, *, seconds_max: float | None = None) -> Removed:
    """Remove everything with that label (`key=value`), and nothing else, and return when it is gone. Blocks; bounded.

    What can not be removed is told in `failures`, and the rest is removed all the same. Raises DockerException or
    OSError when the engine could not once be asked what there is.
    """
    removed = Removed()
    deadline = time.monotonic() + (REMOVE_SECONDS_MAX if seconds_max is None else seconds_max)
    pause = LOOK_AGAIN_SECONDS
    quiet_since: float | None = None
    away_since: float | None = None   # nobody has listened since
    while True:
        trouble: Exception | None = None
        until = deadline
        left: dict[str, str] = {}   # what is still there, and why
        try:
            swarm = is_manager(client)
            found = 0
            for kind in _KINDS:
                if swarm or not kind.of_swarm:
                    there = kind.found(client, label)
                    found += len(there)
                    left |= _all(there, kind, removed)
            now = time.monotonic()
            quiet_since = None if found else quiet_since or now
            quiet_s = SWARM_QUIET_SECONDS if swarm else QUIET_SECONDS
            if quiet_since is not None and not (len(removed) and now - quiet_since < quiet_s):
                return removed
            away_since = None
            if found and not left:
                continue   # the engine did it all: see that it did
        except _TROUBLE as error:
            trouble = error
            away_since = (away_since or time.monotonic()) if nobody_listens(error) else None
            if away_since is not None:
                until = min(deadline, away_since + NO_ENGINE_SECONDS_MAX)
        if time.monotonic() + pause > until:
            if trouble is not None and not len(removed):
                raise trouble
            removed.failures += [f"{name} is still there: {why}" for name, why in left.items()]
            if trouble is not None:
                removed.failures.append(f"the engine could not be asked what is left: {str(trouble)[:200]}")
            return removed
        time.sleep(pause)
        pause = min(2 * pause, LOOK_AGAIN_SECONDS_MAX)


def left_over(client: DockerClient, label: str) -> list[str]:
    """Names of all that carries the label, in one list."""
    return [_name(each) for each in _everything(client, label, swarm=is_manager(client))]


def labels_of(client: DockerClient, label: str) -> list[Mapping[str, str]]:
    """The labels of all that carries this one."""
    return [_labels(each) for each in _everything(client, label, swarm=is_manager(client))]


def is_manager(client: DockerClient) -> bool:
    """Whether the engine manages a swarm, and so may have services and secrets of ours."""
    return bool(client.info().get("Swarm", {}).get("ControlAvailable"))


def _everything(client: DockerClient, label: str, *, swarm: bool) -> Iterator[Any]:
    for kind in _KINDS:
        if swarm or not kind.of_swarm:
            yield from kind.found(client, label)


def _labels(each: Any) -> Mapping[str, str]:
    return dict(each.attrs.get("Labels") or each.attrs.get("Spec", {}).get("Labels") or {})


def _name(each: Any) -> str:
    """Of a container, as lists have it: `/name`."""
    return str(each.name or each.attrs.get("Names", [each.id])[0]).lstrip("/")


def _all(found: list[Any], kind: _Kind, removed: Removed) -> dict[str, str]:
    """Try each once; name → why it is still there."""
    if not found:
        return {}
    into, left = kind.into(removed), dict[str, str]()
    with ThreadPoolExecutor(_REMOVED_AT_ONCE) as pool:
        for each, problem in zip(found, pool.map(lambda each: _why_not(each, kind.remove), found), strict=True):
            name = _name(each)
            if problem:
                left[name] = problem
            elif name not in into:
                into.append(name)
    return left


def _why_not(each: Any, remove: Callable[[Any], object]) -> str:
    """Why it is still there, or the empty string."""
    try:
        with contextlib.suppress(NotFound):
            remove(each)
    except _TROUBLE as error:
        return str(error)[:200]
    return ""


def _remove_network(network: Any) -> None:
    """Also one that somebody attached a container of theirs to."""
    network.reload()
    for container in network.attrs.get("Containers") or {}:
        with contextlib.suppress(APIError):
            network.disconnect(container, force=True)
    network.remove()


# In the order in which they can go. A swarm starts a task again whose container is removed, so its services go first.
_KINDS = (
    _Kind(lambda client, label: list(client.services.list(filters={"label": label})),
          lambda each: each.remove(), lambda removed: removed.services, of_swarm=True),
    _Kind(lambda client, label: client.containers.list(all=True, filters={"label": label}, sparse=True),
          lambda each: each.remove(force=True, v=True), lambda removed: removed.containers),
    _Kind(lambda client, label: client.networks.list(filters={"label": label}),
          _remove_network, lambda removed: removed.networks),
    _Kind(lambda client, label: client.volumes.list(filters={"label": label}),
          lambda each: each.remove(force=True), lambda removed: removed.volumes),
    _Kind(lambda client, label: list(client.secrets.list(filters={"label": label})),
          lambda each: each.remove(), lambda removed: removed.secrets, of_swarm=True),
)  # fmt: skip
