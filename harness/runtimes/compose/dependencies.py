"""The wheels that go into the image: the versions the host runs, for the base image's Python, unpacked and cached."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.runtimes.compose.base import Narrate, Target
from harness.toolchain.commands import run
from harness.toolchain.errors import ToolError
from harness.toolchain.places import cache_home

HOST_ONLY = frozenset({"plotly", "pytest"})
"""Draw reports and drive tests; nothing inside a container imports them, and they are a third of the whole."""

PIP_TIMEOUT_S = 900.0
FOLDER = "dependencies"


def pinned_versions(target: Target) -> dict[str, str]:
    """Name → version of the distributions the image needs: what the host runs, followed through their requirements.

    Equal versions inside and outside, so that a scenario gives the same verdict in both.
    """
    environment: dict[str, str] = {
        **{key: str(value) for key, value in default_environment().items()},
        "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix",
        "platform_machine": target.machine, "implementation_name": "cpython", "extra": "",
        "platform_python_implementation": "CPython",
        "python_version": f"{target.python[0]}.{target.python[1]}",
        "python_full_version": f"{target.python[0]}.{target.python[1]}.0",
    }
    found: dict[str, str] = {}
    _follow("harness", frozenset(), environment, found)
    del found["harness"]
    return dict(sorted(found.items()))


def _follow(name: str, extras: frozenset[str], environment: Mapping[str, str], found: dict[str, str]) -> None:
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        raise ToolError("the image's dependencies are not all installed here", found=f"{name} is missing",
                        remedy="install the harness again: pip install -e .") from None
    found[name] = installed.version
    for line in installed.requires or ():
        requirement = Requirement(line)
        wanted = canonicalize_name(requirement.name)
        marker = requirement.marker
        applies = marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras or {""})
        # One that is known is only followed again for extras of it, which nothing asks for in a circle.
        if applies and wanted not in HOST_ONLY and (wanted not in found or requirement.extras):
            _follow(wanted, frozenset(requirement.extras), environment, found)


def dependencies_key(target: Target, versions: Mapping[str, str]) -> str:
    """Names the unpacked wheels by what decides them."""
    content = json.dumps([target.python, target.machine, target.glibc, sorted(versions.items())])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def dependencies_tar(target: Target, versions: Mapping[str, str], narrate: Narrate) -> Path:
    """A tar of `dependencies/` with the wheels unpacked; made once (pip, the host's index), then read from the cache.

    Call it under the builder's lock. Raises `ToolError` when pip can not get a wheel that fits.
    """
    images = cache_home() / "images"
    ready = images / f"dependencies-{dependencies_key(target, versions)}.tar"
    if ready.exists():
        return ready
    for leftover in images.glob(".dependencies-*"):  # of a builder that was killed: we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    python = f"{target.python[0]}.{target.python[1]}"
    narrate(f"fetching {len(versions)} wheels for Python {python} on {target.machine} (once)")
    with tempfile.TemporaryDirectory(prefix=".dependencies-", dir=images) as folder:
        unpacked = Path(folder) / FOLDER
        platforms = [argument for tag in target.platforms for argument in ("--platform", tag)]
        outcome = run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
             "--no-deps", "--no-compile", "--only-binary=:all:", "--implementation", "cp", "--python-version", python,
             *platforms, "--target", unpacked, *[f"{name}=={version}" for name, version in versions.items()]],
            timeout_s=PIP_TIMEOUT_S, env={**os.environ, "PIP_NO_WARN_SCRIPT_LOCATION": "1"},
        )
        if outcome.code != 0:
            lines = [line for line in outcome.output.splitlines() if "ERROR" in line] or outcome.output.splitlines()
            raise ToolError(f"pip did not get the wheels for Python {python} on {target.machine}",
                            found=outcome.problem or " | ".join(lines[-3:])[:600],
                            remedy="check that pip reaches its index, or set BASE_IMAGE to an image with this host's "
                            f"Python {sys.version_info.major}.{sys.version_info.minor}")
        shutil.rmtree(unpacked / "bin", ignore_errors=True)
        partial = Path(folder) / "partial.tar"
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
            add_tree(archive, unpacked, FOLDER)
        partial.rename(ready)
    return ready


def add_tree(archive: tarfile.TarFile, root: Path, name: str) -> None:
    """Add a folder so that equal files give equal bytes: sorted, owned by root, without times or bytecode."""
    for path in sorted(root.rglob("*")):
        if "__pycache__" not in path.parts and path.is_file():
            add_file(archive, path, f"{name}/{path.relative_to(root).as_posix()}")


def add_file(archive: tarfile.TarFile, path: Path, name: str, *, mode: int | None = None) -> None:
    entry = archive.gettarinfo(path, name)
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = mode if mode is not None else (0o755 if entry.mode & 0o100 else 0o644)
    with path.open("rb") as stream:
        archive.addfile(entry, stream)


def add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o644
    archive.addfile(entry, io.BytesIO(content))
