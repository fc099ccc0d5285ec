"""Which Anvil is used, and that only the accepted version ever is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.toolchain import ToolError, anvil_binary, install
from tests.toolchain.conftest import NPM_THAT_WORKS, MakeTool

RIGHT = "echo 'anvil Version: 1.7.1'"
WRONG = "echo 'anvil Version: 1.5.0'"


def test_the_environment_outranks_the_pin_and_the_pin_outranks_the_path(
    machine: Path, put_tool: MakeTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = put_tool("anvil", RIGHT)
    assert anvil_binary() == on_path
    put_tool("npm", NPM_THAT_WORKS)
    root = install()
    assert anvil_binary().is_relative_to(root)
    chosen = put_tool("my-anvil", RIGHT)
    monkeypatch.setenv("ANVIL", str(chosen))
    assert anvil_binary() == chosen


def test_no_anvil_at_all_says_where_was_looked(machine: Path) -> None:
    with pytest.raises(ToolError, match=r"no Anvil found: \$ANVIL is not set, .* PATH has none; install the pinned"):
        anvil_binary()


@pytest.mark.parametrize("said", ["anvil Version: 1.7.0", "anvil Version: 1.7.10", "anvil 0.2.0 (abc 2024)"])
def test_another_version_is_refused(machine: Path, put_tool: MakeTool, said: str) -> None:
    put_tool("anvil", f"echo '{said}'")
    with pytest.raises(ToolError, match=r"Anvil [\d.]+ is not the accepted 1\.7\.1: .* \(from PATH\)"):
        anvil_binary()


def test_a_wrong_choice_is_not_passed_over(
    machine: Path, put_tool: MakeTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_tool("anvil", RIGHT)
    monkeypatch.setenv("ANVIL", str(put_tool("old", WRONG)))
    with pytest.raises(ToolError, match=r"1\.5\.0 is not the accepted 1\.7\.1: .* \(from \$ANVIL\)"):
        anvil_binary()
    monkeypatch.setenv("ANVIL", str(machine / "nowhere"))
    with pytest.raises(ToolError, match=r"cannot be run: .*No such file"):
        anvil_binary()


def test_a_replaced_binary_is_asked_again(machine: Path, put_tool: MakeTool) -> None:
    put_tool("anvil", RIGHT)
    assert anvil_binary()
    put_tool("anvil", WRONG + " # replaced")
    with pytest.raises(ToolError, match=r"1\.5\.0"):
        anvil_binary()


def test_something_else_called_anvil_is_refused(machine: Path, put_tool: MakeTool) -> None:
    put_tool("anvil", "echo hello; exit 3")
    with pytest.raises(ToolError, match=r"did not say its version: .* ended with code 3"):
        anvil_binary()
