"""Toxiproxy's Node client: installed once per lock into the cache, its sessions run as processes of their own."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from harness.toolchain.commands import run as run_command
from harness.toolchain.install import node_binary, npm_binary
from harness.toolchain.places import cache_home

NPM = Path(__file__).parent / "npm"
SESSION_TIMEOUT_S = 60.0


def installed() -> Path:
    """A folder in which the sessions find the client."""
    lock = (NPM / "package-lock.json").read_bytes()
    home = cache_home() / "tests" / f"toxiproxy-client-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (home / "node_modules" / "toxiproxy-node-client").is_dir():
        home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(NPM / name, home / name)
        done = run_command([npm_binary(), "ci", "--ignore-scripts"], cwd=home, timeout_s=120)
        assert done.code == 0, done.output
    return home


def take(session: str, *arguments: str) -> Any:
    """What a session saw. AssertionError with its last words where it failed."""
    home = installed()
    shutil.copyfile(NPM / session, home / session)
    done = subprocess.run(
        [node_binary(), home / session, *arguments],
        capture_output=True, timeout=SESSION_TIMEOUT_S, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
