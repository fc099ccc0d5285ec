"""Where networks live on this machine: a folder each, under the user's state folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.network.values import NetworkMisuse

DEFAULT = "dev"
STATE = "HARNESS_STATE"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def state_home() -> Path:
    """`$HARNESS_STATE`, else `harness` in the user's state folder (XDG)."""
    if own := os.environ.get(STATE):
        return Path(own).expanduser().absolute()
    shared = Path(os.environ.get("XDG_STATE_HOME", ""))
    # The XDG specification says that a relative path there is invalid and to be ignored.
    return (shared if shared.is_absolute() else Path.home() / ".local" / "state") / "harness"


def networks_home() -> Path:
    return state_home() / "networks"


def snapshots_home() -> Path:
    """Snapshots outlive the network they were taken of, so they do not live in its folder."""
    return state_home() / "snapshots"


def valid_name(name: str, *, what: str = "network") -> str:
    """The name itself. Raises `NetworkMisuse`."""
    if not _NAME.fullmatch(name):
        shown = name if len(name) <= 40 else name[:40] + "…"
        raise NetworkMisuse(
            f"{shown!r} cannot name a {what}: use up to 32 lower-case letters, digits and hyphens, such as dev-2"
        )
    return name


def folder_of(name: str) -> Path:
    """Where a network of that name lives or would live. Raises `NetworkMisuse`."""
    return networks_home() / valid_name(name)
