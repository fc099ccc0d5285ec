"""The one image every container runs: built from what the host has, named by the hash of its content, built once.

`python -m harness.runtimes.compose.images` builds it, or finds it there, and prints its tag.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import APIError, DockerException, ImageNotFound

from harness.runtimes.compose.base import Narrate, Target, base_image, compose_folder, target_of
from harness.runtimes.compose.client import engine_client
from harness.runtimes.compose.dependencies import (
    add_bytes,
    add_file,
    add_tree,
    dependencies_key,
    dependencies_tar,
    pinned_versions,
)
from harness.toolchain.anvil import anvil_binary
from harness.toolchain.errors import ToolError
from harness.toolchain.machine_lock import machine_lock
from harness.toolchain.places import cache_home

if TYPE_CHECKING:
    from docker import DockerClient

REPOSITORY = "harness"
LABEL = "harness.image"
BUILD_TIMEOUT_S = 600       # for the engine to say anything; the whole takes half a minute
LOCK_TIMEOUT_S = 1800.0     # longer than the other builder may take, its base image and wheels included
KEPT_IMAGES = 12
"""Older ones of other contents go after a build, unless a container uses them."""
_PACKAGE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything the image is made of; equal recipes have equal tags."""

    base: str                  # the base image's id
    target: Target
    versions: Mapping[str, str]
    anvil: Path
    dockerfile: Path

    @property
    def tag(self) -> str:
        digest = hashlib.sha256()
        for part in (self.base, dependencies_key(self.target, self.versions), _digest(self.anvil)):
            digest.update(part.encode() + b"\0")
        digest.update(self.dockerfile.read_bytes())
        for path in sorted(_PACKAGE.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return f"{REPOSITORY}:{digest.hexdigest()[:16]}"


def ensure_image(client: DockerClient, narrate: Narrate = lambda line: None) -> str:
    """The tag of the image for this very harness, built unless the engine has it. Blocks; safe beside other builders.

    A tenth of a second when it is there; some 5 s when only the harness changed; half a minute from wheels in the
    cache. Somebody may delete it right after: then ask again.

    Raises:
        ToolError: the engine, the base image, pip, Anvil or the build failed; the message says which and why.
    """
    try:
        recipe = _recipe(client, narrate)
        tag = recipe.tag
        if _is_there(client, tag):
            return tag
        lock = cache_home() / "images" / "build.lock"
        with machine_lock(lock, who="builder of the image", timeout_s=LOCK_TIMEOUT_S, narrate=narrate):
            if not _is_there(client, tag):  # another builder may have finished while we waited
                _build(client, recipe, tag, narrate)
                _remove_old(client, keep=tag)
        return tag
    except (DockerException, OSError) as error:
        raise ToolError("the image could not be built", found=f"{type(error).__name__}: {error}"[:500],
                        remedy="see that the Docker engine answers (`docker version`) and its disk has room") from error


def _recipe(client: DockerClient, narrate: Narrate) -> Recipe:
    base = base_image(client, narrate)
    target = target_of(client, base)
    return Recipe(str(base.id), target, pinned_versions(target), anvil_binary(), compose_folder() / "Dockerfile")


def _is_there(client: DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _build(client: DockerClient, recipe: Recipe, tag: str, narrate: Narrate) -> None:
    started = time.monotonic()
    wheels = dependencies_tar(recipe.target, recipe.versions, narrate)
    narrate(f"building the image {tag} on {recipe.base.removeprefix('sha256:')[:12]}")
    said: list[str] = []
    with tempfile.TemporaryFile() as context:
        with wheels.open("rb") as stream:
            shutil.copyfileobj(stream, context, 1 << 20)
        context.seek(0)
        with tarfile.open(fileobj=context, mode="a") as archive:
            add_file(archive, recipe.anvil, "anvil", mode=0o755)
            add_tree(archive, _PACKAGE, "harness")
            add_bytes(archive, "Dockerfile", recipe.dockerfile.read_bytes())
        context.seek(0)
        for step in client.api.build(
            fileobj=context, custom_context=True, tag=tag, buildargs={"BASE_IMAGE": recipe.base}, rm=True, forcerm=True,
            network_mode="none",  # nothing is fetched
            labels={LABEL: tag.partition(":")[2]}, decode=True, timeout=BUILD_TIMEOUT_S,
        ):
            said.append(str(step.get("stream", "")).rstrip())
            if "error" in step:
                last = " | ".join(line for line in said[-6:] if line)
                raise ToolError("the image could not be built", found=f"{str(step['error'])[:300]}; last lines: {last}",
                                remedy="read the error; if the disk is full, `docker system prune` makes room")
    narrate(f"built the image {tag} in {time.monotonic() - started:.1f} s")


def _remove_old(client: DockerClient, *, keep: str) -> None:
    """Of our own images the oldest beyond a number; one that a container uses is refused by the engine and stays."""
    mine = client.images.list(name=REPOSITORY, filters={"label": LABEL})
    mine.sort(key=lambda image: str(image.attrs.get("Created", "")), reverse=True)
    for image in mine[KEPT_IMAGES:]:
        for tag in image.tags:
            if tag != keep:
                try:
                    client.images.remove(tag)
                except APIError:
                    continue


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main() -> int:
    try:
        with closing(engine_client()) as client:
            print(ensure_image(client, lambda line: print(line, file=sys.stderr)))
    except ToolError as error:
        print(f"harness: {error}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
