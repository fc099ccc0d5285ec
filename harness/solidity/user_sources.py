"""Compiles a user's Solidity folder with our compiler; imports come from the folder, node_modules and our libraries."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from harness.solidity.artifacts import write_atomically
from harness.solidity.compile import SETTINGS, CompilationFailed, normalised, readable
from harness.solidity.foreign import ForeignArtifact, Link, artifact_of
from harness.solidity.solc import pinned_versions, solc_binary
from harness.toolchain import cache_home, node_modules

FORMAT: Final = 1
_IMPORT: Final = re.compile(r'^\s*import\s[^"\';]*["\']([^"\']+)["\']', re.MULTILINE)
_SOURCES_MAX: Final = 2_000
_MESSAGE_MAX: Final = 300


def compile_folder(folder: Path, files: Sequence[Path]) -> list[ForeignArtifact]:
    """Every contract of these files, from the cache or compiled (blocks; cold some seconds).

    Raises:
        CompilationFailed: the sources have errors; the message has `path:line`.
        ToolError: the compiler is not installed.
    """
    own = {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8", errors="replace")
        for file in files
        if file.suffix == ".sol"
    }
    everything = _with_imports(own, folder)
    content = orjson.dumps([FORMAT, everything, SETTINGS, pinned_versions()], option=orjson.OPT_SORT_KEYS)
    cached = cache_home() / "project-artifacts" / f"{hashlib.sha256(content).hexdigest()[:32]}.json"
    try:
        return [_from_json(item) for item in orjson.loads(cached.read_bytes())]
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError):
        cached.unlink(missing_ok=True)  # a damaged cache is only a slow start
    made = _compile(own, everything)
    write_atomically(cached, orjson.dumps([asdict(item) for item in made]))
    return made


def _from_json(item: dict[str, Any]) -> ForeignArtifact:
    links = tuple(Link(link["library"], tuple(link["starts"])) for link in item["links"])
    return ForeignArtifact(item["name"], item["source"], tuple(item["abi"]), item["bytecode"], links)


def _compile(own: dict[str, str], everything: dict[str, str]) -> list[ForeignArtifact]:
    import solcx  # slow to import, and only needed on a cold cache
    from solcx.exceptions import SolcError

    wanted = ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"]
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in everything.items()},
        "settings": SETTINGS | {"outputSelection": {name: {"*": wanted} for name in own}},
    }
    try:
        output = solcx.compile_standard(request, solc_binary=solc_binary())
    except SolcError as error:
        details = [item for item in error.error_dict or () if item["severity"] == "error"]
        if details:
            text = readable(details, everything)
            if any("requires different compiler version" in item["message"] for item in details):
                ours = pinned_versions()["solc"]
                text += f"\nours is solc {ours}; compile with Foundry or Hardhat and name its output"
            raise CompilationFailed(text) from None
        said = (error.stderr_data or "")[-_MESSAGE_MAX:].strip()
        raise CompilationFailed(f"solc ended with code {error.return_code}: {said or 'it said nothing'}") from None
    return [
        artifact_of(name, source, item["abi"], item["evm"]["bytecode"]["object"],
                    item["evm"]["bytecode"].get("linkReferences") or {})
        for source, items in sorted(output["contracts"].items()) if source in own
        for name, item in sorted(items.items())
    ]  # fmt: skip


def _with_imports(own: dict[str, str], folder: Path) -> dict[str, str]:
    """The sources and all they import, directly or not; a file that is nowhere is left to the compiler to report."""
    places = [folder, folder.parent, *(parent / "node_modules" for parent in (folder, *folder.parents)), node_modules()]
    found = dict(own)
    pending = list(own.items())
    while pending and len(found) < _SOURCES_MAX:
        importer, text = pending.pop()
        for target in _IMPORT.findall(text):
            name = normalised(importer, target)
            if name in found:
                continue
            for place in places:
                file = place / name
                if file.is_file():
                    found[name] = file.read_text(encoding="utf-8", errors="replace")
                    pending.append((name, found[name]))
                    break
    return found
