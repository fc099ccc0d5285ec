"""Finds the Anvil that a run is to use and refuses every version but the pinned one."""

from __future__ import annotations

import os
import re
import shutil
from functools import lru_cache
from pathlib import Path

from harness.toolchain.commands import run
from harness.toolchain.errors import ToolError
from harness.toolchain.places import anvil_package, installed_root

ACCEPTED_ANVIL = "1.7.1"
"""Block hashes, ordering and base fees rest on this very version: others order and prune differently."""

INSTALL_HINT = "install the pinned one with `python -m harness.toolchain install`"


def anvil_binary() -> Path:
    """Path of an Anvil whose version is accepted: `$ANVIL`, else the pinned npm copy, else the one on PATH.

    Runs it once with `--version` (some 20 ms; remembered for as long as the file does not change).

    Raises:
        ToolError: none is found, it does not run, or its version is another. A wrong `$ANVIL` is never passed over.
    """
    if chosen := os.environ.get("ANVIL"):
        return _accepted(Path(chosen).expanduser().absolute(), source="$ANVIL", remedy=f"unset it, or {INSTALL_HINT}")
    pinned = pinned_anvil()
    if pinned.exists():
        return _accepted(pinned, source="the pinned npm package",
                         remedy=f"delete {installed_root()} and {INSTALL_HINT}")
    if on_path := shutil.which("anvil"):
        return _accepted(Path(on_path).absolute(), source="PATH", remedy=INSTALL_HINT)
    raise ToolError("no Anvil found", found=f"$ANVIL is not set, {pinned} does not exist and PATH has none",
                    remedy=INSTALL_HINT)


def pinned_anvil() -> Path:
    """Where the npm package of this platform puts its binary; it need not exist."""
    return installed_root() / "node_modules" / anvil_package() / "bin" / "anvil"


def anvil_version(binary: Path) -> str:
    """Version that a binary says it is, for instance `1.7.1`.

    Raises:
        ToolError: the file is missing, cannot be run, or does not answer as Anvil does.
    """
    try:
        status = binary.stat()
    except OSError as error:
        raise ToolError("Anvil cannot be run", found=f"{binary}: {error.strerror}", remedy=INSTALL_HINT) from error
    return _asked_version(binary, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _asked_version(binary: Path, _mtime_ns: int, _size: int) -> str:
    outcome = run([binary, "--version"])
    if outcome.code is None:
        raise ToolError("Anvil cannot be run", found=f"{binary}: {outcome.problem}", remedy=INSTALL_HINT)
    said = re.match(r"anvil (?:Version: )?v?(\S+)", outcome.output)
    if outcome.code != 0 or said is None:
        first = outcome.output.strip().splitlines()[:1]
        raise ToolError("Anvil did not say its version",
                        found=f"{binary} --version ended with code {outcome.code} and {first}", remedy=INSTALL_HINT)
    return said[1]


def _accepted(binary: Path, *, source: str, remedy: str) -> Path:
    version = anvil_version(binary)
    if version.partition("-")[0] != ACCEPTED_ANVIL:
        raise ToolError(f"Anvil {version} is not the accepted {ACCEPTED_ANVIL}", found=f"{binary} (from {source})",
                        remedy=f"equal block hashes on all nodes rest on the version: {remedy}")
    return binary
