"""Trades and withdrawals: what an account may be left with, and the price it traded at."""

from __future__ import annotations

from harness.checks.intervals import intervals
from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.model.facts import LegFact, TradeFact
from harness.model.margin import may_move


def margin_after_trade(subject: Subject) -> Finding:
    cases, legs, growing = Cases(), 0, 0
    facts = subject.replay.facts
    for trade in facts.trades:
        for leg in (trade.taker, trade.maker):
            legs += 1
            growing += increases_risk(leg)
            if not may_move(leg.before, leg.after):
                _note(cases, trade, leg)
    for liquidation in facts.liquidations:
        if not liquidation.keeper_took:
            continue
        keeper = liquidation.keeper_after
        if not keeper.is_keeper:
            cases.add(severity=keeper.base_im - keeper.credited, block=liquidation.block, tx=liquidation.tx,
                      keeper=liquidation.keeper, equity=keeper.credited, im=keeper.base_im)
    return cases.finding(
        growing,
        holds=f"{legs} sides, {growing} of them risk-increasing, ended with E ≥ IM, or under-margined before and no "
              "worse after (rule 3.9)",
        violated="an account was let into a position it cannot margin",
        nothing="no trade increased anyone's risk",
    )


def _note(cases: Cases, trade: TradeFact, leg: LegFact) -> None:
    cases.add(
        severity=leg.after.im - leg.after.equity, block=trade.block, tx=trade.tx, series=trade.series,
        account=leg.account, size_before=leg.size_before, size_after=leg.size_after, index=trade.index,
        equity_before=leg.before.equity, im_before=leg.before.im, mm_before=leg.before.mm, equity=leg.after.equity,
        im=leg.after.im, mm=leg.after.mm,
    )


def increases_risk(leg: LegFact) -> bool:
    """The side ended larger, or on the other side of zero."""
    flipped = (leg.size_before > 0) != (leg.size_after > 0)
    return leg.size_after != 0 and (abs(leg.size_after) > abs(leg.size_before) or flipped)


def under_margined_moves(subject: Subject) -> Finding:
    """M1's second branch by itself, so that it is known whether anyone ever took it."""
    cases, judged = Cases(), 0
    for trade in subject.replay.facts.trades:
        for leg in (trade.taker, trade.maker):
            if leg.before.credited >= leg.before.im or leg.before.mm <= 0:
                continue
            judged += 1
            if not may_move(leg.before, leg.after):
                _note(cases, trade, leg)
    return cases.finding(
        judged,
        holds=f"{judged} sides traded while under their initial margin, and each ended margined or no worse",
        violated="an under-margined account moved to a worse requirement or ratio",
        nothing="nobody traded while under initial margin",
    )


_ADDING = frozenset(("Deposited", "CoinDeposited"))


def adding_collateral(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    facts = subject.replay.facts
    for fact in facts.deposits:
        if fact.before.mm <= 0 and fact.after.mm <= 0:
            continue
        judged += 1
        if fact.after.is_liquidatable and not fact.before.is_liquidatable:
            cases.add(severity=fact.after.mm - fact.after.equity, block=fact.block, tx=fact.tx, account=fact.account,
                      equity_before=fact.before.equity, mm_before=fact.before.mm, equity=fact.after.equity,
                      mm=fact.after.mm)
    for interval in intervals(subject):
        if interval.is_repriced:
            continue
        for address, events in interval.touched().items():
            before = interval.before.state.accounts.get(address)
            after = interval.after.state.accounts.get(address)
            if before is None or after is None or any(event.name not in _ADDING for event in events):
                continue
            if after.equity < after.mm and before.equity >= before.mm:
                cases.add(severity=after.mm - after.equity, block=interval.block, account=address, where="storage",
                          equity_before=before.equity, mm_before=before.mm, equity=after.equity, mm=after.mm)
    return cases.finding(
        judged,
        holds=f"{judged} deposits of accounts with positions left none liquidatable that was not before",
        violated="adding collateral made a healthy account liquidatable",
        nothing="nobody with a position added collateral",
    )


def no_debt_by_trading(subject: Subject) -> Finding:
    """What M1 implies since rule 3.9 asks who was under-margined before; kept, for it needs no requirement table."""
    cases, legs = Cases(), 0
    for trade in subject.replay.facts.trades:
        for leg in (trade.taker, trade.maker):
            legs += 1
            if leg.after.equity < 0 <= leg.before.equity:
                _note(cases, trade, leg)
    return cases.finding(
        legs,
        holds=f"none of {legs} sides traded itself from solvent to below zero",
        violated="a trade took a solvent account's equity below zero",
        nothing="no trade",
    )


def margin_after_withdrawal(subject: Subject) -> Finding:
    cases = Cases()
    withdrawals = subject.replay.facts.withdrawals
    for fact in withdrawals:
        if fact.free < fact.im:
            cases.add(severity=fact.im - fact.free, block=fact.block, tx=fact.tx, account=fact.account,
                      free_cash=fact.free, im=fact.im)
    return cases.finding(
        len(withdrawals),
        holds=f"after each of {len(withdrawals)} withdrawals cash less unrealised loss covers IM",
        violated="a withdrawal took money that margins a position",
        nothing="no withdrawal",
    )


def price_bounds(subject: Subject) -> Finding:
    cases = Cases()
    trades = subject.replay.facts.trades
    for trade in trades:
        if trade.band_excess > 0:
            cases.add(severity=trade.band_excess, block=trade.block, tx=trade.tx, series=trade.series,
                      price=trade.price, index=trade.index, outside_by=trade.band_excess)
    return cases.finding(
        len(trades),
        holds=f"{len(trades)} trades were struck within the band around the index",
        violated="trade struck outside its price bounds",
        nothing="no trade",
    )


def quote_used_once(subject: Subject) -> Finding:
    cases = Cases()
    used: dict[tuple[str, int], int] = {}
    trades = subject.replay.facts.trades
    for trade in trades:
        quote = (trade.maker.account, trade.nonce)
        if quote in used:
            cases.add(block=trade.block, tx=trade.tx, maker=trade.maker.account, nonce=trade.nonce,
                      first_block=used[quote])
        used.setdefault(quote, trade.block)
    return cases.finding(
        len(trades),
        holds=f"{len(trades)} trades used as many quotes",
        violated="a maker's quote was filled twice",
        nothing="no trade",
    )


def quote_in_time(subject: Subject) -> Finding:
    """By what takers recorded of the quotes they took; the deadline is in the call and in no event."""
    cases, judged = Cases(), 0
    deadlines: dict[str, int] = {}
    for operation in subject.history.operations:
        if operation.outcome is None:
            continue
        deadline = operation.outcome.detail.get("deadline", operation.invoke.args.get("deadline"))
        if isinstance(deadline, int):
            deadlines[str(operation.outcome.detail.get("tx"))] = deadline
    blocks = {block.number: block for block in subject.chain}
    for trade in subject.replay.facts.trades:
        hash_ = blocks[trade.block].transactions[trade.tx].hash if trade.tx >= 0 else ""
        if hash_ not in deadlines:
            continue
        judged += 1
        if trade.timestamp > deadlines[hash_]:
            cases.add(severity=trade.timestamp - deadlines[hash_], block=trade.block, tx=trade.tx, series=trade.series,
                      taker=trade.taker.account, block_timestamp=trade.timestamp, deadline=deadlines[hash_])
    return cases.finding(
        judged,
        holds=f"each of {judged} quotes was taken by its deadline",
        violated="a quote was taken after its deadline",
        nothing="nobody recorded the deadline of a quote it took",
    )


CHECKS = (
    Check("M1", "margin after trade", "no trade leaves a side under its initial margin, save by rule 3.9",
          margin_after_trade),
    Check("M2", "margin after withdrawal", "a withdrawal leaves cash less unrealised loss at or above IM",
          margin_after_withdrawal),
    Check("M4", "adding collateral", "adding collateral never turns a healthy account liquidatable", adding_collateral),
    Check("M5", "under-margined moves", "an account under its initial margin only moves to a no worse requirement and "
          "ratio (rule 3.9)", under_margined_moves, occasion="a trade while under initial margin"),
    Check("M9", "no debt by trading", "no trade takes an account's equity from zero or more to below zero",
          no_debt_by_trading),
    Check("T1", "price bounds", "futures trade within the band around the index, options between 0 and their ceiling",
          price_bounds),
    Check("T2", "quote used once", "a maker's nonce is filled at most once", quote_used_once),
    Check("T9", "quote in time", "no quote is taken after its deadline", quote_in_time, occasion="a quote taken"),
)
