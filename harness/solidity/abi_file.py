"""Writes the venue's ABI file from compiled artifacts; the file is kept, so that nobody else needs a compiler."""

from __future__ import annotations

import orjson

from harness.evm.abi import AbiEntry
from harness.solidity.artifacts import Artifacts
from harness.venue.deployment import CONTRACTS


def compact_abi(artifacts: Artifacts) -> bytes:
    """Content of `ABI_FILE`: functions, events and errors by contract; constructors and documentation left out."""
    kept = {
        name: [_compact(entry) for entry in artifacts[name].abi if entry["type"] in ("function", "event", "error")]
        for name in CONTRACTS.values()
    }
    return orjson.dumps(kept, option=orjson.OPT_INDENT_2) + b"\n"


def _compact(entry: AbiEntry) -> AbiEntry:
    return {key: [_parameter(item) for item in value] if isinstance(value, list) else value
            for key, value in entry.items()}


def _parameter(item: AbiEntry) -> AbiEntry:
    kept: AbiEntry = {key: item[key] for key in ("name", "type", "indexed") if key in item}
    if "components" in item:
        kept["components"] = [_parameter(member) for member in item["components"]]
    return kept
