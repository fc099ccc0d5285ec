"""Where the pinned tools live: one folder per content of the npm lock, so that no version overwrites another."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

PINS = Path(__file__).parent / "npm"
"""The package data: `package.json`, `package-lock.json` and `.npmrc`."""

PIN_FILES = ("package.json", "package-lock.json", ".npmrc")

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def cache_home() -> Path:
    """The harness's own folder outside any checkout: `$HARNESS_HOME`, else `harness` in the user's cache folder."""
    if own := os.environ.get("HARNESS_HOME"):
        return Path(own).expanduser().absolute()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says that a relative path there is invalid and to be ignored.
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "harness"


def toolchain_root() -> Path:
    """Parent of all installed locks, the install lock and the last npm log."""
    return cache_home() / "toolchain"


def lock_name() -> str:
    """Name of this lock's folder: it changes whenever a pinned version or integrity does."""
    digest = hashlib.sha256()
    for name in PIN_FILES:
        digest.update(name.encode() + b"\0" + (PINS / name).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def installed_root() -> Path:
    """Where the current lock is, or would be, installed."""
    return toolchain_root() / lock_name()


def anvil_package() -> str:
    """npm package that carries Anvil's binary for this machine, for instance `@foundry-rs/anvil-linux-amd64`."""
    machine = platform.machine().lower()
    return f"@foundry-rs/anvil-{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
