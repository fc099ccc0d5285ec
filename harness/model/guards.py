"""Why `liquidate` may or may not run on an account now, apart from its margin.

A grace ends by L1's clock: in a block whose L1 origin is of its end or later, everything that was forced on L1 before
that end has executed. A price is new enough when it was observed after the account's last move that was margined, so
that no round from before it, pulled in later, liquidates anybody.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.model.book import Book


class Guards(NamedTuple):
    is_fresh: bool               # every asset held: age within bounds, reported since the restart and the pause
    is_newer: bool               # every asset held: reported after the account's last move
    is_graced: bool              # up, not paused, and past the grace after a restart and after a pause
    is_live: bool                # no position at or past its expiry

    @property
    def allow(self) -> bool:
        return all(self)


def guards(book: Book, address: str) -> Guards:
    """Everything `liquidate` asks for at the present block time, apart from E < MM."""
    report, params, pauses = book.oldest_report(address), book.params, book.pauses
    since = max(book.started_at, pauses.resumed_at)
    return Guards(
        report is not None and book.now - report <= params.max_price_age_s and report >= since,
        report is not None and report > book.moved_at(address),
        book.is_up and not is_in_restart_grace(book)
        and pauses.allows_liquidation(origin_time=book.origin_time, grace_s=params.grace_s),
        book.now < book.earliest_expiry(address),
    )


def is_in_restart_grace(book: Book) -> bool:
    return book.started_at != 1 and book.origin_time < book.started_at + book.params.grace_s
