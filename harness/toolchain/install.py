"""Installs the pinned npm packages once per lock, atomically, so that a second run needs no network."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.toolchain.anvil import pinned_anvil
from harness.toolchain.commands import run
from harness.toolchain.errors import ToolError
from harness.toolchain.machine_lock import machine_lock
from harness.toolchain.places import PIN_FILES, PINS, anvil_package, installed_root, toolchain_root

Narrate = Callable[[str], None]
"""Takes one line of progress, for stderr."""

NPM_TIMEOUT_S = 600.0
LOCK_TIMEOUT_S = 660.0  # longer than the other installer may take


def node_binary() -> Path:
    """Node's executable on PATH; it runs the Solidity compiler.

    Raises:
        ToolError: there is none.
    """
    return _on_path("node")


def npm_binary() -> Path:
    """npm's executable on PATH; it installs the pinned tools.

    Raises:
        ToolError: there is none.
    """
    return _on_path("npm")


def node_modules() -> Path:
    """The installed `node_modules`: `solc`, `@openzeppelin/contracts`, `solady` and Anvil's platform package.

    Raises:
        ToolError: the current lock has not been installed.
    """
    modules = installed_root() / "node_modules"
    if not modules.is_dir():
        raise ToolError("the pinned npm packages are not installed", found=f"{modules} does not exist",
                        remedy="run `python -m harness.toolchain install` (needs npm and, this once, the network)")
    return modules


def install(narrate: Narrate = lambda line: None) -> Path:
    """Install the lock unless it is already there, and return its root; blocks, at most some minutes.

    Safe beside other installers: one installs under a file lock into a temporary folder and renames it, the others
    wait and find it done.

    Raises:
        ToolError: npm is missing or failed, the folder cannot be written, or another installer holds the lock too long.
    """
    root = installed_root()
    if root.is_dir():
        return root
    try:
        lock = toolchain_root() / "install.lock"
        with machine_lock(lock, who="installer of the pinned tools", timeout_s=LOCK_TIMEOUT_S, narrate=narrate):
            if not root.is_dir():  # another installer may have finished while we waited
                _install_into(root, narrate)
    except OSError as error:
        raise ToolError("the pinned tools could not be installed", found=f"{root}: {error.strerror}",
                        remedy="make room or rights there, or set $HARNESS_HOME to another folder") from error
    return root


def _install_into(root: Path, narrate: Narrate) -> None:
    for leftover in root.parent.glob(".installing-*"):  # of an installer that was killed: we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    npm = npm_binary()
    narrate(f"installing Anvil, solc and the Solidity libraries with npm into {root} (once per lock)")
    started = time.monotonic()
    partial = Path(tempfile.mkdtemp(prefix=".installing-", dir=root.parent))
    try:
        for name in PIN_FILES:
            shutil.copyfile(PINS / name, partial / name)
        outcome = run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=partial, timeout_s=NPM_TIMEOUT_S)
        log = root.parent / "npm-install.log"
        log.write_text(outcome.output, encoding="utf-8")
        if outcome.code != 0:
            codes = re.findall(r"npm (?:error|ERR!) code (\S+)", outcome.output)
            how = outcome.problem or f"`npm ci` ended with code {outcome.code} ({', '.join(codes) or 'no npm code'})"
            raise ToolError("the pinned npm packages could not be installed", found=f"{how}, its output is in {log}",
                            remedy="check that this machine reaches its npm registry, then try again")
        os.chmod(partial, 0o755)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    narrate(f"installed the pinned tools in {time.monotonic() - started:.1f} s")
    if not pinned_anvil().exists():
        narrate(f"npm has no {anvil_package()}: set $ANVIL to an Anvil of the accepted version")


def _on_path(name: str) -> Path:
    if found := shutil.which(name):
        return Path(found).absolute()
    raise ToolError(f"no {name} found", found="PATH has none",
                    remedy="install Node.js 18 or newer with its npm (your system's packages, nvm or volta have it)")
