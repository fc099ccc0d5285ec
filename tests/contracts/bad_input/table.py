"""What a row of the table of bad input is, and the rows that follow from a function's types alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from harness.evm.abi import AbiEntry, canonical_type
from harness.venue.deployment import ABI_FILE, CONTRACTS
from tests.contracts.bad_input.stage import Scene, Sender, Stage, as_built

Arguments = tuple[Any, ...]

OK = ""
OVERFLOW = "Panic(0x11"         # checked arithmetic left its type
NO_DATA = "reverted without data"

EXTREMES = {
    "uint": ("zero", "dust", "max"),
    "int": ("min", "minus dust", "zero", "dust", "max"),
    "address": ("zero", "max"),
    "bool": ("other",),
    "bytes32": ("zero", "max"),
    "bytes": ("empty", "byte"),
    "[]": ("empty",),
}
"""Type → names of the values that stand in for each argument of it, in the order in which a case gives outcomes."""

STATES = ("down", "grace", "resumed", "halted", "stale")
"""Beside the eight masks of a pause: the chain derives without a sequencer; it has just restarted; liquidation has just
been allowed again; the market of ETH halts; no price is fresh any more."""

_ADDRESS_MAX = "0x" + "ff" * 20


@dataclass(frozen=True, slots=True)
class Case:
    """One function, called as it may be, and what each way of calling it wrongly is answered with.

    An outcome is the name of an error, the beginning of its text if it has a bracket, or `OK`.
    """

    function: str                                   # field of the deployment, dot, signature
    who: Sender                                     # one who may
    args: Callable[[Stage], Arguments]              # with which it succeeds
    edges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)   # path of an argument → outcomes of EXTREMES
    foreign: str = OK                               # who is nobody here calls it with those arguments
    only: tuple[Sender, ...] = ()                   # not empty: nobody but these may, and all others get `foreign`
    base: str = OK                                  # of the call itself: what nobody may any more is never OK
    blocked: Mapping[int | str, str] = field(default_factory=dict)       # bit of a pause, or state → outcome
    scene: Scene = as_built
    finish: Callable[[Stage, Arguments], Arguments] = lambda stage, args: args   # signs what was changed
    moves_tokens: bool = False
    value: int = 0                                  # wei sent along

    @property
    def contract(self) -> str:
        return self.function.partition(".")[0]

    @property
    def signature(self) -> str:
        return self.function.partition(".")[2]


def changing_functions() -> dict[str, AbiEntry]:
    """Every function that can change something, as a case names it → its ABI."""
    abi: dict[str, list[AbiEntry]] = orjson.loads(ABI_FILE.read_bytes())
    found = {}
    for contract, name in CONTRACTS.items():
        for entry in abi[name]:
            if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure"):
                types = ",".join(canonical_type(item) for item in entry["inputs"])
                found[f"{contract}.{entry['name']}({types})"] = entry
    return found


def declared_errors() -> set[str]:
    """Names of all custom errors in all ABIs."""
    abi: dict[str, list[AbiEntry]] = orjson.loads(ABI_FILE.read_bytes())
    return {entry["name"] for entries in abi.values() for entry in entries if entry["type"] == "error"}


def paths(entry: AbiEntry) -> dict[str, tuple[tuple[int, ...], str]]:
    """Path of each argument, members of structs one by one → where it is in the arguments, and its type."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}

    def walk(item: AbiEntry, path: str, place: tuple[int, ...]) -> None:
        if item["type"] == "tuple":
            for number, member in enumerate(item["components"]):
                walk(member, f"{path}.{member['name']}", (*place, number))
        elif item["type"] == "tuple[]":
            found[path] = (place, "[]")
            for number, member in enumerate(item["components"]):
                walk(member, f"{path}.0.{member['name']}", (*place, 0, number))
        else:
            found[path] = (place, "[]" if item["type"].endswith("[]") else item["type"])

    for number, item in enumerate(entry["inputs"]):
        walk(item, item["name"] or str(number), (number,))
    return found


def extremes(type_: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of each stand-in for an argument of a type."""
    family = type_.rstrip("0123456789") if type_ != "bytes32" else type_
    names = EXTREMES[family]
    if family == "uint":
        values: tuple[Any, ...] = (0, 1, 2 ** int(type_[4:]) - 1)
    elif family == "int":
        values = (-(2 ** (int(type_[3:]) - 1)), -1, 0, 1, 2 ** (int(type_[3:]) - 1) - 1)
    elif family == "address":
        values = ("0x" + "00" * 20, _ADDRESS_MAX)
    elif family == "bool":
        values = (not value,)
    elif family == "bytes32":
        values = (bytes(32), b"\xff" * 32)
    elif family == "bytes":
        values = (b"", b"\x01")
    else:
        values = ([],)
    return zip(names, values, strict=True)


def replaced(arguments: Any, place: tuple[int, ...], value: Any) -> Any:
    """The arguments with another value at a place."""
    if not place:
        return value
    first, *rest = place
    changed = list(arguments)
    changed[first] = replaced(changed[first], tuple(rest), value)
    return tuple(changed) if isinstance(arguments, tuple) else changed


def at(arguments: Any, place: tuple[int, ...]) -> Any:
    for index in place:
        arguments = arguments[index]
    return arguments


def is_expected(error: str, outcome: str) -> bool:
    if outcome in (OK, NO_DATA):
        return error == outcome
    return error.startswith(outcome if "(" in outcome else outcome + "(")
