"""What compilation gives: per contract its ABI and bytecode, in one cached JSON file."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:  # a network that finds everything in its caches encodes nothing
    from harness.evm.abi import AbiEntry


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract."""

    name: str
    source: str                 # source unit, for instance `contracts/exchange/Vault.sol`
    abi: tuple[AbiEntry, ...]
    creation: bytes             # bytecode that runs the constructor; constructor arguments follow it
    runtime: bytes              # deployed bytecode with immutables still zero


@dataclass(frozen=True, slots=True)
class Artifacts:
    """One compilation. `key` names sources, settings and compiler together."""

    key: str
    contracts: dict[str, Artifact]
    warnings: tuple[str, ...]   # of our own sources

    def __getitem__(self, name: str) -> Artifact:
        """The contract of this name, or a KeyError that lists what there is."""
        try:
            return self.contracts[name]
        except KeyError:
            raise KeyError(f"no contract {name!r} among the artifacts: {', '.join(sorted(self.contracts))}") from None


def to_bytes(artifacts: Artifacts) -> bytes:
    """The cache file's content."""
    return orjson.dumps({
        "key": artifacts.key,
        "warnings": artifacts.warnings,
        "contracts": {
            name: {"source": item.source, "abi": item.abi, "creation": item.creation.hex(),
                   "runtime": item.runtime.hex()}
            for name, item in artifacts.contracts.items()
        },
    })


def from_bytes(data: bytes) -> Artifacts:
    """The reverse of `to_bytes`.

    Raises:
        ValueError: the content is not such a file.
    """
    try:
        read = orjson.loads(data)
        contracts = {
            name: Artifact(name=name, source=item["source"], abi=tuple(item["abi"]),
                           creation=bytes.fromhex(item["creation"]), runtime=bytes.fromhex(item["runtime"]))
            for name, item in read["contracts"].items()
        }
        return Artifacts(key=read["key"], contracts=contracts, warnings=tuple(read["warnings"]))
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"not an artifacts file: {error!r}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see all of it or none, whoever else writes it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
