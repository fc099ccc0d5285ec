"""Compiles the contracts through py-solc-x and caches the artifacts by content: the second run starts no compiler."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

import orjson

from harness.solidity.artifacts import Artifact, Artifacts, from_bytes, to_bytes, write_atomically
from harness.solidity.solc import pinned_versions, solc_binary
from harness.toolchain import cache_home, node_modules

SETTINGS: Final[dict[str, Any]] = {
    "evmVersion": "cancun",  # Anvil's hardfork in every network of ours
    "optimizer": {"enabled": True, "runs": 200},
    # No metadata hash: a comment or another checkout path must not change a byte that is deployed.
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
}

_FOLDERS: Final = ("exchange", "l1", "l2")
_PREFIX: Final = "contracts/"
_LIBRARIES: Final = ("@openzeppelin/", "solady/")
_IMPORT: Final = re.compile(r'^\s*import\s[^"\';]*["\']([^"\']+)["\']', re.MULTILINE)
_ERRORS_SHOWN: Final = 8
_MESSAGE_MAX: Final = 300


class CompilationFailed(Exception):
    """The contracts do not compile; the message lists `path:line: what` for the first errors."""


def contracts_root() -> Path:
    """The Solidity sources: those a wheel carries, else the repository's."""
    package = Path(__file__).parents[1]
    carried = package / "_contracts"
    return carried if carried.is_dir() else package.parent / "contracts"


def compile_contracts(root: Path | None = None, *, folders: tuple[str, ...] = _FOLDERS) -> Artifacts:
    """Compile every contract under `root`'s folders, or read the same from the cache. Blocks; cold some 10 s.

    Raises:
        CompilationFailed: the sources have errors.
        ToolError: the compiler or its libraries are not installed.
    """
    sources = own_sources(root or contracts_root(), folders)
    key = cache_key(sources)
    artifacts = read_cached(key)
    if artifacts is None:
        artifacts = compile_sources(sources, key)
        write_cached(artifacts)
    return artifacts


def read_cached(key: str) -> Artifacts | None:
    """An earlier compilation, if the cache has it."""
    path = _cached(key)
    try:
        return from_bytes(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        path.unlink(missing_ok=True)  # a damaged cache is only a slow start
        return None


def write_cached(artifacts: Artifacts) -> None:
    write_atomically(_cached(artifacts.key), to_bytes(artifacts))


def _cached(key: str) -> Path:
    return cache_home() / "artifacts" / f"{key}.json"


def own_sources(root: Path, folders: tuple[str, ...] = _FOLDERS) -> dict[str, str]:
    """Name in a compilation → text, of every source under `root`'s folders. Raises CompilationFailed if none."""
    found = {
        _PREFIX + path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted((root / folder).rglob("*.sol"))
    }
    if not found:
        raise CompilationFailed(f"no Solidity source under {root} in {', '.join(folders)}; is the checkout complete?")
    return found


def cache_key(sources: dict[str, str]) -> str:
    """Hash of everything the output depends on. Libraries count by their pinned version, whose integrity npm checks."""
    content = orjson.dumps([sources, SETTINGS, pinned_versions()], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:32]


def compile_sources(
    sources: dict[str, str],
    key: str,
    *,
    only: Collection[str] | None = None,
    compiler: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Artifacts:
    """Compile sources named as `own_sources` names them, all contracts or those of the sources `only`; no cache.

    Raises what `compile_contracts` raises.
    """
    everything = sources | _library_sources(sources, node_modules())
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in everything.items()},
        "settings": SETTINGS | {"outputSelection": {name: {"*": [
            "abi", "evm.bytecode.object", "evm.deployedBytecode.object",
        ]} for name in sorted(sources if only is None else only)}},
    }
    output = (compiler or compile_with_solcx)(request)
    contracts = {
        name: Artifact(
            name=name,
            source=source,
            abi=tuple(item["abi"]),
            creation=bytes.fromhex(item["evm"]["bytecode"]["object"]),
            runtime=bytes.fromhex(item["evm"]["deployedBytecode"]["object"]),
        )
        for source, items in sorted(output["contracts"].items()) if source in sources
        for name, item in sorted(items.items()) if only is None or source in only
    }
    warnings = [item for item in output.get("errors", ()) if _file_of(item) in sources]
    return Artifacts(key=key, contracts=contracts, warnings=tuple(_line(item, everything) for item in warnings))


def compile_with_solcx(request: dict[str, Any]) -> dict[str, Any]:
    """The compiler's standard JSON, answered by a process started for it. Raises CompilationFailed, ToolError."""
    import solcx  # slow to import, and only needed on a cold cache
    from solcx.exceptions import SolcError

    try:
        output: dict[str, Any] = solcx.compile_standard(request, solc_binary=solc_binary())
        return output
    except SolcError as error:
        # Its own text repeats the whole input and output, hundreds of kB.
        details = [item for item in error.error_dict or () if item["severity"] == "error"]
        if details:
            texts = {name: item["content"] for name, item in request["sources"].items()}
            raise CompilationFailed(readable(details, texts)) from None
        said = (error.stderr_data or "")[-_MESSAGE_MAX:].strip()
        raise CompilationFailed(f"solc ended with code {error.return_code}: {said or 'it said nothing'}") from None


def _library_sources(sources: dict[str, str], modules: Path) -> dict[str, str]:
    """Every library file that the sources import, directly or not. Bounded by the files that exist."""
    found: dict[str, str] = {}
    pending = list(sources.items())
    while pending:
        importer, text = pending.pop()
        for target in _IMPORT.findall(text):
            name = normalised(importer, target)
            if not name.startswith(_LIBRARIES) or name in found:
                continue
            try:
                found[name] = (modules / name).read_text(encoding="utf-8")
            except OSError:
                continue  # solc reports the missing file with the line that imports it
            pending.append((name, found[name]))
    return found


def normalised(importer: str, target: str) -> str:
    """The name of a source that another imports, with `./` and `../` resolved."""
    if not target.startswith("."):
        return target
    parts = importer.split("/")[:-1]
    for part in target.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def readable(errors: list[dict[str, Any]], sources: dict[str, str]) -> str:
    lines = [_line(item, sources) for item in errors[:_ERRORS_SHOWN]]
    if len(errors) > _ERRORS_SHOWN:
        lines.append(f"and {len(errors) - _ERRORS_SHOWN} more")
    return "the contracts do not compile:\n" + "\n".join(f"  {line}" for line in lines)


def _file_of(item: dict[str, Any]) -> str:
    return str((item.get("sourceLocation") or {}).get("file", ""))


def _line(item: dict[str, Any], sources: dict[str, str]) -> str:
    """`path:line: Type: message`, as editors understand it."""
    message = f"{item['type']}: {' '.join(item['message'].split())}"[:_MESSAGE_MAX]
    file = _file_of(item)
    if file not in sources:
        return message
    start = max(0, item["sourceLocation"]["start"])  # a byte offset
    return f"{file}:{sources[file].encode()[:start].count(10) + 1}: {message}"
