"""Whose containers, networks and volumes are whose, and the removal of what a dead harness left behind.

Everything a network is made of carries the label `harness.owner`: the name of a lock file that its harness holds for as
long as it lives. The kernel lets a lock go with the process, however that ends, so whoever can take the lock knows that
nobody cares for what carries its name. Two live harnesses never touch each other's.

The name begins with a hash of the folder that the lock is in: another user's or another machine's owners on the same
engine can not be asked, so they are let be.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from docker.errors import APIError, DockerException, NotFound
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from harness.toolchain.places import cache_home

if TYPE_CHECKING:
    from docker import DockerClient

OWNER_LABEL = "harness.owner"
PROJECT_LABEL = "harness.project"
REMOVE_SECONDS_MAX = 60.0
"""For one container, network or volume; the engine answers 409 while it still lets go of one."""
QUIET_SECONDS = 1.5
LATE_SECONDS_MAX = 30.0
_LOOK_AGAIN_SECONDS = 0.25
_REMOVED_AT_ONCE = 8


class Owner:
    """A lock that says: the harness that made these is alive. Take it before the first container, release it last."""

    def __init__(self, name: str, handle: IO[str], path: Path) -> None:
        self.name = name
        """The value of the label `harness.owner`."""
        self._handle = handle
        self._path = path

    @classmethod
    def take(cls) -> Owner:
        """A new owner, held by this process for as long as the object is kept. Raises OSError."""
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{_home()}-{secrets.token_hex(6)}"
        path, unheld = folder / f"{name}.lock", folder / f".{name}"
        handle = unheld.open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            unheld.rename(path)  # held before it has its name: nobody ever finds it free and takes us for dead
        except BaseException:
            handle.close()
            unheld.unlink(missing_ok=True)
            raise
        return cls(name, handle, path)

    def release(self) -> None:
        """Idempotent. What still carries the name is anybody's to remove from here on."""
        if not self._handle.closed:
            self._path.unlink(missing_ok=True)
            self._handle.close()

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


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


def is_dead(owner: str) -> bool:
    """Whether the harness of that name is surely gone; False for owners that can not be asked from here."""
    if not owner.startswith(_home() + "-") or "/" in owner:
        return False
    try:
        handle = (_folder() / f"{owner}.lock").open("r+")
    except FileNotFoundError:
        return True  # released, or its folder was emptied: either way nobody holds it
    except OSError:
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def remove_dead(client: DockerClient) -> Removed:
    """Remove everything whose owner is dead: what a run that was killed left behind. Blocks; bounded.

    What the dead had asked for just before may still be on its way: the engine makes it although nobody listens. So
    where anything was found, this looks again until nothing has come for a moment.

    Raises DockerException when the engine can not even be asked what there is.
    """
    total = Removed()
    quiet_since: float | None = None
    deadline = time.monotonic() + LATE_SECONDS_MAX
    while True:
        found = {owner for owner in _owners(client) if is_dead(owner)}
        for owner in sorted(found):
            total.add(remove_labelled(client, f"{OWNER_LABEL}={owner}"))
        now = time.monotonic()
        quiet_since = None if found else quiet_since or now
        if (not found and not len(total)) or total.failures or now > deadline:
            break
        if quiet_since is not None and now - quiet_since > QUIET_SECONDS:
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
    if not total.failures:
        _forget_dead_locks(_owners(client))
    return total


def remove_labelled(client: DockerClient, label: str) -> Removed:
    """Remove every container, network and volume with that label (`key=value`), and nothing else. Blocks; bounded.

    What can not be removed is told in `failures`, and the rest is removed all the same. Raises DockerException when the
    engine can not be asked what there is.
    """
    removed = Removed()
    if is_manager(client):
        _all(_services(client, label), lambda each: each.remove(), removed.services, removed.failures)
    _all(_containers(client, label), lambda each: each.remove(force=True, v=True), removed.containers, removed.failures)
    _all(_networks(client, label), _remove_network, removed.networks, removed.failures)
    _all(_volumes(client, label), lambda each: each.remove(force=True), removed.volumes, removed.failures)
    if is_manager(client):
        _all(_secrets(client, label), lambda each: each.remove(), removed.secrets, removed.failures)
    return removed


def _owners(client: DockerClient) -> set[str]:
    """The owners of all there is; a set, for it is sorted before anything is done."""
    labels = [
        *[container.labels.get(OWNER_LABEL, "") for container in _containers(client, OWNER_LABEL)],
        *[(each.attrs.get("Labels") or {}).get(OWNER_LABEL, "") for each in _networks(client, OWNER_LABEL)],
        *[(each.attrs.get("Labels") or {}).get(OWNER_LABEL, "") for each in _volumes(client, OWNER_LABEL)],
    ]
    if is_manager(client):
        swarm = [*_services(client, OWNER_LABEL), *_secrets(client, OWNER_LABEL)]
        labels += [(each.attrs["Spec"].get("Labels") or {}).get(OWNER_LABEL, "") for each in swarm]
    return {label for label in labels if label}


def left_over(client: DockerClient, label: str) -> list[str]:
    """Names of all that carries the label, in one list."""
    found = [*_containers(client, label), *_networks(client, label), *_volumes(client, label)]
    if is_manager(client):
        found += [*_services(client, label), *_secrets(client, label)]
    return [str(each.name) for each in found]


def _all(found: list[Any], remove: Callable[[Any], object], done: list[str], failures: list[str]) -> None:
    with ThreadPoolExecutor(_REMOVED_AT_ONCE) as pool:
        for each, problem in zip(found, pool.map(lambda each: _removed(each, remove), found), strict=True):
            if problem:
                failures.append(f"{each.name} is still there: {problem}")
            else:
                done.append(str(each.name))


def _removed(each: Any, remove: Callable[[Any], object]) -> str:
    """Why it is still there, or the empty string."""
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type(APIError), stop=stop_after_delay(REMOVE_SECONDS_MAX),
            wait=wait_random_exponential(multiplier=0.1, max=2.0), reraise=True,
        ):
            with attempt, contextlib.suppress(NotFound):
                remove(each)
    except (DockerException, OSError) as error:
        return str(error)[:200]
    return ""


def _remove_network(network: Any) -> None:
    """Also one that somebody attached a container of theirs to."""
    network.reload()
    for container in network.attrs.get("Containers") or {}:
        with contextlib.suppress(APIError):
            network.disconnect(container, force=True)
    network.remove()


def _containers(client: DockerClient, label: str) -> list[Any]:
    return client.containers.list(all=True, filters={"label": label}, ignore_removed=True)


def _networks(client: DockerClient, label: str) -> list[Any]:
    return client.networks.list(filters={"label": label})


def _volumes(client: DockerClient, label: str) -> list[Any]:
    return client.volumes.list(filters={"label": label})


def is_manager(client: DockerClient) -> bool:
    """Whether the engine manages a swarm, and so may have services and secrets of ours."""
    return bool(client.info().get("Swarm", {}).get("ControlAvailable"))


def _services(client: DockerClient, label: str) -> list[Any]:
    return client.services.list(filters={"label": label})


def _secrets(client: DockerClient, label: str) -> list[Any]:
    return client.secrets.list(filters={"label": label})


def _forget_dead_locks(labels_in_use: set[str]) -> None:
    """Lock files of owners that left nothing: of a harness killed before its first container."""
    for path in _lock_files():
        name = path.stem
        if name not in labels_in_use and is_dead(name):
            path.unlink(missing_ok=True)


def _lock_files() -> Iterator[Path]:
    yield from _folder().glob(f"{_home()}-*.lock")


def _folder() -> Path:
    return cache_home() / "owners"


def _home() -> str:
    """Names this machine's lock folder, so that nobody mistakes another's owners for dead ones."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        machine = ""
    return hashlib.sha256(f"{machine or platform.node()}\0{os.getuid()}\0{cache_home()}".encode()).hexdigest()[:8]
