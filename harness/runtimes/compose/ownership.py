"""Whose containers, networks and volumes are whose, and which of them a dead harness left behind.

Everything a network is made of carries the label `harness.owner`: the name of a lock file that its harness holds for as
long as it lives. The kernel lets a lock go with the process, however that ends, so whoever can take the lock knows that
nobody cares for what carries its name. Two live harnesses never touch each other's.

The name begins with a hash of the folder that the lock is in: another user's or another machine's owners on the same
engine can not be asked, so they are let be.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.runtimes.compose.removal import Removed, labels_of, remove_labelled
from harness.toolchain.places import cache_home

if TYPE_CHECKING:
    from docker import DockerClient

OWNER_LABEL = "harness.owner"
PROJECT_LABEL = "harness.project"
QUIET_SECONDS = 1.5
LATE_SECONDS_MAX = 30.0
_LOOK_AGAIN_SECONDS = 0.25


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


def _owners(client: DockerClient) -> set[str]:
    """The owners of all there is; a set, for it is sorted before anything is done."""
    return {labels[OWNER_LABEL] for labels in labels_of(client, OWNER_LABEL) if labels.get(OWNER_LABEL)}


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
