"""Other people's artifacts: Foundry's `out/`, Hardhat's `artifacts/`, and Solidity sources we compile ourselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import orjson
from eth_abi import encode  # type: ignore[attr-defined]  # re-exported without __all__
from eth_abi.exceptions import EncodingError

from harness.evm.abi import AbiEntry, canonical_type

FILES_MAX = 20_000
ARTIFACT_BYTES_MAX = 64 << 20
_HEX = re.compile(r"(0x)?[0-9a-fA-F]*")


class ArtifactProblem(Exception):
    """A contract cannot be found, read, linked or constructed: the user's to mend. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Link:
    """A place in bytecode where a library's address belongs."""

    library: str     # `source.sol:Name`
    starts: tuple[int, ...]   # in bytes


@dataclass(frozen=True, slots=True)
class ForeignArtifact:
    """One contract as its compiler left it."""

    name: str
    source: str
    abi: tuple[AbiEntry, ...]
    bytecode: str             # hex without 0x; zeros or placeholders where libraries go
    links: tuple[Link, ...]

    @property
    def label(self) -> str:
        return f"{self.name} ({self.source})"

    def creation(self, arguments: Iterable[Any], libraries: Mapping[str, str]) -> bytes:
        """Linked bytecode and encoded constructor arguments.

        Args:
            libraries: address by library name, or by `source.sol:Name`.

        Raises:
            ArtifactProblem: no bytecode, a library is missing, or the arguments do not fit.
        """
        if not self.bytecode:
            raise ArtifactProblem(
                f"{self.label} has no bytecode: it is an interface or an abstract contract; "
                "deploy a contract that implements it"
            )
        return self._linked(libraries) + self._encoded(list(arguments))

    def _linked(self, libraries: Mapping[str, str]) -> bytes:
        code = self.bytecode
        for link in self.links:
            short = link.library.rpartition(":")[2]
            address = libraries.get(link.library) or libraries.get(short)
            if address is None:
                raise ArtifactProblem(
                    f"{self.label} is not linked: it needs the library {short} ({link.library}); deploy {short} before "
                    f"it, or give its address under libraries: {{{short}: …}}"
                )
            for start in link.starts:
                code = code[: 2 * start] + address[2:].lower() + code[2 * start + 40 :]
        try:
            return bytes.fromhex(code)
        except ValueError:
            raise ArtifactProblem(f"{self.label} has bytecode that is not hex; compile it again") from None

    def _encoded(self, arguments: list[Any]) -> bytes:
        inputs = self.constructor_inputs
        wanted = f"{self.name}({', '.join(_declared(item) for item in inputs)})"
        if len(arguments) != len(inputs):
            raise ArtifactProblem(
                f"the constructor is {wanted} and takes {len(inputs)} arguments, given are {len(arguments)}: "
                f"{_shown(arguments)}"
            )
        for item, argument in zip(inputs, arguments, strict=True):
            try:
                encode([canonical_type(item)], [argument])
            except (EncodingError, TypeError, ValueError) as error:
                raise ArtifactProblem(
                    f"the constructor is {wanted}; {_shown([argument])} does not fit {_declared(item)}: {error}"
                ) from None
        return bytes(encode([canonical_type(item) for item in inputs], arguments))

    @property
    def constructor_inputs(self) -> list[AbiEntry]:
        return next((list(entry["inputs"]) for entry in self.abi if entry["type"] == "constructor"), [])


class Contracts:
    """Everything that may be deployed, by name."""

    def __init__(self, artifacts: Iterable[ForeignArtifact], *, place: str) -> None:
        self.artifacts = tuple(artifacts)
        self.place = place

    def find(self, name: str) -> ForeignArtifact:
        """The contract called `Name`, or `source.sol:Name` where several are.

        Raises:
            ArtifactProblem: there is none, or the name is ambiguous.
        """
        source, _, short = name.rpartition(":")
        found = [a for a in self.artifacts if a.name == short and (not source or a.source.endswith(source))]
        if len(found) > 1 and len({a.bytecode for a in found}) > 1:
            places = ", ".join(sorted(f"{a.source}:{a.name}" for a in found))
            raise ArtifactProblem(f"{name} is several contracts in {self.place}; write one of {places}")
        if found:
            return found[0]
        known = sorted({a.name for a in self.artifacts})
        near = get_close_matches(name, known, n=2, cutoff=0.5)
        hint = f" (did you mean {' or '.join(near)}?)" if near else f"; it has {', '.join(known[:20]) or 'none'}"
        raise ArtifactProblem(f"no contract {name} in {self.place}{hint}")


def read_contracts(path: Path, *, shown: str) -> Contracts:
    """What a path holds: artifacts of Foundry or Hardhat, or Solidity sources, which are compiled (cached).

    Raises:
        ArtifactProblem: nothing is there, or nothing of that kind.
        CompilationFailed, ToolError: sources were there and did not compile.
    """
    from harness.solidity.user_sources import compile_folder

    if not path.exists():
        remedy = {"out": "; run `forge build` first", "artifacts": "; run `npx hardhat compile` first"}
        raise ArtifactProblem(f"{shown}: nothing is there{remedy.get(path.name, '')}")
    files = [path] if path.is_file() else _files(path, shown)
    artifacts = [found for file in files if file.suffix == ".json" and (found := _read_artifact(file)) is not None]
    if not artifacts and any(file.suffix == ".sol" for file in files):
        artifacts = compile_folder(path.parent if path.is_file() else path, files)
    if not artifacts:
        kinds = "neither artifacts of Foundry or Hardhat (*.json with abi and bytecode) nor Solidity sources (*.sol)"
        raise ArtifactProblem(f"{shown}: {kinds} are there")
    return Contracts(artifacts, place=shown)


def _files(folder: Path, shown: str) -> list[Path]:
    found: list[Path] = []
    for file in sorted(folder.rglob("*")):
        # build-info repeats all artifacts in one file; node_modules and lib are what sources import.
        if file.suffix in (".json", ".sol") and not {"build-info", "node_modules", "lib"} & set(
            file.relative_to(folder).parts[:-1]
        ):
            if file.suffix == ".sol" and file.is_dir():
                continue  # Foundry names a folder after each source
            found.append(file)
        if len(found) > FILES_MAX:
            raise ArtifactProblem(f"{shown}: more than {FILES_MAX} files; name the folder of the contracts")
    return found


def _read_artifact(file: Path) -> ForeignArtifact | None:
    """The contract of a JSON file; None for a file that is something else."""
    try:
        if file.stat().st_size > ARTIFACT_BYTES_MAX:
            return None
        data = orjson.loads(file.read_bytes())
    except (orjson.JSONDecodeError, OSError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("abi"), list):
        return None
    code = data.get("bytecode", "")
    links = data.get("linkReferences") or {}
    if isinstance(code, dict):  # Foundry's, and solc's own
        links = code.get("linkReferences") or {}
        code = code.get("object", "")
    source = data.get("sourceName") or _compilation_target(data) or file.parent.name
    return artifact_of(str(data.get("contractName") or file.stem), str(source), data["abi"], code, links)


def artifact_of(name: str, source: str, abi: list[AbiEntry], code: Any, links: Mapping[str, Any]) -> ForeignArtifact:
    """From the parts that every compiler's output has."""
    text = str(code or "").removeprefix("0x")
    found = []
    for file, libraries in sorted(links.items()):
        for library, places in sorted(libraries.items()):
            starts = tuple(int(place["start"]) for place in places)
            found.append(Link(f"{file}:{library}", starts))
            for start in starts:
                text = text[: 2 * start] + "00" * 20 + text[2 * start + 40 :]
    return ForeignArtifact(name, source, tuple(abi), text, tuple(found))


def _compilation_target(data: dict[str, Any]) -> str | None:
    metadata = data.get("metadata")
    settings = metadata.get("settings") if isinstance(metadata, dict) else None
    target = settings.get("compilationTarget") if isinstance(settings, dict) else None
    return next(iter(target), None) if isinstance(target, dict) else None


def _declared(item: AbiEntry) -> str:
    return f"{canonical_type(item)} {item.get('name') or ''}".strip()


def _shown(arguments: Iterable[Any]) -> str:
    text = ", ".join(str(item) if not isinstance(item, bytes) else "0x" + item.hex() for item in arguments)
    return f"({text[:200]})"
