"""Which Solidity compiler to use: a native one of the pinned version, or the npm package behind a tiny script."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final

from harness.toolchain import cache_home, node_binary, node_modules
from harness.toolchain.commands import run
from harness.toolchain.places import PINS

_SCRIPT: Final = Path(__file__).with_name("solc.cjs")
_COMPILE_CPU_S: Final = 300
"""The kernel ends a compiler that used this much CPU; a cold compilation takes some 10 s."""


@lru_cache(maxsize=1)
def pinned_versions() -> dict[str, str]:
    """npm package → version of the lock, for the compiler and every Solidity library."""
    lock = json.loads((PINS / "package-lock.json").read_text(encoding="utf-8"))
    names = ("solc", "@openzeppelin/contracts", "solady")
    return {name: lock["packages"][f"node_modules/{name}"]["version"] for name in names}


def solc_binary() -> Path:
    """An executable that py-solc-x accepts as `solc_binary`, of the pinned version.

    A native `solc` on PATH is taken when it says exactly that version: it gives the same bytecode, faster.

    Raises:
        ToolError: Node or the installed npm packages are missing and there is no native compiler.
    """
    if has_native_solc():
        return Path(str(shutil.which("solc"))).absolute()
    return node_wrapper(node_binary(), node_modules())


@lru_cache(maxsize=1)
def has_native_solc() -> bool:
    """Whether there is a native `solc` on PATH of exactly the pinned version."""
    native = shutil.which("solc")
    return native is not None and f"Version: {pinned_versions()['solc']}+" in run([native, "--version"]).output


def serving_command() -> list[str]:
    """Starts the npm compiler so that it answers one line of standard JSON after the other. Raises ToolError."""
    return [str(node_binary()), str(_SCRIPT), str(node_modules()), "--serve"]


def node_wrapper(node: Path, modules: Path) -> Path:
    """The script that runs the npm compiler; made once per content, since its paths differ per machine."""
    arguments = " ".join(shlex.quote(str(part)) for part in (node, _SCRIPT, modules))
    text = f'#!/bin/sh\nulimit -t {_COMPILE_CPU_S}\nexec {arguments} "$@"\n'
    path = cache_home() / "solc" / hashlib.sha256(text.encode()).hexdigest()[:16]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".making-")
        with os.fdopen(handle, "w") as out:
            out.write(text)
        os.chmod(partial, 0o755)
        os.replace(partial, path)
    return path
