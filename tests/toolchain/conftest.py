"""A machine of our own making: its own cache folder and a PATH that holds only the tools a test puts there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.toolchain.places import anvil_package

MakeTool = Callable[[str, str], Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its empty tool folder, alone on PATH; `$HARNESS_HOME` is empty as well and `$ANVIL` unset."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ANVIL", raising=False)
    return tools


@pytest.fixture
def put_tool(machine: Path) -> MakeTool:
    """Put an executable shell script on PATH."""

    def put(name: str, script: str) -> Path:
        path = machine / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        path.chmod(0o755)
        return path

    return put


NPM_THAT_WORKS = f"""
echo called >> "$HARNESS_HOME/calls"
case "$*" in --version) echo 10.0.0; exit 0;; esac
/bin/sleep 0.2
mkdir -p node_modules/solc "node_modules/{anvil_package()}/bin"
echo '{{"version": "0.8.37"}}' > node_modules/solc/package.json
printf '#!/bin/sh\\necho anvil Version: 1.7.1\\n' > "node_modules/{anvil_package()}/bin/anvil"
chmod 755 "node_modules/{anvil_package()}/bin/anvil"
"""
"""Installs stand-ins, and counts how often it was called."""
