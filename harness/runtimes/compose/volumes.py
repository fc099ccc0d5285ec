"""Copies durable rows out of the containers' volumes, and into those of containers that have not begun."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from docker import APIClient

from harness.runtimes.compose.layout import STORES
from harness.runtimes.local.saved_stores import is_part_of_a_store


def take_store(api: APIClient, container: str, into: Path) -> None:
    """The database files of a container that stands still. Raises APIError, OSError."""
    chunks, _ = api.get_archive(container, STORES)
    whole = io.BytesIO(b"".join(chunks))
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=whole) as archive:
        for entry in archive:
            name = PurePosixPath(entry.name).name
            if entry.isfile() and is_part_of_a_store(name):
                content = archive.extractfile(entry)
                assert content is not None, "a regular file"
                (into / name).write_bytes(content.read())


def put_store(api: APIClient, container: str, role: str, source: Path, *, owner: tuple[int, int]) -> None:
    """A role's database files into its container's volume, before its first start. Raises APIError, OSError."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for file in sorted(source.glob(f"{role}.sqlite*")):
            if is_part_of_a_store(file.name):
                entry = archive.gettarinfo(file, file.name)
                entry.uid, entry.gid = owner
                entry.uname = entry.gname = ""
                entry.mode = 0o600
                with file.open("rb") as stream:
                    archive.addfile(entry, cast(IO[bytes], stream))
    data: Any = whole.getvalue()
    api.put_archive(container, STORES, data)
