"""What a keeper would be left with if it took an account's next step down the ladder now; tried on a copy."""

from __future__ import annotations

from harness.model import ladder
from harness.model.book import Book
from harness.model.context import Context, PendingLiquidation
from harness.model.facts import Facts
from harness.model.liquidation import bid, deleverage, partial
from harness.model.orders import POSITIONS_MAX


def is_within_means(book: Book, account: str, keeper: str) -> bool:
    """Whether that keeper's account could take the step and be left as the rules want it (E° ≥ IM⁰, not too many
    series); starting an auction takes nothing but the call.

    Says nothing of how old prices are, nor of what else forbids a liquidation.
    """
    given, since = ladder.terms(book, account), ladder.elapsed(book, account)
    is_running = ladder.is_running(book, account)
    if not (given.is_partial or is_running or given.is_short):
        return True
    involved = dict.fromkeys([*book.ledger_of(account).registered, account, keeper])
    trial = book.fork(address for address in involved if address in book.accounts)
    context = Context(trial, Facts())
    given = ladder.terms(trial, account)
    if given.is_partial:
        outcome = partial(context, account, keeper, given)
    elif is_running and not given.is_short:
        outcome = bid(context, account, keeper, given, since or 0)
    else:
        outcome = deleverage(context, account, keeper, given, PendingLiquidation(keeper))
    held = len(trial.account(keeper).positions)
    return not outcome.transfers or (held <= POSITIONS_MAX and trial.margin(keeper).is_keeper)
