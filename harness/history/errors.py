"""What is wrong with a history that cannot be read."""

from __future__ import annotations


class HistoryError(Exception):
    """A line of a history is unknown, malformed or out of place; `line` counts from 1, 0 when no line is to blame."""

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line
