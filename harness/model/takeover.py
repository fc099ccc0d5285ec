"""What a keeper would be left with if it took an account's next step down the ladder now; tried on a copy."""

from __future__ import annotations

from harness.model import ladder
from harness.model.book import Book
from harness.model.context import Context, PendingLiquidation
from harness.model.facts import Facts
from harness.model.ladder import AUCTION, DELEVERAGED, PARTIAL
from harness.model.liquidation import bid, deleverage, partial
from harness.model.orders import POSITIONS_MAX


def is_within_means(book: Book, account: str, keeper: str) -> bool:
    """Whether that keeper's account could take a step that is open, and be left as the rules want it (E° ≥ IM⁰, not
    too many series); starting an auction takes nothing but the call.

    Says nothing of how old prices are, nor of what else forbids a liquidation.
    """
    stages = _open_stages(book, account)
    return not stages or any(_ends_margined(book, account, keeper, stage) for stage in stages)


def _open_stages(book: Book, account: str) -> tuple[int, ...]:
    """What `liquidate` and `bid` would do; none where an auction has to be started first."""
    given, since = ladder.terms(book, account), ladder.elapsed(book, account)
    if given.is_partial:
        return (PARTIAL,)
    if given.is_short:
        return (DELEVERAGED,)
    if since is None or not ladder.is_running(book, account):
        return ()
    return (AUCTION,) if since < book.params.auction_duration_s else (AUCTION, DELEVERAGED)


def _ends_margined(book: Book, account: str, keeper: str, stage: int) -> bool:
    # Only who deleverages needs everybody.
    others = book.ledger_of(account).registered if stage == DELEVERAGED else ()
    trial = book.fork(each for each in dict.fromkeys([*others, account, keeper]) if each in book.accounts)
    context, given = Context(trial, Facts()), ladder.terms(trial, account)
    if stage == PARTIAL:
        outcome = partial(context, account, keeper, given)
    elif stage == AUCTION:
        outcome = bid(context, account, keeper, given, ladder.elapsed(book, account) or 0)
    else:
        outcome = deleverage(context, account, keeper, given, PendingLiquidation(keeper))
    if not outcome.transfers:
        return True
    return len(trial.account(keeper).positions) <= POSITIONS_MAX and trial.margin(keeper).is_keeper
