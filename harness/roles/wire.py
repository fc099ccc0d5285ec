"""Blocks, origins and certificates as the JSON that roles exchange and journal; strict on the way in."""

from __future__ import annotations

from typing import Any

from harness.rollup.blocks import BlockInputs, Hash, L1Origin

Json = Any


class WireError(ValueError):
    """A message from a peer, or a journal row, is not what its kind demands."""


def inputs_to_json(inputs: BlockInputs) -> Json:
    """A block's inputs as a JSON object; the inverse of `inputs_from_json`."""
    origin = inputs.origin
    return {
        "chain": inputs.chain_id,
        "number": inputs.number,
        "parent": inputs.parent,
        "timestamp": inputs.timestamp,
        "base_fee": inputs.base_fee,
        "txs": [raw.hex() for raw in inputs.transactions],
        "origin": None if origin is None else [origin.number, origin.hash, origin.timestamp],
    }


def inputs_from_json(value: Json) -> BlockInputs:
    """Parse what `inputs_to_json` made. Raises `WireError` naming what is missing or malformed."""
    try:
        origin = value["origin"]
        return BlockInputs(
            chain_id=int(value["chain"]),
            number=int(value["number"]),
            parent=parse_hash(value["parent"]),
            timestamp=int(value["timestamp"]),
            base_fee=int(value["base_fee"]),
            transactions=tuple(bytes.fromhex(raw) for raw in value["txs"]),
            origin=None if origin is None else L1Origin(int(origin[0]), parse_hash(origin[1]), int(origin[2])),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise WireError(f"malformed block inputs: {type(error).__name__}: {error}") from error


def parse_hash(value: Json) -> Hash:
    """A 32-byte hash from its 0x-hex text, or `WireError`."""
    if not isinstance(value, str) or len(value) != 66 or not value.startswith("0x"):
        raise WireError(f"not a 32-byte hash: {str(value)[:80]!r}")
    int(value, 16)
    return Hash(value)
