"""Bytes of a scenario file to plain data with line numbers, safely: bounded in size, depth, nodes and types."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from harness.scenario.errors import ScenarioError, dotted

FILE_BYTES_MAX = 1_000_000
DEPTH_MAX = 24
NODES_MAX = 50_000        # after aliases are expanded, so an alias bomb stops here

Location = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?\d{1,40}")
_FLOAT = re.compile(r"[-+]?(\d{1,40}\.\d{0,40}|\.\d{1,40}|\d{1,40}(\.\d{0,40})?[eE][-+]?\d{1,3})")
_KEYWORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(slots=True)
class Document:
    """What a file said, and where: `data` holds dict, list, str, int, Decimal, bool and None only."""

    data: Any
    file: str
    folder: Path                      # paths in the file are relative to it
    lines: dict[Location, int] = field(default_factory=dict)

    def line_of(self, location: Location) -> int | None:
        """The line of the nearest enclosing place that has one."""
        while location:
            if location in self.lines:
                return self.lines[location]
            location = location[:-1]
        return None

    def error(self, location: Location, what: str) -> ScenarioError:
        return ScenarioError.at(dotted(location), what, file=self.file, line=self.line_of(location))


def read_document(path: Path) -> Document:
    """Read and parse one scenario file. Raises ScenarioError naming the file, and the line where there is one."""
    shown = str(path)
    try:
        if path.is_dir():
            raise ScenarioError.at("", "is a directory; name a scenario file in it", file=shown)
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ScenarioError.at("", "no such file", file=shown) from None
    except OSError as error:
        raise ScenarioError.at("", f"cannot be read: {error.strerror}", file=shown) from error
    if len(raw) > FILE_BYTES_MAX:
        raise ScenarioError.at("", f"larger than {FILE_BYTES_MAX} bytes; a scenario is a small file", file=shown)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ScenarioError.at("", f"not UTF-8: byte 0x{raw[error.start]:02x}", file=shown, line=line) from None
    return parse_document(text, file=shown, folder=path.parent)


def parse_document(text: str, *, file: str, folder: Path) -> Document:
    """Parse YAML text whose top level is a mapping."""
    document = Document(None, file, folder)
    try:
        document.data = _Builder(document).build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ScenarioError.at(
            "", f"not valid YAML: {error.problem or error.context}", file=file, line=mark.line + 1 if mark else None
        ) from None
    except yaml.YAMLError as error:
        raise ScenarioError.at("", f"not valid YAML: {str(error).splitlines()[0]}", file=file) from None
    if not isinstance(document.data, dict):
        found = "nothing" if document.data is None else type(document.data).__name__
        raise ScenarioError.at("", f"a scenario is a mapping of keys to values; found {found}", file=file)
    return document


def plain_scalar(text: str) -> Any:
    """YAML 1.2's core reading of an unquoted scalar, with decimals kept exact."""
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return Decimal(text)
    return text


class _Builder:
    """Builds values from parser events: no constructor runs, no recursion in the parser, every count bounded."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._events: Any = None
        self._anchors: dict[str, tuple[Any, int, bool]] = {}   # value, number of nodes in it, has aliases inside
        self._nodes = 0
        self._aliases = 0

    def build(self, text: str) -> Any:
        self._events = yaml.parse(text, Loader=_LOADER)
        value = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refuse((), event, "holds several YAML documents; a scenario is one")
                value = self._node(next(self._events), ())
        return value

    def _refuse(self, location: Location, event: Any, what: str) -> ScenarioError:
        return ScenarioError.at(dotted(location), what, file=self._document.file, line=self._line(event))

    @staticmethod
    def _line(event: Any) -> int:
        return int(event.start_mark.line) + 1

    def _count(self, nodes: int, location: Location, event: Any) -> None:
        self._nodes += nodes
        if self._nodes > NODES_MAX:
            raise self._refuse(location, event, f"more than {NODES_MAX} values once aliases are expanded; refused")

    def _node(self, event: Any, location: Location) -> Any:
        if len(location) > DEPTH_MAX:
            raise self._refuse(location[:3], event, f"nested more than {DEPTH_MAX} deep; refused")
        self._document.lines.setdefault(location, self._line(event))
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._refuse(location, event, f"alias *{event.anchor} names no finished anchor")
            value, nodes, nested = self._anchors[event.anchor]
            if nested:  # also keeps an alias from adding to the depth without end
                raise self._refuse(location, event, f"alias *{event.anchor} names a value with aliases inside; refused")
            self._aliases += 1
            self._count(nodes, location, event)
            return value
        before, aliases = self._nodes, self._aliases
        self._count(1, location, event)
        if event.tag is not None and event.tag != "!":
            raise self._refuse(location, event, f"tag {event.tag} is not accepted; write plain values")
        if isinstance(event, yaml.ScalarEvent):
            value = plain_scalar(event.value) if event.implicit[0] else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(location)
        else:
            value = self._mapping(location)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._nodes - before, self._aliases > aliases)
        return value

    def _sequence(self, location: Location) -> list[Any]:
        values: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            values.append(self._node(event, (*location, len(values))))
        return values

    def _mapping(self, location: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refuse(location, event, "a key must be plain text")
            key = event.value
            if key in values:
                raise self._refuse((*location, key), event, "given twice")
            self._document.lines[(*location, key)] = self._line(event)
            values[key] = self._node(next(self._events), (*location, key))
        return values
