"""Values of a project file as ABI arguments: `$name` becomes an address, `5 ether` an exact integer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from harness.evm.abi import AbiEntry, canonical_type

_UNITS = {"wei": 0, "gwei": 9, "ether": 18}
_ARRAY = re.compile(r"(.*)\[(\d*)\]$")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_DIGITS_MAX = 90


class ArgumentProblem(ValueError):
    """A value does not fit what the ABI wants."""


def integer(value: Any) -> int:
    """An exact integer of `7`, `1_000`, `0x10`, `1e18`, `2.5 ether` or `30 gwei`.

    Raises:
        ArgumentProblem: it is none, or leaves digits over.
    """
    if isinstance(value, bool):
        raise ArgumentProblem(f"{value} is no integer")
    if isinstance(value, int):
        return value
    text = str(value).strip().replace("_", "")
    if len(text) > _DIGITS_MAX:
        raise ArgumentProblem(f"{text[:40]}… is too long for an integer")
    if re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return int(text, 16)
    number, _, unit = text.partition(" ")
    if unit and unit not in _UNITS:
        raise ArgumentProblem(f"{value!r} has the unit {unit!r}; known are {', '.join(_UNITS)}")
    with localcontext(prec=200):
        try:
            exact = Decimal(number).scaleb(_UNITS.get(unit, 0))
            whole = int(exact)
        except (InvalidOperation, ValueError, OverflowError):
            raise ArgumentProblem(f"{value!r} is no integer; write 7, 1e18 or 2.5 ether") from None
        if exact != whole:
            raise ArgumentProblem(f"{value!r} is no whole number of its smallest unit")
    return whole


def fitted(inputs: Sequence[AbiEntry], values: Sequence[Any], address_of: Callable[[str], str]) -> list[Any]:
    """Each value as its input's type wants it; as many as there are. The caller compares the counts.

    Raises:
        ArgumentProblem: one does not fit; says which.
    """
    made = []
    for item, value in zip(inputs, values, strict=False):
        try:
            made.append(_fit(item, value, address_of))
        except ArgumentProblem as error:
            name = item.get("name") or "argument"
            raise ArgumentProblem(f"{canonical_type(item)} {name}: {error}") from None
    return [*made, *values[len(made) :]]


def _fit(item: AbiEntry, value: Any, address_of: Callable[[str], str]) -> Any:
    type_: str = item["type"]
    array = _ARRAY.fullmatch(type_)
    if array:
        if not isinstance(value, list | tuple):
            raise ArgumentProblem(f"{value!r} is no list")
        if array[2] and len(value) != int(array[2]):
            raise ArgumentProblem(f"has {len(value)} items, not {array[2]}")
        return [_fit({**item, "type": array[1]}, entry, address_of) for entry in value]
    if type_ == "tuple":
        return _tuple(item, value, address_of)
    if type_ == "address":
        return _address(value, address_of)
    if type_.startswith(("uint", "int")):
        return _in_range(type_, integer(value))
    if type_ == "bool":
        if not isinstance(value, bool) and value not in ("true", "false"):
            raise ArgumentProblem(f"{value!r} is neither true nor false")
        return value in (True, "true")
    if type_.startswith("bytes"):
        return _bytes(type_, value)
    return value if not isinstance(value, Decimal) else str(value)


def _in_range(type_: str, number: int) -> int:
    signed = type_.startswith("int")
    bits = int(type_.removeprefix("u").removeprefix("int") or 256)
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not least <= number <= most:
        allowed = f"-2^{bits - 1} to 2^{bits - 1} - 1" if signed else f"0 to 2^{bits} - 1"
        raise ArgumentProblem(f"{number} is out of range; {type_} takes {allowed}")
    return number


def _tuple(item: AbiEntry, value: Any, address_of: Callable[[str], str]) -> tuple[Any, ...]:
    members: list[AbiEntry] = item["components"]
    if isinstance(value, Mapping):
        names = [member["name"] for member in members]
        if sorted(value) != sorted(names):
            raise ArgumentProblem(f"has the fields {', '.join(value)}, not {', '.join(names)}")
        value = [value[name] for name in names]
    if not isinstance(value, list | tuple) or len(value) != len(members):
        raise ArgumentProblem(f"{value!r} is no list of {len(members)} values")
    return tuple(fitted(members, list(value), address_of))


def _address(value: Any, address_of: Callable[[str], str]) -> str:
    if isinstance(value, str) and value.startswith("$"):
        return address_of(value[1:])
    if isinstance(value, str) and _ADDRESS.fullmatch(value):
        return value.lower()
    raise ArgumentProblem(f"{value!r} is neither $name nor an address of 20 bytes in quotes")


def _bytes(type_: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    text = str(value)
    try:
        raw = bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode("ascii")
    except ValueError:
        raise ArgumentProblem(f"{value!r} is neither 0x-hex nor ASCII text") from None
    size = int(type_[5:]) if type_ != "bytes" else len(raw)
    if len(raw) > size:
        raise ArgumentProblem(f"{value!r} has {len(raw)} bytes, {type_} has {size}")
    return raw.ljust(size, b"\x00")
