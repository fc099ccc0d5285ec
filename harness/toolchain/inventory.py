"""Looks at every external tool without changing anything: what `harness doctor` prints."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.toolchain.anvil import INSTALL_HINT, anvil_binary, anvil_version
from harness.toolchain.commands import run
from harness.toolchain.errors import ToolError
from harness.toolchain.install import node_modules


@dataclass(frozen=True, slots=True)
class ToolStatus:
    """One tool as found on this machine."""

    name: str
    found: bool            # present, and of a version we accept
    where: str | None      # path, or the engine's address; None if absent
    version: str | None    # None if absent or it did not say
    required: bool         # without it the embedded (sim, local) runtimes do not run
    remedy: str            # how to get it; empty where nothing is to be done
    problem: str = ""      # why it is not `found` though something is there


def inspect() -> list[ToolStatus]:
    """Status of each tool, in the order a person would install them; blocks for some seconds at most, never raises."""
    return [_python(), *(_command(spec) for spec in _COMMANDS[:2]), _anvil(), _solc(),
            *(_command(spec) for spec in _COMMANDS[2:]), _compose()]


@dataclass(frozen=True, slots=True)
class _Command:
    name: str
    arguments: tuple[str, ...]
    required: bool
    remedy: str
    version_in: Callable[[str], str] = str.strip


_COMMANDS = (
    _Command("node", ("node", "--version"), True, "install Node.js 18 or newer",
             lambda text: text.strip().removeprefix("v")),
    _Command("npm", ("npm", "--version"), True, "install npm, which comes with Node.js",
             lambda text: text.strip().splitlines()[-1]),
    _Command("make", ("make", "--version"), False, "install make; without it, type the Makefile's commands by hand",
             lambda text: text.splitlines()[0].removeprefix("GNU Make ")),
    _Command("docker engine", ("docker", "version", "--format", "{{.Server.Version}}"), False,
             "install Docker Engine 20.10 or newer and start it (on Debian, as root: compose/engine start); only the "
             "compose runtime needs it"),
)


def _python() -> ToolStatus:
    enough = sys.version_info >= (3, 11)
    return ToolStatus("python", enough, sys.executable, platform.python_version(), True,
                      "" if enough else "install Python 3.11 or newer",
                      "" if enough else "older than 3.11")  # fmt: skip


def _command(spec: _Command) -> ToolStatus:
    where = shutil.which(spec.arguments[0])
    if where is None:
        return ToolStatus(spec.name, False, None, None, spec.required, spec.remedy, "not on PATH")
    outcome = run(spec.arguments)
    if outcome.code != 0 or not outcome.output.strip():
        first = next(iter(outcome.output.strip().splitlines()), f"ended with code {outcome.code}")
        return ToolStatus(spec.name, False, where, None, spec.required, spec.remedy, outcome.problem or first)
    return ToolStatus(spec.name, True, where, spec.version_in(outcome.output), spec.required, "")


def _anvil() -> ToolStatus:
    try:
        binary = anvil_binary()
        return ToolStatus("anvil", True, str(binary), anvil_version(binary), True, "")
    except ToolError as error:
        return ToolStatus("anvil", False, None, None, True, error.remedy, f"{error.what}: {error.found}")


def _solc() -> ToolStatus:
    try:
        package: Path = node_modules() / "solc"
        version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
        return ToolStatus("solc", True, str(package), str(version), True, "")
    except ToolError as error:
        return ToolStatus("solc", False, None, None, True, error.remedy, f"{error.what}: {error.found}")
    except (OSError, ValueError, KeyError) as error:
        return ToolStatus("solc", False, None, None, True, INSTALL_HINT, f"its package is damaged: {error}")


def _compose() -> ToolStatus:
    remedy = "install the Docker Compose plugin (v2; v1 is accepted); only the compose runtime needs it"
    problem = "not on PATH"
    for command in (("docker", "compose", "version", "--short"), ("docker-compose", "version", "--short")):
        where = shutil.which(command[0])
        if where is None:
            continue
        outcome = run(command)
        if outcome.code == 0:
            return ToolStatus("docker compose", True, where, outcome.output.strip().removeprefix("v"), False, "")
        problem = outcome.problem or "this docker has no compose command"
    return ToolStatus("docker compose", False, None, None, False, remedy, problem)
