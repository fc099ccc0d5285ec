"""Is the chain up, since when, and how much of its time counts: what the system transaction of every block says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.context import Context
from harness.model.facts import UptimeFact


class Uptime:
    """Follows the system transactions; the book holds what comes of them."""

    def __init__(self) -> None:
        self.is_restart_due = False          # this block's call must say UptimeChanged(up), and has not yet
        self._last_call: int | None = None   # block timestamp of the call before
        self._gap: tuple[int, int] | None = None  # the outage this block's call must tell of, and has not yet
        self._gap_s = 0
        self._was_told = False               # an outage that ends by a restart after being down has been told

    def begin_block(self, context: Context) -> None:
        """The call of this block, at its time; it comes before everything else in the block."""
        book = context.book
        last, self._last_call = self._last_call, book.now
        if last is None:
            book.is_up, book.started_at = True, 1
        self._gap_s = 0 if last is None else book.now - last
        self._was_told = False
        is_gap = book.is_up and last is not None and self._gap_s > book.params.uptime_gap_s
        self._gap = (last, book.now) if is_gap and last is not None else None
        # An automatic call turns the status down instead: its UptimeChanged(false) settles what is due as well.
        self.is_restart_due = is_gap
        if is_gap:
            book.down_time += self._gap_s

    def outage_ended(self, context: Context, args: Mapping[str, Any]) -> None:
        book = context.book
        if context.tx != -1:
            context.differ("OutageEnded outside the system transaction", None, context.tx)
            return
        if self._gap is not None:
            since, until = self._gap
            self._gap = None
        elif not book.is_up and not self._was_told:
            since, until = book.down_since, book.now
            book.down_time += until - since
            self._was_told = True
        else:
            context.differ("OutageEnded without an outage", None, args["since"])
            return
        context.expect("OutageEnded.since", since, args["since"])
        context.expect("OutageEnded.until", until, args["until"])
        context.expect("OutageEnded.downTime", book.down_time, args["downTime"])

    def changed(self, context: Context, args: Mapping[str, Any]) -> None:
        """Up: a restart now. Down: the status turns, `startedAt` keeps its value and the event carries the time."""
        book = context.book
        if context.tx != -1:
            context.differ("UptimeChanged outside the system transaction", None, context.tx)
            return
        if args["up"] and book.is_up and not self.is_restart_due:
            context.differ("UptimeChanged without a gap", None, "up")
            return
        if not args["up"] and not book.is_up:
            context.differ("UptimeChanged while down", None, "down")
            return
        context.expect("UptimeChanged.startedAt", book.now, args["startedAt"])
        if args["up"]:
            self._restart(context)
        else:
            book.is_up, book.down_since, self.is_restart_due = False, book.now, False

    def end_call(self, context: Context) -> None:
        """The system transaction is over: what it still owed was never said."""
        if self._gap is not None:
            context.differ("OutageEnded after a gap", list(self._gap), None)
            self._gap = None
        if self._was_told and not context.book.is_up:
            context.differ("UptimeChanged after an outage ended", "up", None)
        self._was_told = False
        if self.is_restart_due:
            context.differ("UptimeChanged after a gap", "up", None)
            self._restart(context)

    def _restart(self, context: Context) -> None:
        book = context.book
        if not book.is_up and not self._was_told:
            context.differ("OutageEnded after being down", [book.down_since, book.now], None)
            book.down_time += book.now - book.down_since
        context.facts.restarts.append(UptimeFact(context.block, book.now, self._gap_s if book.is_up else 0))
        self.is_restart_due = False
        book.is_up, book.started_at = True, book.now
