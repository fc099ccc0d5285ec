"""What a run says while it runs; the command line shows it, tests and libraries ignore it."""

from __future__ import annotations

from typing import Protocol


class Narrator(Protocol):
    """Called from the run's own thread, between its steps; must return at once and never raise."""

    def milestone(self, text: str) -> None:
        """Something worth a line of its own: a phase, a fault, an expiry, a problem."""
        ...

    def progress(self, done_ns: int, total_ns: int, note: str = "") -> None:
        """How far the run's clock is; may be called many times a second. `note` is short and changes."""
        ...


class Silence:
    """Says nothing: the narrator of tests and libraries."""

    def milestone(self, text: str) -> None: ...

    def progress(self, done_ns: int, total_ns: int, note: str = "") -> None: ...
