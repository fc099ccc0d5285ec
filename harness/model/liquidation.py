"""The ladder, replayed: a transaction's transfers are held until its `Liquidated`, then made and compared as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model import insurance, ladder
from harness.model.book import Book, Series
from harness.model.context import Context, PendingLiquidation
from harness.model.facts import AuctionFact, CounterpartyFact, LiquidationFact, LossFact
from harness.model.fixed import BPS, WAD, ceil_div, floor_div
from harness.model.funding import accrue, owed, release, settle
from harness.model.ladder import AUCTION, DELEVERAGED, PARTIAL, Item, Terms
from harness.model.margin import notional, worth

Transfer = tuple[int, int, int]
"""(series, size, price)"""


def position_transferred(context: Context, args: Mapping[str, Any]) -> None:
    series = context.series(args["seriesId"], "PositionTransferred")
    if series is None:
        return
    if args["account"] == args["keeper"]:
        context.differ("PositionTransferred.keeper", "not the account", args["keeper"])
        return
    context.expect("PositionTransferred accounts' pools", [series.pool] * 2,
                   [context.book.pool_of(args[who]) for who in ("account", "keeper")])
    pending = context.liquidations.setdefault(args["account"], PendingLiquidation(args["keeper"]))
    context.expect("PositionTransferred.keeper", pending.keeper, args["keeper"])
    pending.transfers.append((series.id, args["size"], args["price"]))


def deleveraged(context: Context, args: Mapping[str, Any]) -> None:
    series = context.series(args["seriesId"], "Deleveraged")
    if series is None:
        return
    pending = context.liquidations.setdefault(args["account"], PendingLiquidation(None))
    pending.deleveraged.append((args["counterparty"], series.id, args["size"], args["price"], args["cost"]))


def auction_started(context: Context, args: Mapping[str, Any]) -> None:
    book, address = context.book, args["account"]
    given = ladder.terms(book, address)
    if given.is_partial or ladder.is_running(book, address) or given.is_short:
        context.differ("AuctionStarted", "a penalty not covered, no auction running, and insurance for the loss",
                       [given.worth, given.penalty, ladder.elapsed(book, address), given.available])
    book.account(address).auction = book.auction_clock
    context.expect("AuctionStarted.startActive", book.auction_clock, args["startActive"])
    context.expect("AuctionStarted.equity", given.equity, args["equity"])
    context.expect("AuctionStarted.maintenanceMargin", given.mm, args["maintenanceMargin"])
    report = book.oldest_report(address)
    context.facts.auctions.append(
        AuctionFact(
            context.block, context.tx, book.now, address, book.auction_clock, book.margin(address),
            None if report is None else book.now - report, report, book.is_up, book.started_at,
            book.earliest_expiry(address), book.pauses.paused, book.pauses.resumed_at, book.origin_time,
            book.moved_at(address),
        )
    )


def auction_cancelled(context: Context, args: Mapping[str, Any]) -> None:
    book, address = context.book, args["account"]
    margin = book.margin(address)
    if book.account(address).auction == 0 or margin.is_liquidatable:
        context.differ("AuctionCancelled", "an auction of a healthy account",
                       [book.account(address).auction, margin.equity, margin.mm])
    book.account(address).auction = 0


def liquidated(context: Context, args: Mapping[str, Any]) -> None:
    book = context.book
    account, keeper, stage = args["account"], args["keeper"], args["stage"]
    pending = context.liquidations.pop(account, PendingLiquidation(keeper))
    if pending.keeper is not None:
        context.expect("Liquidated.keeper", pending.keeper, keeper)
    if account == keeper:
        context.differ("Liquidated.keeper", "not the account", keeper)
        return
    given = ladder.terms(book, account)
    since = ladder.elapsed(book, account)
    context.expect("Liquidated.stage", _stage(book, account, given, stage), stage)
    facts = _Before.of(context, account, keeper)
    context.expect("Liquidated.equityBefore", given.equity, args["equityBefore"])
    context.expect("Liquidated.maintenanceMargin", given.mm, args["maintenanceMargin"])
    if stage == PARTIAL:
        outcome = partial(context, account, keeper, given)
    elif stage == AUCTION:
        outcome = bid(context, account, keeper, given, since or 0)
    else:
        outcome = deleverage(context, account, keeper, given, pending)
    book.account(account).auction = 0
    if outcome.transfers and book.margin(keeper).is_keeper:
        book.moved(keeper)
    context.expect("PositionTransferred", [list(item) for item in outcome.transfers],
                   [list(item) for item in pending.transfers])
    if stage != DELEVERAGED and pending.deleveraged:
        context.differ("Deleveraged", None, len(pending.deleveraged))
    for name, value in (("toKeeper", outcome.to_keeper), ("toInsurance", outcome.to_insurance),
                        ("covered", outcome.covered), ("badDebt", outcome.bad_debt)):
        context.expect(f"Liquidated.{name}", value, args[name])
    if outcome.loss or args["covered"] or args["badDebt"]:
        context.facts.losses.append(
            LossFact(context.block, context.tx, account, outcome.loss, args["covered"], args["badDebt"],
                     sum(item[4] for item in pending.deleveraged), book.account(account).cash)
        )
    facts.note(context, args, given, outcome, pending, since)


class Outcome:
    """What the model makes of one `Liquidated`."""

    def __init__(self) -> None:
        self.transfers: list[Transfer] = []
        self.penalty = 0             # the most the owner may be charged
        self.to_keeper = self.to_insurance = 0
        self.loss = self.covered = self.bad_debt = 0
        self.counterparties: list[CounterpartyFact] = []
        self.sizes: tuple[int, ...] = ()


def _stage(book: Book, account: str, given: Terms, told: int) -> int:
    """The stage the rules allow now; between a bid and deleveraging, where both may come, the one that was told."""
    if given.is_partial:
        return PARTIAL
    since = ladder.elapsed(book, account)
    running = ladder.is_running(book, account)
    may_bid = running and not given.is_short
    may_deleverage = given.is_short or (running and since is not None and since >= book.params.auction_duration_s)
    if told == AUCTION and may_bid:
        return AUCTION
    if told == DELEVERAGED and may_deleverage:
        return DELEVERAGED
    return AUCTION if may_bid else DELEVERAGED if may_deleverage else 0


def _move(context: Context, giver: str, receiver: str, series: Series, size: int, price: int) -> None:
    """A transfer of that size (with its sign): a trade of both at that price, funding and dust included."""
    book = context.book
    accrue(context, series)
    settle(context, series, giver)
    settle(context, series, receiver)
    legs = book.apply_leg(giver, series, -size, price) + book.apply_leg(receiver, series, size, price)
    book.ledger(series.pool).dust -= legs
    release(book, series)


def partial(context: Context, account: str, keeper: str, given: Terms) -> Outcome:
    book, params, outcome = context.book, context.book.params, Outcome()
    outcome.sizes = ladder.partial_sizes(book, given)
    closed = 0
    for item, size in zip(given.items, outcome.sizes, strict=True):
        if size == 0:
            continue
        _move(context, account, keeper, item.series, item.sign * size, item.price)
        outcome.transfers.append((item.series.id, item.sign * size, item.price))
        closed += notional(item.series.kind, size, item.index)
    outcome.penalty = ceil_div(closed * params.penalty_bps, BPS * WAD)
    outcome.to_keeper = floor_div(outcome.penalty * params.keeper_share_bps, BPS)
    outcome.to_insurance = outcome.penalty - outcome.to_keeper
    book.add_cash(account, -outcome.penalty)
    book.add_cash(keeper, outcome.to_keeper)
    insurance.income(book.ledger_of(account), outcome.to_insurance)
    return outcome


def bid(context: Context, account: str, keeper: str, given: Terms, since: int) -> Outcome:
    book, outcome = context.book, Outcome()
    outcome.to_keeper = ladder.bonus(book, given, since)
    for item in given.items:
        _move(context, account, keeper, item.series, item.size, item.price)
        outcome.transfers.append((item.series.id, item.size, item.price))
    outcome.penalty = given.penalty
    left = max(0, given.worth)
    outcome.to_insurance = left - outcome.to_keeper
    book.add_cash(account, -left)
    book.add_cash(keeper, outcome.to_keeper)
    insurance.income(book.ledger_of(account), outcome.to_insurance)
    outcome.loss, outcome.covered, outcome.bad_debt = insurance.bear(book, account)
    return outcome


def deleverage(
    context: Context, account: str, keeper: str, given: Terms, pending: PendingLiquidation
) -> Outcome:
    book, params, outcome = context.book, context.book.params, Outcome()
    pool = book.ledger_of(account)
    equities = {address: book.margin(address).equity for address in pool.registered if address != account}

    def funding_of(address: str, series: Series, held: Any) -> int:
        # What this very transaction has settled already was still pending when the profit was judged.
        if series.perpetual is None:
            return 0
        return owed(held, book.funding_index(series)) + context.settled.get((address, series.id), 0)

    chosen: list[tuple[Item, list[ladder.Candidate]]] = []
    for item in given.items:
        found = ladder.candidates(book, item, equities, funding_of)
        left = item.held
        for candidate in found:
            _move(context, account, candidate.address, item.series, item.sign * candidate.size, item.price)
            left -= candidate.size
        if left:
            _move(context, account, keeper, item.series, item.sign * left, item.price)
            outcome.transfers.append((item.series.id, item.sign * left, item.price))
        chosen.append((item, found))
    outcome.penalty = given.penalty
    outcome.loss = max(0, -book.account(account).cash)
    outcome.covered = min(insurance.available(book, pool), outcome.loss)
    insurance.draw(book, pool, outcome.covered)
    book.add_cash(account, outcome.covered)
    uncovered = outcome.loss - outcome.covered
    costs = _costs(given, chosen, uncovered)
    told = {(item[0], item[1]): item[4] for item in pending.deleveraged}
    expected = []
    for (item, candidate), cost in costs:
        book.add_cash(candidate.address, -cost)
        book.add_cash(account, cost)
        expected.append([candidate.address, item.series.id, item.sign * candidate.size, item.price, cost])
        outcome.counterparties.append(
            CounterpartyFact(candidate.address, item.series.id, item.sign * candidate.size, candidate.most, cost,
                             told.get((candidate.address, item.series.id), 0))
        )
    context.expect("Deleveraged", expected, [list(item) for item in pending.deleveraged])
    outcome.bad_debt = max(0, -book.account(account).cash)
    book.add_cash(account, outcome.bad_debt)
    pool.deficit += outcome.bad_debt
    if outcome.loss == 0:
        collected = min(given.penalty, max(0, book.account(account).cash))
        outcome.to_keeper = min(collected, floor_div(given.penalty * params.keeper_share_bps, BPS))
        outcome.to_insurance = collected - outcome.to_keeper
        book.add_cash(account, -collected)
        book.add_cash(keeper, outcome.to_keeper)
        insurance.income(book.ledger_of(account), outcome.to_insurance)
    return outcome


def _costs(
    given: Terms, chosen: list[tuple[Item, list[ladder.Candidate]]], uncovered: int
) -> list[tuple[tuple[Item, ladder.Candidate], int]]:
    """What each counterparty gives up of its profit, position by position; the pieces never exceed the loss."""
    total, borne, costs = sum(item.maintenance for item in given.items), 0, []
    for number, (item, found) in enumerate(chosen):
        is_last = number == len(chosen) - 1
        share = uncovered - borne if is_last else floor_div(uncovered * item.maintenance, max(total, 1))
        borne += share
        left = share
        for candidate in found:
            cost = min(ceil_div(share * candidate.size, item.held), candidate.most, left)
            left -= cost
            costs.append(((item, candidate), cost))
    return costs


class _Before:
    """What the facts of a liquidation need from before it."""

    def __init__(self, context: Context, account: str, keeper: str) -> None:
        book = context.book
        self.margin, self.keeper = book.margin(account), book.margin(keeper)
        self.held, self.report = book.holding(account), book.oldest_report(account)
        self.expiry, self.deficit = book.earliest_expiry(account), book.ledger_of(account).deficit
        self.moved_at = book.moved_at(account)

    @classmethod
    def of(cls, context: Context, account: str, keeper: str) -> _Before:
        return cls(context, account, keeper)

    def note(
        self, context: Context, args: Mapping[str, Any], given: Terms, outcome: Outcome, pending: PendingLiquidation,
        since: int | None,
    ) -> None:
        book, account, keeper = context.book, args["account"], args["keeper"]
        collected = args["toKeeper"] + args["toInsurance"]
        # The owner's loss is judged by what the chain says it paid, not by what the model would have paid.
        due = {item.series.id: item.price for item in given.items}
        moved = [*pending.transfers, *((series, size, price) for _, series, size, price, _ in pending.deleveraged)]
        shortfall = 0
        for number, size, price in moved:
            kind = book.series[number].kind
            shortfall += worth(kind, size, due.get(number, price)) - worth(kind, size, price)
        context.facts.liquidations.append(
            LiquidationFact(
                context.block, context.tx, book.now, account, keeper, args["stage"], self.margin,
                None if self.report is None else book.now - self.report, self.report, book.is_up, book.started_at,
                self.expiry, outcome.penalty, shortfall + collected, collected, args["badDebt"], args["toKeeper"],
                args["covered"], outcome.loss, args["equityBefore"], args["maintenanceMargin"], self.held,
                book.margin(account), self.keeper, book.margin(keeper), book.oldest_age(keeper),
                tuple(moved), given, tuple(outcome.counterparties), since, book.params, book.pauses.paused,
                book.pauses.resumed_at, book.origin_time, self.moved_at,
            )
        )


def end_transaction(context: Context) -> None:
    for account in context.liquidations:
        context.differ("transfers without Liquidated", "Liquidated", account)
    context.liquidations.clear()
    context.settled.clear()
