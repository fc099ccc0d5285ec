"""Decodes ABI data made of words, structs and arrays: some twenty times as fast as eth_abi, which reads streams.

A replica decodes the whole venue at every block, a keeper twice. Types with bytes or strings in them are left to
eth_abi; a test compares the two on both good and damaged data.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from eth_abi import decode  # type: ignore[attr-defined]  # re-exported without __all__
from eth_abi.exceptions import DecodingError
from eth_abi.grammar import ABIType, BasicType, TupleType, parse

Read = Callable[[bytes, int], Any]
"""Value of a type whose encoding begins at a byte position; that its head is all there has been checked."""

_WORD = 32
_WORD_BITS = 256
_ADDRESS_PADDING = bytes(12)
_DECODERS_CACHED = 256


class _Codec(NamedTuple):
    size: int            # bytes in the head
    is_dynamic: bool     # the head holds an offset
    read: Read


@lru_cache(maxsize=_DECODERS_CACHED)
def decoder(types: tuple[str, ...]) -> Callable[[bytes], tuple[Any, ...]]:
    """A function that decodes these canonical types, with eth_abi's values and its `DecodingError`."""
    codec = _tuple([parse(item) for item in types])
    if codec is None:
        return lambda data: tuple(decode(types, data))
    read = codec.read
    head = codec.size

    def decoded(data: bytes) -> tuple[Any, ...]:
        _check_room(data, 0, head)
        return tuple(read(data, 0))

    return decoded


def _codec(type_: ABIType) -> _Codec | None:
    if type_.arrlist:
        item = _codec(type_.item_type)
        length = type_.arrlist[-1]
        # Only arrays of unknown length occur in our contracts.
        return _array(item) if item is not None and not length else None
    if isinstance(type_, TupleType):
        return _tuple(list(type_.components))
    assert isinstance(type_, BasicType)
    read = _word_reader(type_)
    return _Codec(_WORD, False, read) if read is not None else None


def _tuple(types: list[ABIType]) -> _Codec | None:
    members: list[tuple[int, bool, Read]] = []
    at = 0
    for type_ in types:
        codec = _codec(type_)
        if codec is None:
            return None
        members.append((at, codec.is_dynamic, codec.read))
        at += _WORD if codec.is_dynamic else codec.size

    if not any(is_dynamic for _, is_dynamic, _ in members):
        words = [(where, item) for where, _, item in members]
        return _Codec(at, False, lambda data, start: tuple([item(data, start + where) for where, item in words]))

    def read(data: bytes, start: int) -> tuple[Any, ...]:
        _check_room(data, start, at)
        return tuple([
            item(data, start + _offset(data, start + where)) if is_dynamic else item(data, start + where)
            for where, is_dynamic, item in members
        ])

    return _Codec(at, True, read)


def _array(item: _Codec) -> _Codec:
    stride = _WORD if item.is_dynamic else item.size

    read_item = item.read

    def read(data: bytes, start: int) -> tuple[Any, ...]:
        _check_room(data, start, _WORD)
        count = _offset(data, start)
        start += _WORD
        _check_room(data, start, count * stride)
        heads = range(start, start + count * stride, stride)
        if item.is_dynamic:
            return tuple([read_item(data, start + _offset(data, head)) for head in heads])
        return tuple([read_item(data, head) for head in heads])

    return _Codec(_WORD, True, read)


def _offset(data: bytes, at: int) -> int:
    """A length or an offset: never more than there are bytes."""
    value = int.from_bytes(data[at:at + _WORD], "big")
    if value > len(data):
        raise DecodingError(f"offset or length {value} at byte {at} is beyond {len(data)} bytes")
    return value


def _check_room(data: bytes, at: int, size: int) -> None:
    if at + size > len(data):
        raise DecodingError(f"{size} bytes at byte {at} are beyond {len(data)} bytes")


def _word(data: bytes, at: int) -> bytes:
    return data[at:at + _WORD]


def _word_reader(type_: BasicType) -> Read | None:
    match type_.base, type_.sub:
        case "uint" | "int" | "bool" as base, sub:
            return _integer(base, 1 if base == "bool" or sub is None else int(sub))
        case "address", _:
            return _address
        case "bytes", 32:
            return _word
    return None


def _integer(base: str, bits: int) -> Read:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if base == "int" else (0, (1 << bits) - 1)
    signed = base == "int"
    make: type[int] = bool if base == "bool" else int

    from_bytes = int.from_bytes

    def read_any(data: bytes, at: int) -> int:
        return from_bytes(data[at:at + _WORD], "big", signed=signed)

    if bits == _WORD_BITS:
        return read_any     # whatever a word holds fits

    def read(data: bytes, at: int) -> int:
        value = from_bytes(data[at:at + _WORD], "big", signed=signed)
        if not low <= value <= high:
            raise DecodingError(f"{value} at byte {at} does not fit {base}{'' if base == 'bool' else bits}")
        return make(value)

    return read


def _address(data: bytes, at: int) -> str:
    if data[at:at + 12] != _ADDRESS_PADDING:
        raise DecodingError(f"0x{_word(data, at).hex()} at byte {at} is no address")
    return "0x" + data[at + 12:at + _WORD].hex()
