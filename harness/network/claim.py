"""The right to run a network of one name: its folder and a lock on it, which the kernel takes back however we end.

A process id used again cannot pass for the owner, and what a killed owner left is found and removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from harness.network.places import folder_of, networks_home
from harness.network.values import NetworkFailure, NetworkMisuse

LOCK = "lock"
NOTE = "network.json"
GONE_TIMEOUT_S = 10.0
GONE_POLL_S = 0.02
ATTEMPTS_MAX = 20
"""Each is lost only to another process that ends a network of the same name in that moment."""
_TEMPORARY_PREFIX = "harness-"


@dataclass(frozen=True, slots=True)
class Found:
    """A network's folder as found on disk. `is_live`: somebody owns it now."""

    name: str
    folder: Path
    is_live: bool
    note: dict[str, Any]


class Claim:
    """Held from before the first process starts until after the last has ended."""

    def __init__(self, name: str, folder: Path, lock: int) -> None:
        self.name = name
        self.folder = folder
        self._lock = lock
        self._note: dict[str, Any] = {
            "name": name, "pid": os.getpid(), "began": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip

    @classmethod
    def take(cls, name: str) -> Claim:
        """Claim a name and an empty folder for it; what a dead owner left of it is removed first.

        Raises:
            NetworkMisuse: the name is no name, or a network of that name is up.
            NetworkFailure: the folder can not be made, or a dead owner's processes do not end.
        """
        folder = folder_of(name)
        for attempt in range(ATTEMPTS_MAX):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            except OSError as error:
                if isinstance(error, FileNotFoundError) and attempt + 1 < ATTEMPTS_MAX:
                    continue   # its last owner removed the folder this moment
                raise NetworkFailure(
                    f"{error.filename or folder}: a network's folder can not be made: {error.strerror}; "
                    "set HARNESS_STATE to a folder that can be written"
                ) from error
            if not _lock(lock):
                os.close(lock)
                pid = _note_of(folder).get("pid", "unknown")
                raise NetworkMisuse(
                    f"network {name} is up already (process {pid}); harness status shows it, harness down ends it, "
                    "and --name NAME starts another beside it"
                )
            if _is_at(lock, folder / LOCK):
                break
            os.close(lock)   # of a file that its owner has removed: the lock of nothing
        else:
            raise NetworkFailure(f"network {name} is started and ended by others all the time; try another --name")
        try:
            _clear(folder)
        except BaseException:
            os.close(lock)
            raise
        claim = cls(name, folder, lock)
        claim.write()
        return claim

    def write(self, **fields: Any) -> None:
        """Note what a later owner would have to clean up, and what others may want to know."""
        self._note |= fields
        part = self.folder / f".{NOTE}"
        part.write_bytes(orjson.dumps(self._note, option=orjson.OPT_INDENT_2))
        part.replace(self.folder / NOTE)

    def pass_on(self) -> None:
        """This process was forked from the one that took the claim, and owns it from now on."""
        self.write(pid=os.getpid())

    def drop_here(self) -> None:
        """Another process owns it now; the lock stays with that one."""
        os.close(self._lock)

    def release(self, *, keep_folder: bool = False) -> None:
        """Everything has ended: remove the folder and give the name free. Idempotent."""
        if self._lock < 0:
            return
        if not keep_folder:
            _remove_but_lock(self.folder)
            with contextlib.suppress(OSError):
                (self.folder / LOCK).unlink()
                self.folder.rmdir()
        os.close(self._lock)
        self._lock = -1


def find(name: str) -> Found | None:
    """The network of that name, live or dead; None if there is none. Raises `NetworkMisuse` for what is no name."""
    folder = folder_of(name)
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        is_live = not _lock(lock)
        return Found(name, folder, is_live, _note_of(folder))
    finally:
        os.close(lock)


def find_all() -> list[Found]:
    """Every network there is, by name."""
    try:
        names = sorted(entry.name for entry in networks_home().iterdir())
    except OSError:
        return []
    found = []
    for name in names:
        with contextlib.suppress(NetworkMisuse):
            if (network := find(name)) is not None:
                found.append(network)
    return found


def remove_dead(name: str) -> bool:
    """Clean up after a network whose owner died; False if there is none or it lives."""
    network = find(name)
    if network is None or network.is_live:
        return False
    try:
        claim = Claim.take(name)
    except NetworkMisuse:
        return False   # somebody started it this moment
    claim.release()
    return True


def owner_of(name: str) -> int | None:
    """A descriptor of the process that owns the network now (`wait_until_gone` takes it); None if nobody does."""
    network = find(name)
    if network is None or not network.is_live:
        return None
    try:
        return os.pidfd_open(int(network.note["pid"]))
    except (OSError, KeyError, ValueError):
        return None


def wait_until_gone(name: str, owner: int | None, *, timeout: float) -> bool:
    """Wait until nobody owns the name any more and its owner has ended; whether that came to be in time."""
    deadline = time.monotonic() + timeout
    try:
        while (network := find(name)) is not None and network.is_live:
            if time.monotonic() > deadline:
                return False
            time.sleep(GONE_POLL_S)
        return owner is None or bool(select.select([owner], [], [], max(0.0, deadline - time.monotonic()))[0])
    finally:
        if owner is not None:
            os.close(owner)


def process_mark(pid: int) -> dict[str, int]:
    """What tells this process from a later one of the same id: the id and the kernel's time of its start."""
    return {"pid": pid, "started": _start_of(pid) or 0}


def _start_of(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _note_of(folder: Path) -> dict[str, Any]:
    try:
        note = orjson.loads((folder / NOTE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return note if isinstance(note, dict) else {}


def _clear(folder: Path) -> None:
    """End and remove what a dead owner left. Raises `NetworkFailure`."""
    note = _note_of(folder)
    for mark in _listed(note, "processes"):
        if isinstance(mark, dict) and {type(mark.get("pid")), type(mark.get("started"))} == {int}:
            _see_gone(mark)
    for temporary in _listed(note, "temporary"):
        path = Path(str(temporary))
        # Only what looks like ours: the note is a file, and files can be damaged.
        if path.parent == Path(tempfile.gettempdir()) and path.name.startswith(_TEMPORARY_PREFIX):
            shutil.rmtree(path, ignore_errors=True)
    if note.get("runtime") in ("compose", "swarm"):
        _remove_containers()
    _remove_but_lock(folder)


def _remove_containers() -> None:
    """Of all harnesses that are dead. Raises `NetworkFailure`."""
    from docker.errors import DockerException

    from harness.runtimes.compose.client import engine_client
    from harness.runtimes.compose.ownership import remove_dead as remove_containers_of_the_dead
    from harness.toolchain.errors import ToolError

    try:
        with contextlib.closing(engine_client()) as client:
            removed = remove_containers_of_the_dead(client)
    except (ToolError, DockerException, OSError) as error:
        raise NetworkFailure(f"containers of a network that was killed may be left: {error}") from error
    if removed.failures:
        raise NetworkFailure(str(removed))


def _listed(note: dict[str, Any], key: str) -> list[Any]:
    """A list of a note, which is a file and may be damaged."""
    value = note.get(key)
    return value if isinstance(value, list) else []


def _see_gone(mark: dict[str, int]) -> None:
    """Wait for a dead owner's process to end, which it does by itself, and kill it if it does not."""
    try:
        descriptor = os.pidfd_open(mark["pid"])
    except OSError:
        return
    try:
        if _start_of(mark["pid"]) != mark["started"]:
            return   # another process has that id now
        for number in (0, signal.SIGKILL):
            if number:
                signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], GONE_TIMEOUT_S / 2)[0]:
                return
        raise NetworkFailure(f"process {mark['pid']} of a network that was killed does not end")
    finally:
        os.close(descriptor)


def _remove_but_lock(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                entry.unlink()
