"""Only what a change can reach is compiled again, and the outcome is that of compiling everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.solidity import compile as compile_module
from harness.solidity import incremental, solc
from harness.solidity.compile import CompilationFailed, cache_key, compile_sources, contracts_root, own_sources
from harness.solidity.incremental import affected_by, compile_changed
from harness.solidity.warm_compiler import WarmCompiler
from harness.toolchain import ToolError, node_binary, node_modules

HEAD = "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.28;\n"
SOURCES = {
    "Maths.sol": "library Maths { function half(uint256 x) internal pure returns (uint256) { return x / 2; } }",
    "Base.sol": 'import {Maths} from "./Maths.sol";\n'
    "abstract contract Base { function f(uint256 x) public pure returns (uint256) { return Maths.half(x); } }",
    "Store.sol": 'import {Base} from "./Base.sol";\ncontract Store is Base { uint256 public kept = 7; }',
    "Caller.sol": 'import {Store} from "./Store.sol";\n'
    "contract Caller { function ask(Store store) external view returns (uint256) { return store.kept() + 1; } }",
    "Maker.sol": 'import {Store} from "./Store.sol";\n'
    "contract Maker { function make() external returns (Store) { return new Store(); } }",
}


@pytest.fixture(autouse=True)
def _needs_the_compiler() -> None:
    try:
        node_binary(), node_modules()
    except ToolError as error:
        pytest.skip(f"no Solidity compiler: {error}")


def tree(folder: Path, **changes: str) -> Path:
    """A source tree, with texts of some of its files changed."""
    (folder / "exchange").mkdir(parents=True)
    for name, text in SOURCES.items():
        (folder / "exchange" / name).write_text(HEAD + changes.get(name.removesuffix(".sol"), text) + "\n")
    return folder


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Takes the place of the venue's sources; the cache is empty but for the tools."""
    modules = node_modules()
    for module in (compile_module, solc):
        monkeypatch.setattr(module, "node_modules", lambda: modules)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    root = tree(tmp_path / "ours")
    for module in (compile_module, incremental):
        monkeypatch.setattr(module, "contracts_root", lambda: root)
    return root


def reached(changed: str) -> set[str]:
    sources = {f"contracts/exchange/{name}": HEAD + text for name, text in SOURCES.items()}
    found = affected_by(frozenset({f"contracts/exchange/{changed}.sol"}), sources)
    return {name.split("/")[-1].removesuffix(".sol") for name in found}


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("Maths", {"Maths", "Base", "Store", "Maker"}),   # inlined, inherited, and in the code of who creates one
        ("Store", {"Store", "Maker"}),                    # who only calls it knows its interface alone
        ("Caller", {"Caller"}),
    ],
)
def test_a_change_reaches_those_whose_code_contains_it(changed: str, affected: set[str]) -> None:
    assert reached(changed) == affected


def test_an_import_that_cannot_be_read_reaches_everything() -> None:
    """Compiled too much is slow; compiled too little would put the wrong venue on trial."""
    sources = {"a.sol": HEAD + "contract A {}", "b.sol": HEAD + 'import "./a.sol";\ncontract B {}'}
    assert affected_by(frozenset({"a.sol"}), sources) == {"a.sol", "b.sol"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("Maths", "x / 2", "x / 3"),
        ("Store", "kept = 7", "kept = 8"),
        ("Store", "uint256 public kept = 7;", "uint256 private gone; function kept() external view returns (uint256) "
                                             "{ return gone + 9; } function more() external {}"),
    ],
)  # fmt: skip
def test_the_outcome_is_that_of_compiling_everything(
    ours: Path, tmp_path: Path, file: str, old: str, new: str
) -> None:
    """To the byte: bodies, initial values, and an interface that changed under its callers."""
    root = tree(tmp_path / "changed", **{file: SOURCES[f"{file}.sol"].replace(old, new)})
    with WarmCompiler() as compiler:
        made = compile_changed(root, compiler)
        sources = own_sources(root)
        whole = compile_sources(sources, cache_key(sources), compiler=compiler)
    assert (made.key, made.contracts) == (whole.key, whole.contracts)
    assert made.contracts != compile_module.compile_contracts(ours).contracts


def test_a_mutant_of_ours_is_found_out_to_reach_little() -> None:
    """The point of it all: the ladder alone is a fifth of the venue's code."""
    sources = own_sources(contracts_root())
    found = affected_by(frozenset({"contracts/exchange/Liquidator.sol"}), sources)
    assert len(found) <= 4
    assert len(affected_by(frozenset({"contracts/exchange/FixedPoint.sol"}), sources)) > 8


def test_a_compiler_that_stays_tells_errors_and_goes_on(ours: Path, tmp_path: Path) -> None:
    with WarmCompiler() as compiler:
        with pytest.raises(CompilationFailed, match=r"Store\.sol:\d+: "):
            compile_changed(tree(tmp_path / "bad", Store="contract Store { nonsense }"), compiler)
        compile_changed(tree(tmp_path / "good", Maths=SOURCES["Maths.sol"].replace("/ 2", "/ 4")), compiler)
