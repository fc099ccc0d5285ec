"""The doctor's list is complete, honest, and never fails itself."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.toolchain import ToolStatus, inspect, install
from tests.toolchain.conftest import NPM_THAT_WORKS, MakeTool

NAMES = ["python", "node", "npm", "anvil", "solc", "make", "docker engine", "docker compose"]


def statuses() -> dict[str, ToolStatus]:
    return {status.name: status for status in inspect()}


def test_on_a_bare_machine_everything_missing_has_a_remedy(machine: Path) -> None:
    found = statuses()
    assert list(found) == NAMES
    assert found.pop("python") == ToolStatus("python", True, sys.executable, ".".join(map(str, sys.version_info[:3])),
                                             True, "")
    for status in found.values():
        assert (status.found, status.version) == (False, None)
        assert status.remedy
        assert status.problem
    assert [name for name, status in statuses().items() if status.required] == NAMES[:5]


def test_what_is_there_is_named_with_place_and_version(machine: Path, put_tool: MakeTool) -> None:
    put_tool("npm", NPM_THAT_WORKS)
    put_tool("node", "echo v20.1.0")
    put_tool("make", "echo GNU Make 4.3; echo more")
    put_tool("docker", 'case "$1" in version) echo 27.0.1;; compose) echo v2.30.0;; esac')
    install()
    found = statuses()
    assert all(status.found and not status.remedy and not status.problem for status in found.values())
    versions = {name: status.version for name, status in found.items() if name != "python"}
    assert versions == {"node": "20.1.0", "npm": "10.0.0", "anvil": "1.7.1", "solc": "0.8.37", "make": "4.3",
                        "docker engine": "27.0.1", "docker compose": "2.30.0"}
    assert found["make"].where == str(machine / "make")


def test_a_tool_that_is_there_and_does_not_work_says_why(machine: Path, put_tool: MakeTool) -> None:
    put_tool("docker", "echo Cannot connect to the Docker daemon; exit 1")
    put_tool("anvil", "echo anvil Version: 9.9.9")
    found = statuses()
    engine, anvil = found["docker engine"], found["anvil"]
    assert (engine.found, engine.problem) == (False, "Cannot connect to the Docker daemon")
    assert not found["docker compose"].found
    assert not anvil.found
    assert "9.9.9 is not the accepted" in anvil.problem


def test_the_old_compose_command_is_accepted(machine: Path, put_tool: MakeTool) -> None:
    put_tool("docker", "exit 1")
    put_tool("docker-compose", "echo 1.29.2")
    assert statuses()["docker compose"].version == "1.29.2"
