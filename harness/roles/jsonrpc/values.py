"""Parameters of public requests, parsed strictly: nothing a client wrote reaches the execution node unread."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from harness.ports import Json
from harness.roles.jsonrpc.faults import RpcFault, invalid
from harness.rollup.blocks import Hash

T = TypeVar("T")

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
_BYTES: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")
_SHOWN_MAX: Final = 80
WORD_HEX: Final = 64


def shown(value: Json) -> str:
    """A client's value inside a message: short, whatever it is."""
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


class Params:
    """Positional parameters of one request, taken in order; `done` refuses what is left over."""

    def __init__(self, method: str, values: Json) -> None:
        if values is None:
            values = []
        if not isinstance(values, list):
            raise invalid(f"params of {method} must be an array, not {shown(values)}")
        self.method = method
        self._values: Sequence[Json] = values
        self._next = 0

    def take(self, name: str, parse: Callable[[Json, str], T]) -> T:
        """The next parameter. Raises `RpcFault` where it is missing or malformed."""
        if self._next >= len(self._values) or self._values[self._next] is None:
            raise invalid(f"missing value for required argument {self._next} ({name}) of {self.method}")
        return self._parsed(name, parse)

    def optional(self, name: str, parse: Callable[[Json, str], T]) -> T | None:
        """The next parameter, or None where it is left out or null."""
        if self._next >= len(self._values):
            return None
        if self._values[self._next] is None:
            self._next += 1
            return None
        return self._parsed(name, parse)

    def done(self) -> None:
        if self._next < len(self._values):
            raise invalid(f"too many arguments for {self.method}: want at most {self._next}, got {len(self._values)}")

    def _parsed(self, name: str, parse: Callable[[Json, str], T]) -> T:
        value = self._values[self._next]
        self._next += 1
        return parse(value, name)


def quantity(value: Json, name: str) -> int:
    """A number: 0x-hex of at most 256 bits, or a JSON integer, which many clients send."""
    if isinstance(value, str) and _QUANTITY.match(value):
        return int(value, 16)
    if type(value) is int and value >= 0:
        return value
    raise invalid(f"{name} must be a quantity such as \"0x1b4\", not {shown(value)}")


def small(value: Json, name: str) -> int:
    """A quantity of at most 64 bits."""
    number = quantity(value, name)
    if number >> 64:
        raise invalid(f"{name} {shown(value)} does not fit 64 bits")
    return number


def data(value: Json, name: str) -> bytes:
    """Bytes as 0x-hex with two digits each."""
    if isinstance(value, str) and _BYTES.match(value):
        return bytes.fromhex(value[2:])
    raise invalid(f"{name} must be 0x-prefixed hex with an even number of digits, not {shown(value)}")


def _exactly(value: Json, name: str, size: int) -> str:
    if isinstance(value, str) and len(value) == 2 + 2 * size and _BYTES.match(value):
        return value.lower()
    raise invalid(f"{name} must be 0x-prefixed hex of {size} bytes, not {shown(value)}")


def address(value: Json, name: str) -> str:
    """20 bytes as lower-case 0x-hex."""
    return _exactly(value, name, 20)


def hash32(value: Json, name: str) -> Hash:
    """32 bytes as lower-case 0x-hex."""
    return Hash(_exactly(value, name, 32))


def slot(value: Json, name: str) -> str:
    """A storage key of at most 32 bytes, as 32."""
    if isinstance(value, str) and _QUANTITY.match(value):
        return f"0x{int(value, 16):064x}"
    raise invalid(f"{name} must be 0x-prefixed hex of at most 32 bytes, not {shown(value)}")


def boolean(value: Json, name: str) -> bool:
    if isinstance(value, bool):
        return value
    raise invalid(f"{name} must be true or false, not {shown(value)}")


def text(value: Json, name: str) -> str:
    if isinstance(value, str):
        return value
    raise invalid(f"{name} must be a string, not {shown(value)}")


def mapping(value: Json, name: str) -> Mapping[str, Json]:
    if isinstance(value, dict):
        return value
    raise invalid(f"{name} must be an object, not {shown(value)}")


def array(parse: Callable[[Json, str], T], *, at_most: int) -> Callable[[Json, str], list[T]]:
    """A parser of arrays of what `parse` takes."""

    def parse_all(value: Json, name: str) -> list[T]:
        if not isinstance(value, list):
            raise invalid(f"{name} must be an array, not {shown(value)}")
        if len(value) > at_most:
            raise invalid(f"{name} has {len(value)} elements; at most {at_most} are taken")
        return [parse(each, f"{name}[{index}]") for index, each in enumerate(value)]

    return parse_all


def anything(value: Json, name: str) -> Any:
    """A parameter that its method parses by itself, or ignores."""
    return value


def known_keys(found: Mapping[str, Json], name: str, known: Mapping[str, object] | frozenset[str]) -> None:
    """Refuse a key nobody reads: a typing error in it would otherwise pass unseen."""
    for key in found:
        if key not in known:
            raise invalid(f"{name} has the unknown key {shown(key)}; known are {', '.join(sorted(known))}")


def parsed_or_none(parse: Callable[[Json, str], T], value: Json, name: str) -> T | None:
    """`parse`'s answer, or None where it raises `RpcFault`."""
    try:
        return parse(value, name)
    except RpcFault:
        return None
