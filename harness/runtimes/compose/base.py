"""Chooses the image that ours is built on, and asks it which Python and platform it has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import APIError, DockerException, ImageNotFound

from harness.runtimes.compose.probe import ask_image
from harness.toolchain.commands import run
from harness.toolchain.errors import ToolError
from harness.toolchain.places import cache_home

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

DEFAULT_BASE = "python:3.12-slim"
PYTHON_MIN = (3, 11)
MAKE_BASE_TIMEOUT_S = 960.0
_PACKAGE = Path(__file__).parents[2]
# A checkout has them beside the package, a wheel inside it (pyproject.toml, force-include).
_FOLDERS = (_PACKAGE.parent / "compose", _PACKAGE / "_compose")
_QUESTION = (
    "import json,platform,sys;"
    "print(json.dumps([list(sys.version_info[:2]),platform.machine(),*platform.libc_ver()]))"
)

Narrate = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """What wheels have to fit: the Python and the C library inside the base image."""

    python: tuple[int, int]
    machine: str             # as `uname -m` says: x86_64, aarch64
    glibc: tuple[int, int]

    @property
    def platforms(self) -> list[str]:
        """The platform tags that pip may choose from, newest first."""
        major, newest = self.glibc
        tags = [f"manylinux_{major}_{minor}_{self.machine}" for minor in range(newest, 4, -1)]
        return [*tags, f"manylinux2014_{self.machine}", f"manylinux2010_{self.machine}", f"manylinux1_{self.machine}"]


def compose_folder() -> Path:
    """Where the Dockerfile and `base-image` are. Raises `ToolError` when the installation lacks them."""
    for folder in _FOLDERS:
        if (folder / "Dockerfile").is_file():
            return folder
    raise ToolError("the compose folder is missing", found=f"no Dockerfile in {_FOLDERS[0]} or {_FOLDERS[1]}",
                    remedy="install the harness again, from a checkout or a wheel")


def base_image(client: DockerClient, narrate: Narrate = lambda line: None) -> Image:
    """`$BASE_IMAGE` if set; else the default base or the one from Debian's packages, whichever the engine has; else the
    default pulled, and where no registry answers, one made from Debian's packages (a minute, once). Blocks.

    Raises:
        ToolError: none can be had; the message has both reasons.
    """
    if chosen := os.environ.get("BASE_IMAGE"):
        return _local(client, chosen) or _pulled(client, chosen, narrate)
    script = compose_folder() / "base-image"
    of_debian = run([script, "--tag"])
    candidates = [DEFAULT_BASE, *([of_debian.output.strip()] if of_debian.code == 0 else [])]
    for name in candidates:
        if found := _local(client, name):
            return found
    try:
        return _pulled(client, DEFAULT_BASE, narrate)
    except ToolError as unpulled:
        narrate(f"{DEFAULT_BASE} can not be pulled; making a base image from Debian's packages (a minute, once)")
        made = run([script], timeout_s=MAKE_BASE_TIMEOUT_S)
        tag = made.output.strip().splitlines()[-1:] or [""]
        if made.code == 0 and (image := _local(client, tag[0])):
            return image
        raise ToolError("there is no base image", found=f"{unpulled.found}; {made.problem or tag[0]}",
                        remedy="set BASE_IMAGE to an image with Python >= 3.11 that the engine has") from unpulled


def target_of(client: DockerClient, base: Image) -> Target:
    """Asks the image's own Python, once per image (half a second).

    Raises:
        ToolError: it has no Python, one too old, or a C library other than glibc.
    """
    known = cache_home() / "images" / f"target-{str(base.id).removeprefix('sha256:')[:16]}.json"
    try:
        said = json.loads(known.read_text(encoding="utf-8"))
        return Target(tuple(said["python"]), said["machine"], tuple(said["glibc"]))
    except (OSError, ValueError, KeyError):
        pass  # not asked before, or by another version of us
    name = (base.tags or [str(base.id)])[0]
    remedy = "set BASE_IMAGE to a glibc image with Python >= 3.11, for instance " + DEFAULT_BASE
    try:
        python, machine, libc, version = json.loads(ask_image(client, str(base.id), "python", "-c", _QUESTION)[1])
    except (APIError, ValueError) as error:
        raise ToolError(f"the base image {name} has no working `python`", found=str(error)[:300],
                        remedy=remedy) from error
    if tuple(python) < PYTHON_MIN or libc != "glibc":
        raise ToolError(f"the base image {name} does not fit", found=f"Python {python[0]}.{python[1]}, C library "
                        f"{libc or 'unknown'} {version}", remedy=remedy)
    major, minor = (int(part) for part in version.split(".")[:2])
    target = Target((python[0], python[1]), machine, (major, minor))
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps(asdict(target)), encoding="utf-8")
    return target


def _local(client: DockerClient, name: str) -> Image | None:
    try:
        return client.images.get(name)
    except ImageNotFound:
        return None


def _pulled(client: DockerClient, name: str, narrate: Narrate) -> Image:
    narrate(f"pulling the base image {name}")
    repository, _, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "latest")
    try:
        for step in client.api.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in step:
                raise ToolError(f"the base image {name} can not be pulled", found=str(step["error"])[:300],
                                remedy="set BASE_IMAGE to an image that the engine has")
        return client.images.get(name)
    except (DockerException, OSError) as error:
        raise ToolError(f"the base image {name} can not be pulled", found=str(error)[:300],
                        remedy="set BASE_IMAGE to an image that the engine has") from error
