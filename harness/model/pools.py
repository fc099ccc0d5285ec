"""Isolated pools: an account of its own for everybody in each, and books of its own for each (spec C5).

Pool 0 is the cross pool, whose accounts are the addresses themselves. Some events are of pools alone: an account was
opened in one, collateral was moved between an owner's accounts; and a *coin pool*, whose collateral is a coin instead
of the dollar, was opened, paid into, and withdrawn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.model.facts import DepositFact, WithdrawalFact
from harness.model.fixed import NATIVE

if TYPE_CHECKING:
    from harness.model.context import Context


@dataclass(slots=True)
class Ledger:
    """The books of one pool, 1e18 quote; of a coin pool, 1e18 coin."""

    balance: int = 0             # the collateral that is its own
    insurance: int = 0
    fees: int = 0
    dust: int = 0
    deficit: int = 0             # losses nobody bears yet
    draw_block: int = -1         # the block of the insurance's newest draw, and what it had left for that block
    draw_left: int = 0
    registered: dict[str, None] = field(default_factory=dict)  # accounts that ever had cash or a position, in order
    coin: str = ""               # the asset a coin pool holds and all its series are of; "": it holds dollars
    token: str = ""              # that coin's contract

    @property
    def native(self) -> int:
        """Cash per native unit of what it holds."""
        return 1 if self.coin else NATIVE

    def copy(self) -> Ledger:
        return replace(self, registered=dict(self.registered))


class Ledgers:
    """All pools' books; the plain names are those of the cross pool."""

    def __init__(self) -> None:
        self.ledgers: dict[int, Ledger] = {0: Ledger()}
        self.pools: dict[str, int] = {}                       # isolated account → its pool
        self.isolated: dict[tuple[str, int], str] = {}        # (owner, pool) → account

    def copy_ledgers(self, other: Ledgers) -> None:
        """Take over the books of another."""
        self.ledgers = {pool: ledger.copy() for pool, ledger in other.ledgers.items()}
        self.pools, self.isolated = dict(other.pools), dict(other.isolated)

    def pool_of(self, account: str) -> int:
        return self.pools.get(account, 0)

    def ledger_of(self, account: str) -> Ledger:
        return self.ledgers[self.pools.get(account, 0)]

    def ledger(self, pool: int) -> Ledger:
        """That pool's books; one nobody listed a series of yet has empty ones."""
        return self.ledgers.setdefault(pool, Ledger())

    @property
    def insurance(self) -> int:
        return self.ledgers[0].insurance

    @property
    def fees(self) -> int:
        return self.ledgers[0].fees

    @property
    def dust(self) -> int:
        return self.ledgers[0].dust

    @property
    def deficit(self) -> int:
        return self.ledgers[0].deficit

    @property
    def registered(self) -> dict[str, None]:
        return self.ledgers[0].registered


def account_opened(context: Context, args: Mapping[str, Any]) -> None:
    book, account, owner, pool = context.book, args["account"], args["owner"], args["pool"]
    if pool not in book.ledgers or pool == 0:
        context.differ("AccountOpened.pool", sorted(book.ledgers), pool)
    if (owner, pool) in book.isolated or account in book.pools:
        context.differ("AccountOpened.account", "a new account", account)
    book.ledger(pool)
    book.pools[account], book.isolated[owner, pool] = pool, account


def collateral_moved(context: Context, args: Mapping[str, Any]) -> None:
    """Out of one account of an owner into another; who gives must be left with what a withdrawal leaves."""
    book, amount = context.book, args["amount"] * NATIVE
    giver, receiver = (account_in(book, args["owner"], args[end]) for end in ("from", "to"))
    if args["from"] == args["to"] or giver is None or receiver is None:
        context.differ("CollateralMoved", "two open accounts", [args["from"], args["to"]])
        return
    source, target = book.ledger(args["from"]), book.ledger(args["to"])
    if source.coin or target.coin:
        context.differ("CollateralMoved of a coin pool", ["", ""], [source.coin, target.coin])
        return
    if source.deficit:
        context.differ("CollateralMoved behind a deficit", 0, source.deficit)
    if source.balance < amount:
        context.differ("CollateralMoved beyond the pool's balance", source.balance, amount)
    before = book.margin(receiver)
    source.balance -= amount
    target.balance += amount
    book.add_cash(giver, -amount)
    target.registered.setdefault(receiver)
    book.add_cash(receiver, amount)
    _gave(context, giver)
    context.facts.deposits.append(DepositFact(context.block, context.tx, receiver, before, book.margin(receiver)))


def _gave(context: Context, account: str, *, paused: int = 0) -> None:
    """Collateral has left that account; `paused` where a pause could have forbidden it."""
    book = context.book
    book.moved(account)
    context.facts.withdrawals.append(
        WithdrawalFact(context.block, context.tx, account, book.free_cash(account), book.margin(account).im,
                       book.oldest_age(account), book.ledger_of(account).deficit, paused)
    )


def coin_pool_opened(context: Context, args: Mapping[str, Any]) -> None:
    book, pool, asset = context.book, args["pool"], args["asset"]
    context.expect("CoinPoolOpened.pool", len(book.ledgers), pool)
    if book.feed(asset).terms.min_answer < 0:
        context.differ("CoinPoolOpened.asset", "one whose price is never below zero", asset)
    if any(ledger.token == args["token"] for ledger in book.ledgers.values()):
        context.differ("CoinPoolOpened.token", "no other pool's", args["token"])
    ledger = book.ledger(pool)
    ledger.coin, ledger.token = asset, args["token"]


def coin_deposited(context: Context, args: Mapping[str, Any]) -> None:
    book, account = context.book, args["account"]
    pool = _coin_pool(context, "CoinDeposited", args)
    before = book.margin(account)
    pool.registered.setdefault(account)
    pool.balance += args["amount"]
    book.add_cash(account, args["amount"])
    context.facts.deposits.append(DepositFact(context.block, context.tx, account, before, book.margin(account)))


def coin_withdrawn(context: Context, args: Mapping[str, Any]) -> None:
    pool, amount = _coin_pool(context, "CoinWithdrawn", args), args["amount"]
    if pool.balance < amount:
        context.differ("CoinWithdrawn beyond the pool's balance", pool.balance, amount)
    pool.balance -= amount
    context.book.add_cash(args["account"], -amount)
    _gave(context, args["account"], paused=context.book.pauses.paused)


def _coin_pool(context: Context, event: str, args: Mapping[str, Any]) -> Ledger:
    """The books of the coin pool such an event names, which must be its account's."""
    book, pool = context.book, args["pool"]
    ledger = book.ledger(pool)
    context.expect(f"{event}.account's pool", pool, book.pool_of(args["account"]))
    if not ledger.coin:
        context.differ(f"{event}.pool", "a coin pool", pool)
    return ledger


def account_in(book: Ledgers, owner: str, pool: int) -> str | None:
    """The account of that owner in that pool, where it has been opened."""
    return owner if pool == 0 else book.isolated.get((owner, pool))
