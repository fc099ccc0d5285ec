"""A CSV that a scenario names, as text: bounded, and what is wrong with it said at its place."""

from __future__ import annotations

import io
from pathlib import Path

from harness.scenario.loading import Document, Location

BYTES_MAX = 8_000_000


def csv_text(document: Document, location: Location, file: Path, named: str) -> io.StringIO:
    """The whole file, for a `csv` reader; `named` is what the scenario calls it. Raises ScenarioError."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(BYTES_MAX + 1)
        if len(raw) > BYTES_MAX:
            raise document.error(location, f"{named} is larger than {BYTES_MAX} bytes")
        text = raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise document.error(location, f"{named}: no such file (looked for it beside the scenario)") from None
    except OSError as error:
        raise document.error(location, f"{named} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise document.error(location, f"{named} is not UTF-8 text") from None
    return io.StringIO(text, newline="")
