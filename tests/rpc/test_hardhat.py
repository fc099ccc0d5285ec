"""Somebody's Hardhat project runs its tests against a node, with nothing changed but the URL."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.rpc import clients
from tests.rpc.network import Running

pytestmark = [pytest.mark.local, pytest.mark.node, pytest.mark.scenario, pytest.mark.xdist_group("rpc")]

PROJECT = Path(__file__).parent / "hardhat"
TIMEOUT_S = 200


def test_a_hardhat_project_runs_its_tests_against_the_network(
    network: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = clients.installed()
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    (project / "node_modules").symlink_to(root / "node_modules")
    (project / "package.json").write_text("{}")
    monkeypatch.setenv("RPC_URL", network.rpc("sequencer-0").http)
    monkeypatch.setenv("HARDHAT_DISABLE_TELEMETRY_PROMPT", "true")
    for folder in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(folder, str(tmp_path / "home"))
    cli = root / "node_modules" / "hardhat" / "internal" / "cli" / "bootstrap.js"
    said = clients.run_node(root, cli, "--config", "hardhat.config.cjs", "test", cwd=project, timeout_s=TIMEOUT_S)
    assert "6 passing" in said
    assert "failing" not in said
