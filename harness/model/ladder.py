"""What a liquidation at this moment comes to: how much is closed, by whom, at which stage; planned, nothing moved.

Quantities and letters are those of RULES.md, "Liquidator". Everything is taken before anything moves, save that a
deleveraged counterparty's size and gain in a series are those just before that series moves: no other series' moves
change them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.model import insurance
from harness.model.book import Book, Position, Series
from harness.model.fixed import BPS, WAD, ceil_div, floor_div
from harness.model.margin import intrinsic, notional, notional_down, quote_notional, worth
from harness.model.requirements import standalone

PARTIAL, AUCTION, DELEVERAGED = 1, 2, 3
"""The `stage` of Liquidated."""


@dataclass(frozen=True, slots=True)
class Item:
    """One position of the account."""

    series: Series
    size: int                    # q_i
    index: int                   # P_i
    price: int                   # p_i
    maintenance: int             # MM_i, by itself

    @property
    def held(self) -> int:
        """a_i"""
        return abs(self.size)

    @property
    def sign(self) -> int:
        return 1 if self.size > 0 else -1


@dataclass(frozen=True, slots=True)
class Terms:
    """An account on the ladder."""

    items: tuple[Item, ...]      # ascending series
    equity: int                  # E
    im: int                      # IM⁰: open interest makes no liquidation larger
    mm: int
    notional: int                # Nsum, 1e36
    quote: int                   # the same in quote, whatever the currency
    penalty: int                 # F
    options: int                 # V
    available: int               # of the insurance, in this block

    @property
    def worth(self) -> int:
        """R: what closing everything leaves before any penalty."""
        return self.equity + self.options

    @property
    def is_partial(self) -> bool:
        return self.worth >= self.penalty

    @property
    def is_short(self) -> bool:
        """The loss is more than the insurance has for it."""
        return self.worth < 0 and -self.worth > self.available


def terms(book: Book, address: str) -> Terms:
    margin, items, total, quote, options = book.margin(address), [], 0, 0, 0
    available = insurance.available(book, book.ledger_of(address))
    for series_id, held in sorted(book.account(address).positions.items()):
        series = book.series[series_id]
        index = book.index(series)
        price = index
        if series.is_option:
            price = intrinsic(series.kind, strike=series.strike, price=index)
            options += floor_div(held.size * price, WAD)
        need = standalone(series, held.size, index, now=book.now, params=book.params)
        items.append(Item(series, held.size, index, price, need.mm))
        total += notional(series.kind, held.size, index)
        quote += quote_notional(series.kind, held.size, index)
    return Terms(
        tuple(items), margin.equity, margin.base_im, margin.mm, total, quote,
        ceil_div(total * book.params.penalty_bps, BPS * WAD), options, available,
    )


def partial_sizes(book: Book, given: Terms) -> tuple[int, ...]:
    """Stage 1: x_i of each position, the least that restores the initial margin, in whole lots."""
    lot = book.params.lot_wad
    needed, room = given.im - given.equity, given.im + given.options - given.penalty
    if given.quote <= book.params.small_notional * WAD * WAD or needed >= room:
        return tuple(item.held for item in given.items)
    sizes = []
    for item in given.items:
        # Nothing for an account that needs nothing: only contracts that lost their guard get there.
        size = max(0, ceil_div(ceil_div(item.held * needed, room), lot) * lot)
        sizes.append(item.held if size >= item.held or item.held - size < lot else size)
    return tuple(sizes)


def elapsed(book: Book, address: str) -> int | None:
    """τ of the account's auction, on the auction clock; None where it has none."""
    start = book.account(address).auction
    return None if start == 0 else max(book.auction_clock - start, 0)


def is_running(book: Book, address: str) -> bool:
    since = elapsed(book, address)
    return since is not None and since < 2 * book.params.auction_duration_s


def bonus(book: Book, given: Terms, since: int) -> int:
    """What a bidder gets at that τ: nothing at first, then more, never more than the account has."""
    duration = book.params.auction_duration_s
    most = ceil_div(given.notional * book.params.auction_max_bps, BPS * WAD)
    return min(floor_div(most * min(since, duration), duration), max(0, given.worth))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A counterparty of one position that is deleveraged, as judged before that position moves."""

    address: str
    size: int                    # d
    most: int                    # g: it gives up profit only


def candidates(
    book: Book, item: Item, equities: dict[str, int], pending: Callable[[str, Series, Position], int]
) -> list[Candidate]:
    """Who gives up how much of a position, by profit × leverage, ties by address.

    `equities` are those of every registered account but the one deleveraged; `pending` the funding of a position that
    the judging counts as profit.
    """
    ranked: list[tuple[int, str, int, int]] = []
    for address, equity in equities.items():
        held = book.account(address).positions.get(item.series.id)
        if held is None or (held.size > 0) == (item.size > 0) or equity <= 0 or not _is_fresh(book, address):
            continue
        if item.series.is_option:
            gain = entry = floor_div(held.size * item.price, WAD)
        else:
            gain = worth(item.series.kind, held.size, item.index) - held.notional + pending(
                address, item.series, held)
            entry = max(abs(held.notional), 1)
        if gain <= 0:
            continue
        leverage = notional_down(item.series.kind, held.size, item.index)
        score = floor_div(floor_div(gain * WAD, entry) * leverage, equity)
        ranked.append((-score, address, abs(held.size), gain))
    left, found = item.held, []
    for _, address, size, gain in sorted(ranked):
        taken = min(left, size)
        if taken == 0:
            break
        found.append(Candidate(address, taken, floor_div(gain * taken, size)))
        left -= taken
    return found


def _is_fresh(book: Book, address: str) -> bool:
    age = book.oldest_age(address)
    return age is not None and age <= book.params.max_price_age_s
