"""The folder of a network: the Compose file, what it mounts, and what comes out of the mounts again."""

from __future__ import annotations

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
    (folder / FILE).write_text(render(cargo.layout, image=image, folder=folder))
    (folder / ".env").write_text(environment_file(cargo.layout))


def collected(logs: Path, service: str) -> bool:
    """Bring the log that a container wrote to its place; False where it wrote none."""
    written = logs / service / f"{service}.log"
    if not written.exists():
        return False
    is_empty = written.stat().st_size == 0
    shutil.move(written, logs / f"{service}.log")
    return not is_empty
