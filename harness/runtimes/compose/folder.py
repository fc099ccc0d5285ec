"""The folder of a network: the Compose file, what it mounts, and what comes out of the mounts again."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from harness.runtimes.compose.cargo import Cargo, stow
from harness.runtimes.compose.compose_file import FILE, container_user, environment_file, render

WORLD = "world"


def furnish(folder: Path, logs: Path, cargo: Cargo, image: str) -> None:
    """Write the Compose file and everything that it mounts, for the user that the containers run as. Raises OSError."""
    owner = container_user() if os.getuid() == 0 else None
    stow(cargo, folder / WORLD, owner=owner)
    for service in cargo.layout.services():
        place = logs / service
        place.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            os.chown(place, *owner)
        _show(logs, service)
    (folder / FILE).write_text(render(cargo.layout, image=image, folder=folder))
    (folder / ".env").write_text(environment_file(cargo.layout))


def _show(logs: Path, service: str) -> None:
    """While a container writes its log, it is found where it will be afterwards."""
    link = logs / f"{service}.log"
    link.unlink(missing_ok=True)
    link.symlink_to(f"{service}/{service}.log")


def collected(logs: Path, service: str) -> bool:
    """Bring the log that a container wrote to its place; False where it wrote none."""
    written = logs / service / f"{service}.log"
    place = logs / f"{service}.log"
    if not written.exists():
        place.unlink(missing_ok=True)
        return False
    is_empty = written.stat().st_size == 0
    place.unlink(missing_ok=True)
    shutil.move(written, place)
    return not is_empty


def clear(logs: Path, service: str) -> None:
    """Remove what its container wrote. The folder stays as it is: whoever uses the file by hand mounts it again."""
    for left in (logs / service).glob("*"):
        with contextlib.suppress(OSError):
            left.unlink()
