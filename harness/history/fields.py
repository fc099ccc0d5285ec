"""Strict reading of single JSON values: exact integers, hashes, addresses; what is wrong is named by its path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.history.errors import HistoryError

_HEX = frozenset("0123456789abcdef")


def integer(value: Any, where: str) -> int:
    """An exact integer from a decimal string, or from a JSON integer (64-bit); floats and bools are refused."""
    if type(value) is str:
        digits = value[1:] if value[:1] == "-" else value
        if digits.isdigit() and digits.isascii() and len(digits) <= 400:
            return int(value)
    elif type(value) is int:
        return value
    raise HistoryError(f"{where} must be an integer in decimal digits, got {_short(value)}")


def text(value: Any, where: str) -> str:
    if type(value) is str:
        return value
    raise HistoryError(f"{where} must be a string, got {_short(value)}")


def flag(value: Any, where: str) -> bool:
    if type(value) is bool:
        return value
    raise HistoryError(f"{where} must be true or false, got {_short(value)}")


def hex_string(value: Any, length: int, where: str) -> str:
    """Lower-case 0x-hex of exactly `length` characters, prefix included."""
    if type(value) is str and len(value) == length and value[:2] == "0x" and _HEX.issuperset(value[2:]):
        return value
    raise HistoryError(f"{where} must be {length - 2} lower-case hex digits after 0x, got {_short(value)}")


def hash_(value: Any, where: str) -> str:
    return hex_string(value, 66, where)


def address(value: Any, where: str) -> str:
    return hex_string(value, 42, where)


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
