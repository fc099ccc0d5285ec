"""Price and base-fee paths of a plan, from knots in the scenario or from a column of a CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path as FilePath

from harness.plan import Knot
from harness.scenario import schema, units
from harness.scenario.csv_file import csv_text
from harness.scenario.loading import Document, Location

KNOTS_MAX = 20_000
_SHOWN_MAX = 40


def path_of(
    document: Document, location: Location, path: schema.Path, value_of: Callable[[object], int]
) -> tuple[Knot, ...]:
    """The knots of one path; `value_of` makes an exact integer of a number. Raises ScenarioError."""
    if path.csv is not None:
        return _from_csv(document, location, path, value_of)
    assert path.knots is not None, "a path has knots or a csv"
    knots: list[Knot] = []
    for text, number in path.knots.items():
        here = (*location, "knots", text)
        try:
            at_ns, value = units.duration_ns(text), value_of(number)
        except ValueError as error:
            raise document.error(here, str(error)) from None
        if not knots and at_ns != 0:
            raise document.error(here, "a path starts at 0s")
        if knots and at_ns <= knots[-1].at_ns:
            raise document.error(here, f"not after the knot before it, at {units.duration_text(knots[-1].at_ns)}")
        knots.append(Knot(at_ns, value))
    return tuple(knots)


def _from_csv(
    document: Document, location: Location, path: schema.Path, value_of: Callable[[object], int]
) -> tuple[Knot, ...]:
    assert path.csv is not None
    assert path.column is not None, "the schema requires it with csv"
    file = document.folder / path.csv
    rows = _rows(document, (*location, "csv"), file, path.csv)
    header = next(rows, (1, []))[1]
    for name, key in ((path.time, "time"), (path.column, "column")):
        if name not in header:
            columns = ", ".join(column[:_SHOWN_MAX] for column in header[:20]) or "none: the file is empty"
            raise document.error((*location, key), f'{path.csv} has no column "{name}"; its columns are {columns}')
    time_at, value_at = header.index(path.time), header.index(path.column)
    knots: list[Knot] = []
    first: int | None = None
    previous: int | None = None

    def refuse(line: int, what: str) -> Exception:
        return document.error((*location, "csv"), f"{path.csv}:{line}: {what}")

    for line, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise refuse(line, f"{len(row)} fields where the header has {len(header)}")
        if (path.start is not None and row[time_at] < path.start) or (path.end is not None and row[time_at] > path.end):
            continue
        try:
            at = _timestamp_ns(row[time_at])
        except ValueError as error:
            raise refuse(line, f"{path.time}: {error}") from None
        if previous is not None and at <= previous:
            raise refuse(line, f"{path.time} {row[time_at]} is not after the row before it")
        previous = at
        if row[value_at].strip() == "":
            continue  # absent in the source: the path goes on from the rows around it
        try:
            value = value_of(row[value_at])
        except ValueError as error:
            raise refuse(line, f"{path.column}: {error}") from None
        first = at if first is None else first
        knots.append(Knot((at - first) // path.compress, value))
        if len(knots) > KNOTS_MAX:
            raise refuse(line, f"more than {KNOTS_MAX} rows; narrow it with start and end")
    if not knots:
        raise document.error((*location, "csv"), f"{path.csv} has no value of {path.column} between start and end")
    return tuple(knots)


def _rows(document: Document, location: Location, file: FilePath, named: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(csv_text(document, location, file, named), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise document.error(location, f"{named}:{reader.line_num}: {error}") from None


def _timestamp_ns(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 time (UTC unless it says otherwise) or of whole Unix seconds."""
    if text.isdigit() and len(text) <= 12:
        return int(text) * units.NS_PER_SECOND
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"not a time: {text[:_SHOWN_MAX]!r}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * units.NS_PER_SECOND + delta.microseconds * 1_000
