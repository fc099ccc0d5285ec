"""The house holds: imports point down, the pure floors stay pure, modules stay small enough to read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HARNESS = ROOT / "harness"
LINES_MAX = 400

# DESIGN §3. A module is looked up by its longest prefix here.
FLOORS = {
    "harness": 0,
    "harness.consensus": 0,
    "harness.rollup": 0,
    "harness.evm": 0,
    "harness.venue": 0,
    "harness.model": 0,
    "harness.pricing": 0,
    "harness.faults": 0,
    "harness.history": 0,
    "harness.checks": 0,
    "harness.plan": 1,  # speaks of link rules, so it stands beside the ports
    "harness.ports": 1,
    "harness.project_plan": 1,
    "harness.roles": 2,
    "harness.runtimes": 3,
    "harness.anvil": 3,
    "harness.proxy": 3,
    "harness.solidity": 3,
    "harness.toolchain": 3,
    "harness.scenario": 4,
    "harness.project": 4,  # a user's own contracts: reading, deploying, planning
    "harness.testing": 4,  # networks for pytest
    "harness.report": 4,
    "harness.network": 4,
    "harness.hunt": 4,
    "harness.mutants": 4,
    "harness.cli": 5,
    "harness.pytest_plugin": 5,
    "harness.dashboard": 5,
}
# Values that a lower floor may speak of although they stand higher, each with its reason.
ALLOWED_UP = {
    ("harness.faults", "harness.ports"): "LinkRule and LinkCounters are the vocabulary of link faults; values only",
}
# Modules that outgrew the limit, with a limit of their own, so that they do not go on growing unseen.
LONG = {
    "harness.runtimes.sim.loop": 530,  # one event loop; asyncio's interface is that wide
}
PURE = 2  # the floors up to this one get time, randomness and identifiers through ports only

BANNED_MODULES = {"random", "secrets", "uuid", "socket", "subprocess", "threading", "multiprocessing", "signal"}
BANNED_CALLS = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
    "time.sleep", "datetime.now", "datetime.utcnow", "datetime.today", "datetime.datetime.now",
    "datetime.datetime.utcnow", "date.today", "os.urandom", "os.getrandom", "os.getpid",
}  # fmt: skip
# Each leaves a set's elements in an order of its own; `sorted`, `len`, `sum`, `any` and the like do not.
ORDERED_USES = {"list", "tuple", "enumerate", "iter", "zip", "map", "next", "reversed"}


def modules() -> list[Path]:
    return sorted(path for path in HARNESS.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The named part of the house a module belongs to."""
    known = [room for room in FLOORS if module == room or module.startswith(room + ".")]
    return max(known, key=len)


def floor_of(module: str) -> int:
    return FLOORS[room_of(module)]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, those inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import; write it in full"
            yield node.lineno, node.module or ""
            # `from harness import plan` names a module too.
            if node.module == "harness":
                yield from ((node.lineno, f"harness.{alias.name}") for alias in node.names)


def upward(module: str, tree: ast.AST) -> Iterator[str]:
    for line, target in imported(tree):
        if target.split(".")[0] != "harness" or target == "harness":
            continue
        pair = (room_of(module), room_of(target))
        if floor_of(target) > floor_of(module) and pair not in ALLOWED_UP:
            yield f"{module}:{line} (floor {floor_of(module)}) imports {target} (floor {floor_of(target)})"


def impure(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) for each way around the ports."""
    for line, target in imported(tree):
        if target.split(".")[0] in BANNED_MODULES:
            yield line, f"import {target}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in BANNED_CALLS:
            yield node.lineno, f"{ast.unparse(node.func)}()"
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "os"):
            for alias in node.names:
                if f"{node.module}.{alias.name}" in BANNED_CALLS:
                    yield node.lineno, f"from {node.module} import {alias.name}"


class SetOrder(ast.NodeVisitor):
    """Finds iteration over an expression that is plainly a set: a literal, a comprehension, `set()`, or a local name
    only ever bound to one of those in the same function."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []
        self._sets: list[set[str]] = [set()]

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id in ("set", "frozenset")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            return self._is_set(node.left) or self._is_set(node.right)
        return isinstance(node, ast.Name) and node.id in self._sets[-1]

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        bound: dict[str, list[ast.expr | None]] = {}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Assign):
                for target in inner.targets:
                    if isinstance(target, ast.Name):
                        bound.setdefault(target.id, []).append(inner.value)
            elif isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                bound.setdefault(inner.target.id, []).append(inner.value)
        self._sets.append(set())
        self._sets[-1] = {
            name for name, values in bound.items() if all(value is not None and self._is_set(value) for value in values)
        }
        self.generic_visit(node)
        self._sets.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _note(self, node: ast.expr) -> None:
        if self._is_set(node):
            self.found.append((node.lineno, ast.unparse(node)))

    def visit_For(self, node: ast.For) -> None:
        self._note(node.iter)
        self.generic_visit(node)

    def _comprehension(self, node: ast.ListComp | ast.DictComp | ast.GeneratorExp) -> None:
        for generator in node.generators:
            self._note(generator.iter)
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in ORDERED_USES or method in ("join", "extend"):
            for argument in node.args:
                self._note(argument)
        if method == "pop" and isinstance(node.func, ast.Attribute) and not node.args:
            self._note(node.func.value)
        self.generic_visit(node)


def set_order(tree: ast.AST) -> list[tuple[int, str]]:
    visitor = SetOrder()
    visitor.visit(tree)
    return visitor.found


def test_every_module_lives_in_a_room_with_a_floor() -> None:
    """A new top-level package is discussed, then gets its floor here."""
    homeless = [
        name_of(path) for path in modules() if room_of(name_of(path)) == "harness" and name_of(path) != "harness"
    ]
    assert homeless == []


def test_imports_point_down_only() -> None:
    assert [wrong for path in modules() for wrong in upward(name_of(path), parsed(path))] == []


def test_checks_and_model_import_no_role_runtime_or_socket() -> None:
    """They judge a history that anyone can hand them."""
    for path in modules():
        if room_of(name_of(path)) in ("harness.checks", "harness.model", "harness.history"):
            for line, target in imported(parsed(path)):
                allowed = not target.startswith("harness") or floor_of(target) == 0
                assert allowed, f"{name_of(path)}:{line} imports {target}"


def test_pure_floors_get_time_and_randomness_through_ports_only() -> None:
    """A run in sim is a function of its seed because nothing here can look at the world."""
    wrong = [
        f"{name_of(path)}:{line}: {what}"
        for path in modules() if floor_of(name_of(path)) <= PURE
        for line, what in impure(parsed(path))
    ]  # fmt: skip
    assert wrong == []


def test_pure_floors_never_iterate_over_a_set() -> None:
    """The order of a set of strings differs from process to process."""
    wrong = [
        f"{name_of(path)}:{line}: iterates over {what}; sort it first"
        for path in modules() if floor_of(name_of(path)) <= PURE
        for line, what in set_order(parsed(path))
    ]  # fmt: skip
    assert wrong == []


def test_the_model_computes_in_integers_and_fractions_only() -> None:
    """What is right to the wei is never said by a float, nor by anything that may have been one."""
    wrong = [
        f"{name_of(path)}:{line}: {what}"
        for path in modules() if room_of(name_of(path)) == "harness.model"
        for line, what in inexact(parsed(path))
    ]  # fmt: skip
    assert wrong == []


def inexact(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Floats, what turns into one, and `/`, of which nobody sees whether it divides integers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, repr(node.value)
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "/"
        elif isinstance(node, ast.Name) and node.id in ("float", "complex"):
            yield node.lineno, node.id
        elif isinstance(node, ast.ImportFrom) and node.module in ("math", "statistics", "decimal"):
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names if name.name != "isqrt")
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names
                        if name.name in ("math", "statistics", "decimal", "cmath"))


@pytest.mark.parametrize(
    "source",
    ["x = 0.5", "x = a / b", "x /= 2", "x = float(a)", "x = 1e18", "from math import sqrt", "import math",
     "from decimal import Decimal", "x: float = 0"],
)  # fmt: skip
def test_what_is_not_exact_is_seen(source: str) -> None:
    assert list(inexact(ast.parse(source)))


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: count for name, count in lines.items() if count > LONG.get(name, LINES_MAX)} == {}


def test_every_module_says_why_it_exists() -> None:
    silent = [name_of(path) for path in modules() if not ast.get_docstring(parsed(path))]
    assert silent == []


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    odd = [path.name for path in modules() if path.stem in ("utils", "helpers", "common", "misc")]
    assert odd == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("harness.checks.x", "from harness.roles.trader import Trader"),
        ("harness.rollup.x", "def f():\n    import harness.anvil.engine"),
        ("harness.roles.x", "from harness import cli"),
        ("harness.model.x", "import harness.runtimes"),
    ],
)
def test_an_upward_import_is_seen(module: str, source: str) -> None:
    assert list(upward(module, ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import random", "from secrets import token_hex", "import uuid", "import os\nos.urandom(4)",
        "import time\ntime.time()", "from time import monotonic", "from datetime import datetime\ndatetime.now()",
    ],
)  # fmt: skip
def test_a_way_around_the_ports_is_seen(source: str) -> None:
    assert list(impure(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: pass",
        "for x in set(names): pass",
        "def f(a):\n    s = set(a)\n    for x in s: pass",
        "def f(a):\n    s = {x for x in a}\n    return list(s)",
        "[x for x in frozenset(a) | b]",
        "','.join({a, b})",
        "def f(a):\n    s = set(a)\n    return s.pop()",
    ],
)
def test_iteration_over_a_set_is_seen(source: str) -> None:
    assert set_order(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "for x in sorted({1, 2}): pass",
        "def f(a):\n    s = set(a)\n    return len(s), max(s), x in s",
        "def f(a):\n    s = set(a)\n    s = sorted(s)\n    for x in s: pass",
        "for x in {1: 2}: pass",
        "any(x for x in names)",
    ],
)
def test_what_does_not_depend_on_set_order_is_let_be(source: str) -> None:
    assert not set_order(ast.parse(source))
