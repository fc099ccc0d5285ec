"""What every check is handed: the history, the bounds, and the one replay of the model that all of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from harness.checks.replay import Replay, replay
from harness.checks.results import JudgeBounds
from harness.history.reader import History
from harness.history.records import BlockRecord

Found = TypeVar("Found")


class NotReplayable(Exception):
    """The canonical chain is missing or has a hole, so nothing can be said about what is in it."""


class Subject:
    """One run on trial. The replay is computed at first use, once; if it fails, it fails alike for all who ask."""

    def __init__(self, history: History, bounds: JudgeBounds, *, replayed: Replay | None = None) -> None:
        """`replayed` is the replay where it has been made already."""
        self.history = history
        self.bounds = bounds
        self._replay = replayed
        self._failure: Exception | None = None
        self._found: dict[Callable[[Subject], Any], Any] = {}

    def once(self, look: Callable[[Subject], Found]) -> Found:
        """What that look at the subject gives, taken the first time anybody asks; what it raises is not kept."""
        if look not in self._found:
            self._found[look] = look(self)
        found: Found = self._found[look]
        return found

    @property
    def chain(self) -> tuple[BlockRecord, ...]:
        """The whole canonical chain.

        Raises:
            NotReplayable: there is none, or it has a hole.
        """
        if self.history.chain_gap is not None:
            raise NotReplayable(self.history.chain_gap)
        return self.history.chain

    @property
    def replay(self) -> Replay:
        """The model's run over the canonical chain.

        Raises:
            NotReplayable: there is no whole canonical chain to replay.
        """
        if self._failure is not None:
            raise self._failure
        if self._replay is None:
            try:
                self._replay = replay(self.chain, self.history, self.bounds)
            except Exception as error:
                self._failure = error
                raise
        return self._replay
