"""How the toolchain says that a tool is missing, wrong or could not be installed."""

from __future__ import annotations


class ToolError(Exception):
    """An external tool failed us; the message says what happened, with which values, and what to try."""

    def __init__(self, what: str, *, found: str, remedy: str) -> None:
        super().__init__(f"{what}: {found}; {remedy}")
        self.what = what
        self.found = found
        self.remedy = remedy
