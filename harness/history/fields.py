"""Strict reading of single JSON values: exact integers, hashes, addresses; what is wrong is named by its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.history.errors import HistoryError

_HASH = re.compile(r"0x[0-9a-f]{64}")
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")


def integer(value: Any, where: str) -> int:
    """An exact integer from a decimal string, or from a JSON integer (64-bit); floats and bools are refused."""
    if type(value) is str:
        digits = value[1:] if value[:1] == "-" else value
        if digits.isdigit() and digits.isascii() and len(digits) <= 400:
            return int(value)
    elif type(value) is int:
        return value
    raise HistoryError(f"{where} must be an integer in decimal digits, got {_short(value)}")


def integers(value: Any, where: str) -> tuple[int, ...]:
    """A list of exact integers."""
    return tuple(integer(item, where) for item in sequence(value, where))


def text(value: Any, where: str) -> str:
    if type(value) is str:
        return value
    raise HistoryError(f"{where} must be a string, got {_short(value)}")


def flag(value: Any, where: str) -> bool:
    if type(value) is bool:
        return value
    raise HistoryError(f"{where} must be true or false, got {_short(value)}")


def hash_(value: Any, where: str) -> str:
    """32 bytes as lower-case 0x-hex."""
    if type(value) is str and _HASH.fullmatch(value) is not None:
        return value
    raise HistoryError(f"{where} must be 64 lower-case hex digits after 0x, got {_short(value)}")


def address(value: Any, where: str) -> str:
    """20 bytes as lower-case 0x-hex."""
    if type(value) is str and _ADDRESS.fullmatch(value) is not None:
        return value
    raise HistoryError(f"{where} must be 40 lower-case hex digits after 0x, got {_short(value)}")


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    if type(value) is dict:
        return value
    raise HistoryError(f"{where} must be an object, got {_short(value)}")


def sequence(value: Any, where: str) -> list[Any]:
    if type(value) is list:
        return value
    raise HistoryError(f"{where} must be a list, got {_short(value)}")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
