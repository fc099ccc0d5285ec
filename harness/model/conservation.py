"""Conservation (C1): what custody is beyond what is owed, of all pools together and of each with its balance.

Custody is of dollars. What a coin pool has of its coin is its balance, which the contracts' own records are compared
with.
"""

from __future__ import annotations

from harness.model.book import Book
from harness.model.fixed import NATIVE


def imbalance(book: Book) -> int:
    """custody − (Σ(cash − N) + insurance + fees + dust + Σ clearing − deficit), 1e18; 0 is conservation.

    With isolated pools the largest gap of any pool's balance, or of the custody with all balances.
    """
    if len(book.ledgers) > 1:
        return _of_pools(book)
    owed = book.insurance + book.fees + book.dust - book.deficit
    for account in book.accounts.values():
        owed += account.cash
        for position in account.positions.values():
            owed -= position.notional
    for series in book.series.values():
        owed += series.clearing
    return book.custody * NATIVE - owed


def _of_pools(book: Book) -> int:
    gaps = {pool: held.balance + held.deficit - held.insurance - held.fees - held.dust
            for pool, held in book.ledgers.items()}
    for address, account in book.accounts.items():
        gaps[book.pool_of(address)] -= account.cash - sum(held.notional for held in account.positions.values())
    for series in book.series.values():
        gaps[series.pool] -= series.clearing
    whole = book.custody * NATIVE - sum(held.balance for held in book.ledgers.values() if not held.coin)
    return max((*gaps.values(), whole), key=abs)
