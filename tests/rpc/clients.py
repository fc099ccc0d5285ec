"""The npm clients the gateway is tested with: installed once per lock into the cache, and run as a user would."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.toolchain.install import node_binary, npm_binary
from harness.toolchain.places import PIN_FILES, cache_home

PINS = Path(__file__).parent / "npm"
INSTALL_TIMEOUT_S = 600
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def installed() -> Path:
    """The folder whose `node_modules` holds the pinned clients. Raises what npm's failing is."""
    digest = hashlib.sha256(b"".join((PINS / name).read_bytes() for name in PIN_FILES)).hexdigest()[:16]
    root = cache_home() / "rpc-clients" / digest
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            _install_into(root)
    return root


def _install_into(root: Path) -> None:
    for leftover in root.parent.glob(".installing-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=".installing-", dir=root.parent))
    try:
        for name in PIN_FILES:
            shutil.copyfile(PINS / name, partial / name)
        command = [npm_binary(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=partial, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        assert done.returncode == 0, f"npm ci ended with code {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def cast_binary(root: Path) -> Path:
    """Foundry's `cast`, from the platform's own package."""
    name = f"cast-{platform.system().lower()}-{_MACHINES[platform.machine().lower()]}"
    return root / "node_modules" / "@foundry-rs" / name / "bin" / "cast"


def run_node(root: Path, script: Path, *arguments: str, cwd: Path | None = None, timeout_s: float) -> str:
    """What a script printed. AssertionError with its last words where it failed."""
    environment = {**os.environ, "RPC_CLIENTS": str(root), "NO_COLOR": "1"}
    command = [str(node_binary()), str(script), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, (done.stdout[-3000:] + done.stderr[-3000:]).strip()
    return done.stdout
