"""Installing happens once, whole or not at all, and says what is wrong when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.toolchain import ToolError, anvil_binary, cache_home, install, node_binary, node_modules
from harness.toolchain.__main__ import main
from harness.toolchain.places import PINS, installed_root, toolchain_root
from tests.toolchain.conftest import NPM_THAT_WORKS, MakeTool


def test_the_cache_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "own"))
    assert cache_home() == tmp_path / "own"
    monkeypatch.delenv("HARNESS_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_home() == tmp_path / "xdg" / "harness"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/invalid")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_home() == tmp_path / ".cache" / "harness"


def test_a_second_install_calls_npm_no_more(machine: Path, put_tool: MakeTool) -> None:
    put_tool("npm", NPM_THAT_WORKS)
    told: list[str] = []
    root = install(told.append)
    assert told[0].startswith("installing Anvil")
    assert install(told.append) == root
    assert _calls() == 1
    assert node_modules() == root / "node_modules"
    assert anvil_binary().is_relative_to(root)
    assert (root / "package-lock.json").read_bytes() == (PINS / "package-lock.json").read_bytes()


def test_concurrent_installers_install_once(machine: Path, put_tool: MakeTool) -> None:
    """Threads here, processes elsewhere: the lock is of the open file, so both exclude each other."""
    put_tool("npm", NPM_THAT_WORKS)
    roots: list[Path] = []
    threads = [threading.Thread(target=lambda: roots.append(install())) for _ in range(3)]
    code = "from harness.toolchain import install; print(install())"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    output, _ = other.communicate(timeout=30)
    assert {*map(str, roots), output.strip()} == {str(installed_root())}
    assert len(roots) == 3
    assert _calls() == 1


def test_a_failed_install_leaves_nothing_but_its_log(machine: Path, put_tool: MakeTool) -> None:
    put_tool("npm", "mkdir node_modules; echo npm error code ENOTFOUND; exit 1")
    with pytest.raises(ToolError, match=r"`npm ci` ended with code 1 \(ENOTFOUND\), its output is in .*\.log"):
        install()
    assert sorted(path.name for path in toolchain_root().iterdir()) == ["install.lock", "npm-install.log"]
    with pytest.raises(ToolError, match=r"not installed: .* run `python -m harness.toolchain install`"):
        node_modules()
    put_tool("npm", NPM_THAT_WORKS)
    assert install() == installed_root()


def test_the_rest_of_a_killed_install_is_cleared(machine: Path, put_tool: MakeTool) -> None:
    put_tool("npm", NPM_THAT_WORKS)
    rest = toolchain_root() / ".installing-abandoned"
    rest.mkdir(parents=True)
    (rest / "half").write_text("half")
    install()
    assert not rest.exists()


def test_a_missing_npm_or_node_says_how_to_get_it(machine: Path) -> None:
    with pytest.raises(ToolError, match=r"no npm found: PATH has none; install Node\.js"):
        install()
    with pytest.raises(ToolError, match=r"no node found: PATH has none; install Node\.js"):
        node_binary()


def test_a_folder_that_cannot_be_written_is_named(
    machine: Path, put_tool: MakeTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_tool("npm", NPM_THAT_WORKS)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "file"))
    with pytest.raises(ToolError, match=r"could not be installed: .*Not a directory; make room or rights there"):
        install()


def test_the_command_line_answers_with_exit_codes(
    machine: Path, put_tool: MakeTool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["frobnicate"]) == 2
    assert main(["where"]) == 4
    assert "python -m harness.toolchain install" in capsys.readouterr().err
    put_tool("npm", NPM_THAT_WORKS)
    assert main(["install"]) == 0
    assert capsys.readouterr().out.strip() == str(installed_root())
    assert main(["where"]) == 0
    assert "node_modules" in capsys.readouterr().out


def _calls() -> int:
    return len((Path(os.environ["HARNESS_HOME"]) / "calls").read_text().splitlines())
