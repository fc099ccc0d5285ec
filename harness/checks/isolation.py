"""Isolated pools: a loss in one is its own affair (C5)."""

from __future__ import annotations

from harness.checks.intervals import PARTIES, intervals
from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import Event, PoolState
from harness.model.book import Book
from harness.model.fixed import NATIVE

_LOSSES = frozenset({"Liquidated", "BadDebt", "InsuranceFunded", "DeficitCovered", "DeficitSocialized"})
MOVERS = {"insurance": _LOSSES, "deficit": _LOSSES, "fees": frozenset({"Traded"}), "dust": None}
"""Book of a pool → the events of that pool without one of which it stands still; None: any event of it will do."""
OF_A_POOL = ("AccountOpened", "CoinPoolOpened", "InsuranceFunded", "DeficitCovered", "DeficitSocialized")
"""Events that name their pool."""


def isolation(subject: Subject) -> Finding:
    """Guarded by readings of isolated pools. No event but a move of collateral is of two pools; a pool's balance is
    what its events put in and took out, and negative after none of them, also within a transaction; each of its books
    stands still while no event of the pool that could move it is told."""
    cases, judged = Cases(), 0
    book = subject.replay.venue.book
    balances: dict[int, int] = {}
    for block in subject.chain:
        for event in block.events:
            named = pools_of(event, book)
            if len(named) > 1 and event.name != "CollateralMoved":
                cases.add(severity=10**18, block=block.number, tx=event.tx, event=event.name, pools=sorted(named))
            for pool in sorted(named):
                coin = book.ledgers[pool].coin if pool in book.ledgers else ""
                balances[pool] = balances.get(pool, 0) + _put_in(event, pool, 1 if coin else NATIVE)
                if balances[pool] < 0:
                    cases.add(severity=-balances[pool], block=block.number, tx=event.tx, event=event.name, pool=pool,
                              balance=balances[pool])
    for interval in intervals(subject):
        before = {held.pool: held for held in interval.before.state.pools}
        told: dict[int, list[Event]] = {}
        for _, event in interval.events:
            for pool in pools_of(event, book):
                told.setdefault(pool, []).append(event)
        for held in interval.after.state.pools:
            judged += held.pool > 0
            if not before and held.pool == 0:
                continue  # the cross pool's balance was not shown before there was another
            was, events = before.get(held.pool, PoolState(held.pool, 0, 0, 0, 0, 0)), told.get(held.pool, [])
            put_in = sum(_put_in(event, held.pool, 1 if held.coin else NATIVE) for event in events)
            names = {event.name for event in events}
            moved = [
                name for name, movers in MOVERS.items()
                if getattr(was, name) != getattr(held, name) and not (names if movers is None else names & movers)
            ]
            if held.balance - was.balance != put_in or held.balance < 0 or held.insurance < 0 or moved:
                cases.add(severity=abs(held.balance - was.balance - put_in), block=interval.block, pool=held.pool,
                          balance_before=was.balance, balance=held.balance, put_in=put_in, moved_untold=moved,
                          insurance=held.insurance)
    return cases.finding(
        judged,
        holds=f"in {judged} readings of isolated pools nothing of theirs moved but by what is told of them, and no "
              "event but a move of collateral was of two",
        violated="something of one pool moved another",
        nothing="no reading shows an isolated pool",
    )


def pools_of(event: Event, book: Book) -> set[int]:
    """The pools an event speaks of, by the accounts, the series and the pool it names."""
    args = event.args
    if event.name == "CollateralMoved":
        return {args["from"], args["to"]}
    if event.name in ("CoinDeposited", "CoinWithdrawn"):
        return {args["pool"], book.pool_of(str(args["account"]))}
    if event.name in OF_A_POOL:
        return {args.get("pool", 0)}
    found = {book.pool_of(str(args[key])) for key in PARTIES if key in args}
    series = book.series.get(args["seriesId"]) if "seriesId" in args else None
    return found if series is None else found | {series.pool}


def _put_in(event: Event, pool: int, native: int) -> int:
    """What an event adds to the balance of a pool it speaks of, `native` being the cash per unit of its collateral."""
    match event.name:
        case "Deposited" | "InsuranceFunded":
            return int(event.args["amount"]) * native
        case "CoinDeposited":
            return int(event.args["amount"])
        case "CoinWithdrawn":
            return -int(event.args["amount"])
        case "Withdrawn":
            return -int(event.args["amount"]) * NATIVE
        case "CollateralMoved":
            return int(event.args["amount"]) * NATIVE * (1 if event.args["to"] == pool else -1)
        case _:
            return 0


CHECKS = (
    Check("C5", "isolation", "a loss in one pool moves nothing of another, and no pool's balance falls below zero",
          isolation, occasion="an isolated pool"),
)
