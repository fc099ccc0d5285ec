"""What roles say to each other, as JSON: strict on the way in, so that what is malformed is refused, never a crash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.consensus.messages import Certificate
from harness.consensus.messages import certificate_from_json as parse_certificate
from harness.ports import Refused
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, L1Origin
from harness.rollup.forced import ForcedEntry, entry_from_json

Json = Any

NUMBER_MAX = 2**63 - 1
ITEMS_MAX = 4_096
ORIGIN_FIELDS = 3
HASH_CHARACTERS = 66
ADDRESS_CHARACTERS = 42


class WireError(Refused, ValueError):
    """A message from a peer, or a journal row, is not what its kind demands.

    Raised while a message is handled it is the refusal its sender gets; raised over a reply it is one more way in
    which a peer failed to answer.
    """


def field(value: Json, key: str) -> Json:
    """A key of an object. Raises `WireError` where there is no object, or no such key in it."""
    if not isinstance(value, Mapping):
        raise WireError(f"expected an object with {key!r}, got {_shown(value)}")
    if key not in value:
        raise WireError(f"{key!r} is missing; there are {', '.join(map(str, value))[:80] or 'no keys'}")
    return value[key]


def number(value: Json, key: str, *, least: int = 0) -> int:
    """An integer field of least … 2**63 − 1."""
    return _number(field(value, key), repr(key), least=least)


def behind(value: Json) -> int:
    """How many blocks ago a read is to be answered as of: 0 unless the node was made to lie."""
    return number(value, "behind") if isinstance(value, Mapping) and "behind" in value else 0


def quantity(value: Json, key: str, *, bits: int = 255) -> int:
    """A signed integer field written as decimal text, below 2**bits in magnitude."""
    found = text(value, key)
    digits = found.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= bits) or abs(int(found)) >> bits:
        raise WireError(f"{key!r} is {_shown(found)}, expected a decimal integer below 2**{bits}")
    return int(found)


def text(value: Json, key: str) -> str:
    """A text field."""
    found = field(value, key)
    if not isinstance(found, str):
        raise WireError(f"{key!r} is {_shown(found)}, expected text")
    return found


def data(value: Json, key: str) -> bytes:
    """A field of bytes as hex without 0x."""
    return _hex(field(value, key), repr(key))


def address(value: Json, key: str) -> str:
    """An address field, as lower-case 0x-hex."""
    found = text(value, key).lower()
    if len(found) != ADDRESS_CHARACTERS or not _is_hex(found):
        raise WireError(f"{key!r} is {_shown(found)}, expected an address of 20 bytes as 0x-hex")
    return found


def items(value: Json, key: str) -> list[Json]:
    """A list field, of a bounded length."""
    found = field(value, key)
    if not isinstance(found, list) or len(found) > ITEMS_MAX:
        raise WireError(f"{key!r} is {_shown(found)}, expected a list of at most {ITEMS_MAX}")
    return found


def certificate_from_json(value: Json) -> Certificate:
    """A certificate as `consensus.messages.to_json` writes it. Raises `WireError`."""
    try:
        return parse_certificate(value)
    except ValueError as error:
        raise WireError(str(error)) from error


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
    """Parse what `inputs_to_json` made. Raises `WireError` naming what is missing or malformed.

    Every number is one the execution node can be given: no node may fall over a block that a leader made up.
    """
    origin = field(value, "origin")
    if origin is not None and (not isinstance(origin, list) or len(origin) != ORIGIN_FIELDS):
        raise WireError(f"'origin' is {_shown(origin)}, expected null or [number, hash, timestamp]")
    return BlockInputs(
        chain_id=number(value, "chain"),
        number=number(value, "number"),
        parent=parse_hash(field(value, "parent")),
        timestamp=number(value, "timestamp"),
        base_fee=number(value, "base_fee"),
        transactions=tuple(_hex(raw, "'txs'") for raw in items(value, "txs")),
        origin=None
        if origin is None
        else L1Origin(_number(origin[0], "'origin'"), parse_hash(origin[1]), _number(origin[2], "'origin'")),
    )


def block_to_json(block: ExecutedBlock) -> Json:
    """A block as one element of a reply's `blocks`; the inverse of `block_from_json`."""
    return {"hash": block.hash, "inputs": inputs_to_json(block.inputs)}


def block_from_json(item: Json) -> tuple[Hash, BlockInputs]:
    """One element of a reply's `blocks`: the hash it is said to have, and its inputs. Raises `WireError`."""
    return parse_hash(field(item, "hash")), inputs_from_json(field(item, "inputs"))


def forced_from_json(item: Json) -> tuple[ForcedEntry, ...]:
    """What joined the forced queue in an L1 block of a reply: `forced`, where anything did. Raises `WireError`."""
    if "forced" not in item:
        return ()
    try:
        return tuple(map(entry_from_json, items(item, "forced")))
    except (ValueError, TypeError, AttributeError) as error:
        raise WireError(f"'forced' is malformed: {error}") from error


def parse_hash(value: Json) -> Hash:
    """A 32-byte hash from its 0x-hex text, or `WireError`."""
    if not isinstance(value, str) or len(value) != HASH_CHARACTERS or not _is_hex(value):
        raise WireError(f"not a 32-byte hash: {_shown(value)}")
    return Hash(value)


def _number(found: Json, what: str, *, least: int = 0) -> int:
    if type(found) is not int or not least <= found <= NUMBER_MAX:
        raise WireError(f"{what} is {_shown(found)}, expected an integer of {least} … 2**63 - 1")
    return found


def _hex(found: Json, what: str) -> bytes:
    try:
        if isinstance(found, str):
            return bytes.fromhex(found)
    except ValueError:
        pass
    raise WireError(f"{what} is {_shown(found)}, expected hex without 0x")


def _is_hex(value: str) -> bool:
    try:
        return value.startswith("0x") and bool(bytes.fromhex(value[2:]))
    except ValueError:
        return False


def _shown(value: Json) -> str:
    return str(value)[:80] if isinstance(value, (dict, list)) else repr(value)[:80]
