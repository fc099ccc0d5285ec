"""The contracts' storage, as a `state` record shows it, compared field by field with the model at the same block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.history.records import AccountState, GovernanceState, OrderState, StateRecord
from harness.model.book import Book, Position
from harness.model.pools import Ledger

Field = tuple[str, int | bool | str | None, int | bool | str | None]
"""(path of the field, the model's value, the storage's value)"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A `state` record of a canonical block and what the model knew there."""

    state: StateRecord
    custody: int
    insurance: int
    deficit: int
    dust: int
    roundings: int
    withdrawable: Mapping[str, int]  # coin ("": dollars) → native units all accounts could withdraw, freshness
                                     # aside, of pools without a deficit
    stored: Mapping[str, int]    # the same by what storage says they have and need
    settled_size: dict[int, int]  # series → Σ q settled so far
    unlisted: tuple[str, ...]    # accounts the model knows to own or owe something, absent from the record
    ledgers: dict[int, Ledger]   # pool → its books
    fields: int                  # how many were compared
    differences: tuple[Field, ...]


def snapshot(book: Book, state: StateRecord, *, version: int = 1) -> Snapshot:
    """`version` is the liquidator's, by the model."""
    fields = list(_fields(book, state, version))
    stuck = {books.pool: books.deficit for books in state.pools}
    return Snapshot(
        state, book.custody, book.insurance, book.deficit, book.dust, book.roundings,
        _by_coin(
            (book.ledger_of(address), book.free_cash(address) - book.margin(address).im) for address in book.accounts
            if not book.ledger_of(address).deficit
        ),
        _by_coin(
            (book.ledgers.get(shown.pool, Ledger()), _free(book, shown) - shown.im)
            for shown in state.accounts.values() if not stuck.get(shown.pool, state.deficit)
        ),
        {series.id: series.settled_size for series in book.series.values()},
        tuple(
            address
            for address, account in book.accounts.items()
            if (account.cash or account.positions) and address not in state.accounts
        ),
        {pool: ledger.copy() for pool, ledger in book.ledgers.items()},
        len(fields), tuple(field for field in fields if field[1] != field[2]),
    )


def _by_coin(free: Iterable[tuple[Ledger, int]]) -> dict[str, int]:
    """What of each is above zero, in whole native units of what its pool holds."""
    total: dict[str, int] = {}
    for ledger, amount in free:
        total[ledger.coin] = total.get(ledger.coin, 0) + max(0, amount) // ledger.native
    return total


def _free(book: Book, shown: AccountState) -> int:
    """cash + Σ min(0, v) of an account as stored, at the model's prices."""
    free = shown.cash
    for position in shown.positions:
        series = book.series.get(position.series)
        if series is not None and (not series.is_option or series.final_price is not None):
            held = Position(position.size, position.notional, position.funding_index)
            free += min(0, book.position_value(series, held))
    return free


def _fields(book: Book, state: StateRecord, version: int) -> Iterator[Field]:
    yield "custody", book.custody, state.custody
    yield "insurance", book.insurance, state.insurance
    yield "deficit", book.deficit, state.deficit
    yield "fees", book.fees, state.fees
    yield "dust", book.dust, state.dust
    for address, shown in state.accounts.items():
        where = f"accounts.{address}"
        account = book.accounts.get(address)
        if account is None:
            yield f"{where}.cash", 0, shown.cash
            yield f"{where}.equity", 0, shown.equity
            yield f"{where}.im", 0, shown.im
            yield f"{where}.mm", 0, shown.mm
            yield f"{where}.moved_at", 0, shown.moved_at or 0
            yield f"{where}.positions", 0, sum(1 for position in shown.positions if position.size)
            continue
        margin = book.margin(address)
        yield f"{where}.cash", account.cash, shown.cash
        yield f"{where}.auction", account.auction, shown.auction
        if shown.moved_at is not None:
            yield f"{where}.moved_at", account.moved_at, shown.moved_at
        if shown.pool or address in book.pools:
            yield f"{where}.pool", book.pool_of(address), shown.pool
        yield f"{where}.equity", margin.equity, shown.equity
        yield f"{where}.im", margin.im, shown.im
        yield f"{where}.mm", margin.mm, shown.mm
        # A closed position may still be listed with size 0; its N must then be 0 as well.
        positions = {position.series: position for position in shown.positions}
        for series_id in sorted(account.positions.keys() | positions.keys()):
            mine, theirs = account.positions.get(series_id), positions.get(series_id)
            place = f"{where}.positions.{series_id}"
            yield f"{place}.size", 0 if mine is None else mine.size, 0 if theirs is None else theirs.size
            yield (
                f"{place}.notional", 0 if mine is None else mine.notional, 0 if theirs is None else theirs.notional
            )
            if mine is not None and theirs is not None:
                yield f"{place}.funding_index", mine.funding_index, theirs.funding_index
    for series_id in sorted(book.series.keys() | state.series.keys()):
        where = f"series.{series_id}"
        series, seen = book.series.get(series_id), state.series.get(series_id)
        if series is None or seen is None:
            yield f"{where}.exists", series is not None, seen is not None
            continue
        yield f"{where}.clearing", series.clearing, seen.clearing
        yield f"{where}.open_interest", series.open_interest, seen.open_interest
        yield f"{where}.open_positions", series.open_positions, seen.open_positions
        yield f"{where}.final", series.final_price is not None, seen.final
        if series.final_price is not None:
            yield f"{where}.price", series.final_price, seen.price
        if seen.disputed_at is not None:
            yield f"{where}.disputed_at", series.disputed_at, seen.disputed_at
        if series.perpetual is not None or seen.funding is not None:
            yield f"{where}.perpetual", series.perpetual is not None, seen.funding is not None
        if series.perpetual is not None and seen.funding is not None:
            for name in ("index", "rate", "integral", "window", "weight", "weighted"):
                yield f"{where}.funding.{name}", getattr(series.perpetual, name), getattr(seen.funding, name)
    if state.book is not None:
        yield from _orders(book, state.book)
    if state.pools:
        yield "pools", len(book.ledgers), len(state.pools)
    for books in state.pools:
        ledger = book.ledgers.get(books.pool, Ledger())
        for name in ("balance", "insurance", "fees", "dust", "deficit"):
            yield f"pools.{books.pool}.{name}", getattr(ledger, name), getattr(books, name)
        if ledger.coin or books.coin:
            yield f"pools.{books.pool}.coin", ledger.coin, books.coin
            yield f"pools.{books.pool}.custody", ledger.balance, books.custody
    if state.spot is not None:
        for name in ("underlying", "quote", "shares"):
            yield f"spot.{name}", getattr(book.spot, name), getattr(state.spot, name)
    if state.governance is not None:
        yield from _governance(book, version, state.governance)
    for asset, observed in state.assets.items():
        where = f"assets.{asset}"
        latest = book.feed(asset).latest
        yield f"{where}.round", 0 if latest is None else latest.round, observed.round
        yield f"{where}.timestamp", 0 if latest is None else latest.timestamp, observed.timestamp
        yield f"{where}.price", 0 if latest is None else latest.price, observed.price
        yield f"{where}.cumulative", 0 if latest is None else latest.cumulative, observed.cumulative
        if observed.funded is not None:
            yield f"{where}.funded", 0 if latest is None else latest.funded, observed.funded
        if observed.active_at is not None:
            yield f"{where}.active_at", 0 if latest is None else latest.active_at, observed.active_at
        if observed.covered is not None:
            yield f"{where}.covered", 0 if latest is None else latest.covered, observed.covered
        if observed.beyond is not None:
            yield f"{where}.beyond", 0 if latest is None else latest.beyond, observed.beyond
        if observed.halted_until is not None:
            yield f"{where}.halted_until", book.feed(asset).halted_until, observed.halted_until


def _governance(book: Book, version: int, shown: GovernanceState) -> Iterator[Field]:
    params, pauses = book.params, book.pauses
    mine = GovernanceState(
        pauses.paused, pauses.resumed_at, book.funding_clock, book.auction_clock, params.im_bps, params.mm_bps,
        params.option_im_bps, params.option_min_im_bps, params.option_mm_bps, params.keeper_share_bps, version,
    )
    for name in GovernanceState.__dataclass_fields__:
        yield f"governance.{name}", getattr(mine, name), getattr(shown, name)


def _orders(book: Book, shown: Mapping[int, tuple[OrderState, ...]]) -> Iterator[Field]:
    """Every open order in its place in the queue, and no other."""
    for series_id in sorted(book.orders.markets.keys() | shown.keys()):
        market = book.orders.markets.get(series_id)
        mine = [] if market is None else list(market.in_order())
        theirs = shown.get(series_id, ())
        where = f"book.{series_id}"
        yield f"{where}.orders", len(mine), len(theirs)
        for place, (order, seen) in enumerate(zip(mine, theirs, strict=False)):
            yield f"{where}[{place}].orderId", order.id, seen.id
            yield f"{where}[{place}].account", int(order.account, 16), int(seen.account, 16)
            for name in ("rest", "price", "deadline"):
                yield f"{where}[{place}].{name}", getattr(order, name), getattr(seen, name)
