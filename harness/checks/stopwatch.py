"""How long a clock ran between two block times, by the union of the stretches in which it must stand still.

A second opinion on the venue's clocks that shares no arithmetic with the model: no sums that grow, no instants kept;
only who said when that the chain was away, and when a bit of the pause was set and cleared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.history.records import BlockRecord

Span = tuple[int, int]
"""[from, until) in seconds of block time."""

FOREVER = 1 << 63


class Stopwatch:
    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = _union(spans)

    @classmethod
    def of(cls, chain: Sequence[BlockRecord], bit: int) -> Stopwatch:
        """The clock that stands still in outages and while that bit of the mask is set."""
        return cls([*outages(chain), *pauses(chain, bit)])

    def stopped(self, since: int, until: int) -> int:
        """Seconds of that time in which it stood still."""
        return sum(max(0, min(until, end) - max(since, start)) for start, end in self._spans)

    def seconds(self, since: int, until: int) -> int:
        """Seconds of that time which it counted."""
        return until - since - self.stopped(since, until)


def outages(chain: Sequence[BlockRecord]) -> list[Span]:
    """Those that ended, and the one that goes on."""
    found: list[Span] = []
    down_since: int | None = None
    for block in chain:
        for event in block.events:
            if event.name == "OutageEnded":
                found.append((int(event.args["since"]), int(event.args["until"])))
            elif event.name == "UptimeChanged":
                down_since = None if event.args["up"] else block.timestamp
    return found if down_since is None else [*found, (down_since, FOREVER)]


def pauses(chain: Sequence[BlockRecord], bit: int) -> list[Span]:
    found: list[Span] = []
    since: int | None = None
    for block in chain:
        for event in block.events:
            if event.name != "PauseChanged":
                continue
            is_set = bool(int(event.args["paused"]) & bit)
            if is_set and since is None:
                since = block.timestamp
            elif not is_set and since is not None:
                found.append((since, block.timestamp))
                since = None
    return found if since is None else [*found, (since, FOREVER)]


def _union(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
