"""What trading, settling and moving money may do to balances, read from storage and the events between two readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.checks.exact import ExactBooks
from harness.checks.intervals import intervals
from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import Event, StateRecord
from harness.model.fixed import NATIVE, WAD
from harness.model.pools import Ledgers

BY_TRADE = frozenset(("Traded", "PositionTransferred", "Deleveraged"))


def open_interest(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    for snapshot in subject.replay.snapshots:
        if snapshot.unlisted:
            continue
        longs: dict[int, int] = {}
        for account in snapshot.state.accounts.values():
            for position in account.positions:
                longs[position.series] = longs.get(position.series, 0) + max(position.size, 0)
        for series_id, series in snapshot.state.series.items():
            interest = longs.get(series_id, 0)
            judged += 1 if interest or series.open_interest else 0
            if interest != series.open_interest:
                cases.add(severity=abs(interest - series.open_interest), block=snapshot.state.number, series=series_id,
                          sum_of_longs=interest, open_interest=series.open_interest)
    return cases.finding(
        judged,
        holds=f"open interest is the sum of the longs in {judged} readings of open series",
        violated="open interest is not the sum of the longs",
        nothing="no state record of a canonical block shows an open position",
    )


def no_free_lunch(subject: Subject) -> Finding:
    """All accounts of a pool are a closed set: between two state records trades may only cost them."""
    cases, judged = Cases(), 0
    notionals: dict[int, dict[tuple[str, int], int]] = {}
    for fact in subject.replay.facts.settlements:
        notionals.setdefault(fact.block, {})[fact.account, fact.series] = fact.notional
    for interval in intervals(subject):
        if interval.before.unlisted or interval.after.unlisted:
            continue
        trades = sum(event.name in BY_TRADE for _, event in interval.events)
        if not trades:
            continue
        judged += trades
        gained = _wealth(interval.after.state)
        for pool, was in _wealth(interval.before.state).items():
            gained[pool] = gained.get(pool, 0) - was
        for block, event in interval.events:
            for pool, given in _given(event, notionals.get(block, {}), subject.replay.venue.book):
                gained[pool] = gained.get(pool, 0) - given
        for pool, more in gained.items():
            if more > 0:
                cases.add(severity=more, block=interval.block, from_block=interval.before.state.number, pool=pool,
                          gained_wad=more, trades=trades)
    return cases.finding(
        judged,
        holds=f"{judged} trades and transfers between state records left the accounts together no richer",
        violated="trading made all accounts together richer",
        nothing="no trade between two state records that list every account",
    )


def _wealth(state: StateRecord) -> dict[int, int]:
    """Of the accounts of each pool, in its currency."""
    total: dict[int, int] = {}
    for account in state.accounts.values():
        total[account.pool] = total.get(account.pool, 0) + account.cash - sum(p.notional for p in account.positions)
    return total


def _given(event: Event, notionals: Mapping[tuple[str, int], int], book: Ledgers) -> Iterator[tuple[int, int]]:
    """What an event gives to (or takes from) all accounts of a pool other than by trading, by its own words."""
    if event.name == "CollateralMoved":
        amount = int(event.args["amount"]) * NATIVE
        yield int(event.args["from"]), -amount
        yield int(event.args["to"]), amount
    elif "account" in event.args:
        yield book.pool_of(event.args["account"]), _given_to(event.name, event.args, notionals)


def _given_to(name: str, args: Mapping[str, Any], notionals: Mapping[tuple[str, int], int]) -> int:
    match name:
        case "Deposited":
            return int(args["amount"]) * NATIVE
        case "CoinDeposited":
            return int(args["amount"])
        case "CoinWithdrawn":
            return -int(args["amount"])
        case "Withdrawn":
            return -int(args["amount"]) * NATIVE
        case "Liquidated":
            return int(args["covered"]) + int(args["badDebt"]) - int(args["toInsurance"])
        case "BadDebt":
            return int(args["covered"]) + int(args["remaining"])
        case "Haircut":
            return -int(args["amount"])
        case "FundingSettled":
            return int(args["cashDelta"])
        case "Settled":
            # cashDelta is δ − N for a future, and its N leaves the books with the position; δ is what was given.
            return int(args["cashDelta"]) + notionals.get((args["account"], args["seriesId"]), 0)
        case _:
            return 0


_PER_NATIVE = {"Deposited": NATIVE, "Withdrawn": -NATIVE, "CoinDeposited": 1, "CoinWithdrawn": -1}
"""What each moves in cash per native unit it tells."""


def money_in_and_out(subject: Subject) -> Finding:
    """Judged for accounts to which nothing else happened between two state records."""
    cases, judged = Cases(), 0
    for interval in intervals(subject):
        for address, events in interval.touched().items():
            if any(event.name not in _PER_NATIVE for event in events):
                continue
            after = interval.after.state.accounts.get(address)
            before = interval.before.state.accounts.get(address)
            if after is None:
                continue
            judged += len(events)
            moved = sum(event.args["amount"] * _PER_NATIVE[event.name] for event in events)
            got = after.cash - (0 if before is None else before.cash)
            if got != moved:
                cases.add(severity=abs(got - moved), block=interval.block, account=address, tokens_moved_wad=moved,
                          cash_moved=got)
    return cases.finding(
        judged,
        holds=f"{judged} deposits and withdrawals moved cash by exactly what they moved in tokens",
        violated="cash moved by another amount than the tokens",
        nothing="no account had only deposits or withdrawals between two state records",
    )


def never_above_the_whole(subject: Subject) -> Finding:
    """A7: the exact sum is what one unsplit step would give; all the parts together may not exceed it."""
    cases, judged = Cases(), 0
    books = ExactBooks()
    by_block = {snapshot.state.number: snapshot.state for snapshot in subject.replay.snapshots}
    for block in subject.chain:
        for event in block.events:
            books.apply(event.name, event.args)
        state = by_block.get(block.number)
        if state is None:
            continue
        for address, shown in state.accounts.items():
            exact, roundings = books.value.get(address, 0), books.roundings.get(address, 0)
            missing = exact - (shown.cash - sum(position.notional for position in shown.positions)) * WAD
            judged += roundings > 0
            if not -books.slack.get(address, 0) <= missing <= roundings * WAD:
                cases.add(severity=abs(missing) // WAD, block=block.number, account=address, exact_e36=exact,
                          missing_e36=missing, roundings=roundings)
    return cases.finding(
        judged,
        holds=f"in {judged} readings an account had at most what exact arithmetic gives it, and at least that less one "
              "wei per rounding",
        violated="an account has more than exact arithmetic gives it, or lost more than its roundings",
        nothing="no state record shows an account that traded",
    )


def order_of_settlements(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    by_block = {snapshot.state.number: snapshot.state for snapshot in subject.replay.snapshots}
    for swap in subject.replay.swaps:
        judged += swap.settlements
        for what, as_was, as_permuted in swap.differences:
            cases.add(severity=abs(as_was - as_permuted), block=swap.block, what=what, as_settled=as_was,
                      in_reverse=as_permuted)
        state = by_block.get(swap.block)
        if state is None:
            continue
        for address, cash in swap.cash.items():
            shown = state.accounts.get(address)
            if shown is not None and shown.cash != cash:
                cases.add(severity=abs(shown.cash - cash), block=swap.block, what=f"accounts.{address}.cash",
                          as_settled=shown.cash, in_reverse=cash, where="storage")
    return cases.finding(
        judged,
        holds=f"{judged} settlements that shared a block give the same balances in reverse order",
        violated="a balance depends on the order of settlements within a block",
        nothing="no block settled two accounts",
    )


CHECKS = (
    Check("A2", "open interest", "the open interest of a series is the sum of its longs", open_interest),
    Check("A4", "no free lunch", "trades between all accounts never leave them together richer", no_free_lunch),
    Check("A5", "money in and out", "a deposit or withdrawal moves cash by exactly its tokens", money_in_and_out),
    Check("A7", "splitting", "all of an account's trades and settlements together never yield more than exact "
          "arithmetic, nor lose more than a wei a rounding", never_above_the_whole),
    Check("A8", "order of settlements", "settling the accounts of one block in another order changes no balance",
          order_of_settlements, occasion="two accounts settled in one block"),
)
