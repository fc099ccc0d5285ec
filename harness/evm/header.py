"""A block's header as the RLP bytes that its hash is of: what a contract needs that checks a proof against a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import rlp

from harness.evm.keccak import keccak

_BYTES: Final = 0
_NUMBER: Final = 1
_FIELDS: Final = (
    ("parentHash", _BYTES), ("sha3Uncles", _BYTES), ("miner", _BYTES), ("stateRoot", _BYTES),
    ("transactionsRoot", _BYTES), ("receiptsRoot", _BYTES), ("logsBloom", _BYTES), ("difficulty", _NUMBER),
    ("number", _NUMBER), ("gasLimit", _NUMBER), ("gasUsed", _NUMBER), ("timestamp", _NUMBER), ("extraData", _BYTES),
    ("mixHash", _BYTES), ("nonce", _BYTES), ("baseFeePerGas", _NUMBER), ("withdrawalsRoot", _BYTES),
    ("blobGasUsed", _NUMBER), ("excessBlobGas", _NUMBER), ("parentBeaconBlockRoot", _BYTES),
)  # fmt: skip
"""Field of `eth_getBlockByNumber` and what it is, in the order of the header; the last five from London to Cancun."""


def header_rlp(block: Mapping[str, Any]) -> bytes:
    """The header of a block as `eth_getBlockByNumber` gives it.

    Raises:
        ValueError: what comes out has another hash, so the block has fields of a fork that this does not know.
    """
    parts = [_part(block[name], kind) for name, kind in _FIELDS if name in block]
    encoded = bytes(rlp.encode(parts))
    if "0x" + keccak(encoded).hex() != block["hash"]:
        raise ValueError(f"the header of block {block['number']} does not give its hash {block['hash']}; the chain "
                         "runs a fork whose fields are not known here")
    return encoded


def _part(value: str, kind: int) -> bytes:
    if kind == _BYTES:
        return bytes.fromhex(value[2:])
    number = int(value, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
