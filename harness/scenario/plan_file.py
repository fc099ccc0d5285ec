"""plan.json: a plan as data and back, exactly, versioned, so that a run can be replayed from its folder."""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from harness.plan import Plan
from harness.scenario.errors import ScenarioError

PLAN_VERSION = 1
PLAN_BYTES_MAX = 200_000_000
_JSON_INT_MAX = 2**53 - 1


def plan_bytes(plan: Plan) -> bytes:
    """Canonical JSON: equal plans give equal bytes. Integers beyond 2**53 are decimal strings."""
    document = {"version": PLAN_VERSION, "plan": _to_json(plan)}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def read_plan(path: Path) -> Plan:
    """The plan of a plan.json, or of a run folder that holds one. Raises ScenarioError."""
    file = path / "plan.json" if path.is_dir() else path
    try:
        if file.stat().st_size > PLAN_BYTES_MAX:
            raise ScenarioError.at("", f"larger than {PLAN_BYTES_MAX} bytes", file=str(file))
        raw = file.read_bytes()
    except FileNotFoundError:
        raise ScenarioError.at("", "no such plan; name a run folder or its plan.json", file=str(file)) from None
    except OSError as error:
        raise ScenarioError.at("", f"cannot be read: {error.strerror}", file=str(file)) from None
    return parse_plan(raw, file=str(file))


def parse_plan(raw: bytes, *, file: str = "plan.json") -> Plan:
    """Raises ScenarioError with the path to what does not fit."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ScenarioError.at("", f"not JSON: {error.msg}", file=file, line=error.lineno) from None
    if not isinstance(document, dict) or "plan" not in document:
        raise ScenarioError.at("", "not a plan: no key plan at the top", file=file)
    if document.get("version") != PLAN_VERSION:
        found = str(document.get("version"))[:40]
        raise ScenarioError.at("version", f"is {found}; this harness reads version {PLAN_VERSION}", file=file)
    try:
        plan = _from_json(Plan, document["plan"], "plan")
    except _Misfit as misfit:
        raise ScenarioError.at(misfit.where, misfit.what, file=file) from None
    assert isinstance(plan, Plan)
    return plan


class _Misfit(Exception):
    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what


def _to_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _JSON_INT_MAX:
        return str(value)
    return value


def _from_json(kind: Any, value: Any, where: str) -> Any:
    """Rebuild `value` as `kind`: dataclasses, tuples, optionals, literals and plain types; anything else misfits."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_from_json(kind, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _Misfit(where, "must be a list")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_from_json(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(value) != len(arguments):
            raise _Misfit(where, f"must have {len(arguments)} items, has {len(value)}")
        pairs = zip(arguments, value, strict=True)
        return tuple(_from_json(part, item, f"{where}[{i}]") for i, (part, item) in enumerate(pairs))
    if origin in (typing.Union, types.UnionType):
        if value is None and types.NoneType in arguments:
            return None
        (inner,) = (part for part in arguments if part is not types.NoneType)
        return _from_json(inner, value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise _Misfit(where, f"must be one of {', '.join(map(str, arguments))}")
        return value
    return _scalar(kind, value, where)


def _dataclass_from_json(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _Misfit(where, "must be an object")
    hints, optional = _field_types(kind), _optional_fields(kind)
    for name in value:
        if name not in hints:
            raise _Misfit(f"{where}.{name}", "unknown key")
    for name in hints:
        if name not in value and name not in optional:
            raise _Misfit(f"{where}.{name}", "is required")
    given = {name: part for name, part in hints.items() if name in value}
    return kind(**{name: _from_json(part, value[name], f"{where}.{name}") for name, part in given.items()})


@lru_cache(maxsize=64)
def _field_types(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


@lru_cache(maxsize=64)
def _optional_fields(kind: Any) -> frozenset[str]:
    """What a plan of an earlier harness may lack."""
    return frozenset(field.name for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING)


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is int and isinstance(value, str) and len(value) <= 80 and value.removeprefix("-").isdecimal():
        return int(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _Misfit(where, f"must be {kind.__name__}")
    return value
