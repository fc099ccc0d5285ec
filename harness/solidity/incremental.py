"""Compiles a few changed sources of ours into artifacts that exist: only contracts whose code can have changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson

from harness.solidity.artifacts import Artifact, Artifacts
from harness.solidity.compile import (
    cache_key,
    compile_contracts,
    compile_sources,
    contracts_root,
    normalised,
    own_sources,
    read_cached,
    write_cached,
)

_IMPORTED: Final = re.compile(r'^\s*import\s*\{([^}]*)\}\s*from\s*["\']([^"\']+)["\']', re.MULTILINE)
_ANY_IMPORT: Final = re.compile(r"^\s*import\b", re.MULTILINE)
_PLAIN: Final = re.compile(r"^contract\s+(\w+)\b([^{]*)\{", re.MULTILINE)
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)

Compiler = Callable[[dict[str, Any]], dict[str, Any]]


def compile_changed(root: Path, compiler: Compiler) -> Artifacts:
    """What `compile_contracts(root)` gives, from its cache or made from the artifacts of our own sources.

    For a folder that is ours with a few changes. A source whose code cannot depend on a changed one is not compiled;
    where the interface of a changed contract is not the one its callers were compiled for, everything is.

    Raises what `compile_contracts` raises.
    """
    after = own_sources(root)
    key = cache_key(after)
    known = read_cached(key)
    if known is not None:
        return known
    base, before = compile_contracts(), own_sources(contracts_root())
    changed = frozenset(name for name in after if after[name] != before.get(name))
    if before.keys() != after.keys():
        made = compile_sources(after, key, compiler=compiler)
    else:
        some = compile_sources(after, key, only=affected_by(changed, after), compiler=compiler)
        if any(_interface(item) != _interface(base[name]) for name, item in some.contracts.items()):
            made = compile_sources(after, key, compiler=compiler)
        else:
            made = replace(some, contracts=dict(sorted({**base.contracts, **some.contracts}.items())))
    write_cached(made)
    return made


def affected_by(changed: frozenset[str], sources: Mapping[str, str]) -> frozenset[str]:
    """The changed sources and all whose contracts' code can depend on them.

    An import carries code unless all it names are plain contracts that the importer neither inherits nor creates: of
    those it knows the interface alone.
    """
    users: dict[str, set[str]] = {}
    for name, text in sources.items():
        for target in _code_of(name, text, sources):
            users.setdefault(target, set()).add(name)
    found = set(changed)
    pending = list(changed)
    while pending:
        for user in users.get(pending.pop(), set()) - found:
            found.add(user)
            pending.append(user)
    return frozenset(found)


def _code_of(name: str, text: str, sources: Mapping[str, str]) -> set[str]:
    text = _COMMENT.sub("", text)
    imports = _IMPORTED.findall(text)
    if len(imports) != len(_ANY_IMPORT.findall(text)):
        return set(sources)   # an import of another form: anything may be in it
    found: set[str] = set()
    for symbols, path in imports:
        target = normalised(name, path)
        if target not in sources:
            continue
        if any(_carries_code(symbol.strip(), text, sources[target]) for symbol in symbols.split(",")):
            found.add(target)
    return found


def _carries_code(symbol: str, text: str, target: str) -> bool:
    if symbol not in _plain_contracts(target):
        return True
    creates = re.search(rf"\bnew\s+{symbol}\b|\btype\(\s*{symbol}\s*\)", text) is not None
    inherits = any(
        re.search(rf"\b{symbol}\b", bases)
        for bases in re.findall(r"\b(?:contract|library)\s+\w+\s+is\s+([^{]*)\{", text)
    )
    return creates or inherits


@lru_cache(maxsize=256)
def _plain_contracts(text: str) -> frozenset[str]:
    return frozenset(name for name, _ in _PLAIN.findall(_COMMENT.sub("", text)))


def _interface(artifact: Artifact) -> list[str]:
    """What callers were compiled for. Errors and constructors are not: a selector is of the one who declares it."""
    return sorted(
        orjson.dumps(entry, option=orjson.OPT_SORT_KEYS).decode()
        for entry in artifact.abi
        if entry.get("type") in ("function", "receive", "fallback")
    )
