"""Compilation: cached by content, readable when it fails, the same bytecode from every compiler."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.solidity import artifacts as artifacts_module
from harness.solidity import compile as compile_module
from harness.solidity import solc
from harness.solidity.abi_file import compact_abi
from harness.solidity.compile import CompilationFailed, compile_contracts, contracts_root
from harness.toolchain import ToolError, node_binary, node_modules
from harness.toolchain.commands import run
from harness.venue.deployment import ABI_FILE, CONTRACTS

SIMPLE = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
contract Simple is Context {
    function half(uint256 x) external pure returns (uint256) { return x / 2; }
}
"""


@pytest.fixture(scope="module", autouse=True)
def _needs_the_compiler() -> None:
    try:
        node_binary(), node_modules()
    except ToolError as error:
        pytest.skip(f"no Solidity compiler: {error}")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree of one small contract, and an empty cache that still has the installed tools."""
    modules = node_modules()
    monkeypatch.setattr(compile_module, "node_modules", lambda: modules)
    monkeypatch.setattr(solc, "node_modules", lambda: modules)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    folder = tmp_path / "sources" / "exchange"
    folder.mkdir(parents=True)
    (folder / "Simple.sol").write_text(SIMPLE)
    return folder.parent


def test_second_compilation_comes_from_the_cache_without_a_compiler(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make demo`'s second run needs neither Node nor network."""
    first = compile_contracts(root)

    def forbidden() -> Path:
        raise AssertionError("the compiler was asked for on a warm cache")

    monkeypatch.setattr(compile_module, "solc_binary", forbidden)
    monkeypatch.setattr(compile_module, "node_modules", forbidden)
    assert compile_contracts(root) == first
    (root / "exchange" / "Simple.sol").write_text(SIMPLE.replace("x / 2", "x / 3"))
    with pytest.raises(AssertionError, match="was asked for"):
        compile_contracts(root)


def test_comment_changes_no_bytecode(root: Path) -> None:
    """Deployed code, and with it every genesis, depends on the code alone."""
    first = compile_contracts(root)["Simple"]
    (root / "exchange" / "Simple.sol").write_text(SIMPLE + "// a remark\n")
    assert compile_contracts(root)["Simple"] == first


def test_damaged_cache_file_is_made_again(root: Path, tmp_path: Path) -> None:
    """A torn or foreign file in the cache is only a slow start."""
    first = compile_contracts(root)
    (cached,) = (tmp_path / "home" / "artifacts").glob("*.json")
    cached.write_bytes(b'{"key": 1}')
    assert compile_contracts(root) == first


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (("uint256 x)", "uint257 x)"), ["contracts/exchange/Simple.sol:5: DeclarationError: Identifier not found"]),
        (("utils/Context.sol", "utils/Contest.sol"), ["contracts/exchange/Simple.sol:3: ParserError: Source"]),
        (("return x", "return nothing; return x"), ["contracts/exchange/Simple.sol:5: DeclarationError"]),
    ],
)
def test_errors_read_as_path_line_message(root: Path, change: tuple[str, str], lines: list[str]) -> None:
    """What an editor can jump to; solc's own text repeats the whole input."""
    (root / "exchange" / "Simple.sol").write_text(SIMPLE.replace(*change))
    with pytest.raises(CompilationFailed) as caught:
        compile_contracts(root)
    said = str(caught.value)
    assert all(line in said for line in lines)
    assert len(said) < 2_000


def test_many_errors_are_cut_to_the_first_few(root: Path) -> None:
    """A missing import can make hundreds."""
    broken = "".join(f"  function f{i}() external {{ x{i} = 1; }}\n" for i in range(30))
    (root / "exchange" / "Simple.sol").write_text(f"pragma solidity ^0.8.28;\ncontract Simple {{\n{broken}}}\n")
    with pytest.raises(CompilationFailed, match="and 22 more"):
        compile_contracts(root)


def test_missing_sources_are_named(tmp_path: Path) -> None:
    """A broken checkout says so instead of compiling nothing."""
    with pytest.raises(CompilationFailed, match=r"no Solidity source under .* in exchange, l1, l2"):
        compile_contracts(tmp_path)


def test_wrapper_answers_as_py_solc_x_expects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--version` parses and is the pinned one; anything else is refused."""
    modules = node_modules()
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    wrapper = solc.node_wrapper(node_binary(), modules)
    from solcx.wrapper import get_solc_version

    assert str(get_solc_version(wrapper)) == solc.pinned_versions()["solc"]
    assert run([wrapper, "--bin"]).code == 2
    assert solc.node_wrapper(node_binary(), modules) == wrapper


def test_native_compiler_gives_the_same_bytecode(root: Path) -> None:
    """Where one of the pinned version is installed it is used, and nothing may change by that."""
    native = shutil.which("solc")
    if native is None or f"Version: {solc.pinned_versions()['solc']}+" not in run([native, "--version"]).output:
        pytest.skip("no native solc of the pinned version on PATH")
    by_native = compile_contracts(root)
    (root.parent / "home").rename(root.parent / "other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compile_module, "solc_binary", lambda: solc.node_wrapper(node_binary(), node_modules()))
        assert compile_contracts(root) == by_native


def test_our_contracts_compile_without_warnings_and_fit_the_code_limit() -> None:
    """24 576 bytes is what a node deploys (EIP-170)."""
    compiled = compile_contracts()
    assert compiled.warnings == ()
    assert all(0 < len(compiled[name].runtime) <= 24_576 for name in CONTRACTS.values())


def test_abi_file_is_what_the_sources_compile_to() -> None:
    """Roles encode by the kept file; `python -m harness.solidity abi` writes it anew."""
    assert ABI_FILE.read_bytes() == compact_abi(compile_contracts())


def test_sources_are_those_of_the_checkout_or_those_a_wheel_carries() -> None:
    """The installed package must find its contracts without the repository."""
    assert (contracts_root() / "exchange" / "Vault.sol").is_file()


def test_artifacts_survive_their_file() -> None:
    """What was written is what is read; what is no artifacts file is a ValueError."""
    compiled = compile_contracts()
    assert artifacts_module.from_bytes(artifacts_module.to_bytes(compiled)) == compiled
    with pytest.raises(ValueError, match="not an artifacts file"):
        artifacts_module.from_bytes(b"[]")
    with pytest.raises(KeyError, match="no contract 'Volt' among the artifacts: "):
        compiled["Volt"]
