"""Full liquidation: positions move to the keeper, then the penalty is shared and a loss goes down the waterfall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.book import Book
from harness.model.context import Context, PendingLiquidation
from harness.model.facts import LiquidationFact, LossFact
from harness.model.fixed import BPS, WAD, ceil_div, floor_div
from harness.model.funding import accrue, release, settle
from harness.model.margin import intrinsic


def position_transferred(context: Context, args: Mapping[str, Any]) -> None:
    book = context.book
    series = context.series(args["seriesId"], "PositionTransferred")
    if series is None:
        return
    account, keeper = args["account"], args["keeper"]
    if account == keeper:
        context.differ("PositionTransferred.keeper", "not the account", keeper)
        return
    accrue(context, series)
    settle(context, series, account)
    settle(context, series, keeper)
    pending = context.liquidations.get(account)
    if pending is None:
        pending = context.liquidations[account] = _begin(book, account, keeper)
    context.expect("PositionTransferred.keeper", pending.keeper, keeper)
    if series.id <= pending.last_series:
        context.differ("PositionTransferred.seriesId", f"above {pending.last_series}", series.id)
    pending.last_series = series.id
    held = book.account(account).positions.get(series.id)
    if held is None:
        context.differ("PositionTransferred.size", 0, args["size"])
        return
    size, index = held.size, book.index(series)
    price = index
    if not series.kind.is_linear:
        price = intrinsic(series.kind, strike=series.strike, price=index)
    context.expect("PositionTransferred.size", size, args["size"])
    context.expect("PositionTransferred.price", price, args["price"])
    # The user's loss is judged by what the chain says it paid, not by what the model would have paid.
    pending.shortfall += floor_div(size * price, WAD) - floor_div(size * args["price"], WAD)
    book.dust -= book.apply_leg(account, series, -size, price) + book.apply_leg(keeper, series, size, price)
    release(book, series)


def liquidated(context: Context, args: Mapping[str, Any]) -> None:
    book, params = context.book, context.book.params
    account, keeper = args["account"], args["keeper"]
    pending = context.liquidations.pop(account, None)
    if pending is None:
        context.differ("Liquidated", "after its PositionTransferred", "no transfer in this transaction")
        pending = _begin(book, account, keeper)
    left = sorted(book.account(account).positions)
    if left:
        context.differ("Liquidated leaves positions", [], left)
    context.expect("Liquidated.keeper", pending.keeper, keeper)

    penalty = ceil_div(pending.notional * params.penalty_bps, BPS * WAD)
    cash = book.account(account).cash
    collected = min(penalty, max(0, cash))
    to_keeper = min(collected, floor_div(penalty * params.keeper_share_bps, BPS))
    to_insurance = collected - to_keeper
    book.add_cash(account, -collected)
    if keeper != account:
        book.add_cash(keeper, to_keeper)
    book.insurance += to_insurance
    loss = max(0, -book.account(account).cash)
    covered = cover(book, account)
    debt = max(0, -book.account(account).cash)

    context.expect("Liquidated.equityBefore", pending.before.equity, args["equityBefore"])
    context.expect("Liquidated.maintenanceMargin", pending.before.mm, args["maintenanceMargin"])
    context.expect("Liquidated.toKeeper", to_keeper, args["toKeeper"])
    context.expect("Liquidated.toInsurance", to_insurance, args["toInsurance"])
    context.expect("Liquidated.covered", covered, args["covered"])
    context.expect("Liquidated.badDebt", debt, args["badDebt"])
    if loss or args["covered"] or args["badDebt"]:
        context.facts.losses.append(
            LossFact(context.block, context.tx, account, loss, args["covered"], args["badDebt"])
        )
    got_collected = args["toKeeper"] + args["toInsurance"]
    report = pending.oldest_report
    context.facts.liquidations.append(
        LiquidationFact(
            context.block, context.tx, book.now, account, keeper, pending.before,
            None if report is None else book.now - report, report, book.is_up, book.started_at,
            pending.earliest_expiry, penalty, pending.shortfall + got_collected, got_collected, args["badDebt"],
            args["toKeeper"], args["covered"], loss, args["equityBefore"], args["maintenanceMargin"],
            pending.held, book.margin(account), pending.keeper_before, book.margin(keeper), book.oldest_age(keeper),
        )
    )


def end_transaction(context: Context) -> None:
    for account in context.liquidations:
        context.differ("PositionTransferred without Liquidated", "Liquidated", account)
    context.liquidations.clear()


def cover(book: Book, address: str) -> int:
    """Pay a negative cash balance from the insurance as far as it reaches; returns what was paid."""
    account = book.account(address)
    if account.cash >= 0:
        return 0
    covered = min(book.insurance, -account.cash)
    book.insurance -= covered
    book.add_cash(address, covered)
    return covered


def _begin(book: Book, account: str, keeper: str) -> PendingLiquidation:
    notional = sum(
        abs(position.size) * abs(book.index(book.series[series_id]))
        for series_id, position in book.account(account).positions.items()
    )
    return PendingLiquidation(
        keeper, book.margin(account), book.margin(keeper), book.holding(account), book.oldest_report(account),
        book.earliest_expiry(account), notional, 0, 0,
    )
