"""Pauses: what is paused does not happen, nobody is liquidated right after one, clocks stand still meanwhile."""

from __future__ import annotations

from itertools import pairwise

from harness.checks.liquidations import steps_down
from harness.checks.market_guards import reduces
from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.stopwatch import Stopwatch, pauses
from harness.checks.subject import Subject
from harness.model.facts import AccrualFact
from harness.model.fixed import BPS, WAD, ceil_div, floor_div
from harness.model.ladder import AUCTION
from harness.model.pauses import LIQUIDATION, TRADING, WITHDRAWALS


def refusals(subject: Subject, *errors: str) -> int:
    """Transactions that failed with one of these errors."""
    return sum(
        transaction.error is not None and transaction.error.partition("(")[0] in errors
        for block in subject.chain for transaction in block.transactions
    )


def grace_after_pause(subject: Subject) -> Finding:
    """Guarded by steps down the ladder after a pause of liquidation, and by attempts turned away for one.

    As after a restart the grace ends by L1's clock.
    """
    cases, judged = Cases(), 0
    grace_s = subject.bounds.venue.grace_s
    for fact in steps_down(subject):
        is_paused = bool(fact.paused & LIQUIDATION)
        if not is_paused and not fact.resumed_at:
            continue
        judged += 1
        until = fact.resumed_at + grace_s if fact.resumed_at else fact.timestamp
        early_report = fact.oldest_report is None or fact.oldest_report < fact.resumed_at
        clock = min(fact.origin_time, fact.timestamp)
        if is_paused or (fact.resumed_at and clock < until) or early_report:
            cases.add(severity=until - clock, block=fact.block, tx=fact.tx, account=fact.account,
                      paused=fact.paused, resumed_at=fact.resumed_at, block_timestamp=fact.timestamp,
                      origin_timestamp=fact.origin_time, grace_until=until, oldest_report=fact.oldest_report)
    refused = refusals(subject, "LiquidationPaused", "PauseGrace")
    return cases.finding(
        judged + refused,
        holds=f"{judged} steps down the ladder after a pause of liquidation waited for its grace and a new price; "
              f"{refused} attempts were refused",
        violated="liquidated while liquidation was paused, within the grace after, or at a price from before its end",
        nothing="nobody was or tried to be liquidated in or after a pause of liquidation",
    )


def paused_means_paused(subject: Subject) -> Finding:
    """Opening while trading is paused, withdrawing while withdrawals are, a haircut while liquidation is."""
    cases, judged = Cases(), 0
    facts = subject.replay.facts
    for trade in facts.trades:
        if not trade.paused & TRADING:
            continue
        judged += 1
        if not reduces(trade.taker, trade.size):
            cases.add(severity=abs(trade.size), block=trade.block, tx=trade.tx, paused=trade.paused,
                      account=trade.taker.account, series=trade.series, size_before=trade.taker.size_before,
                      size=trade.size)
    for withdrawal in facts.withdrawals:
        if withdrawal.paused & WITHDRAWALS:
            cases.add(block=withdrawal.block, tx=withdrawal.tx, paused=withdrawal.paused, account=withdrawal.account)
    for haircut in facts.haircuts:
        if haircut.paused & LIQUIDATION:
            cases.add(severity=haircut.got_amount, block=haircut.block, tx=haircut.tx, paused=haircut.paused,
                      amount=haircut.got_amount)
    refused = refusals(subject, "TradingPaused", "WithdrawalsPaused", "LiquidationPaused")
    return cases.finding(
        judged + refused,
        holds=f"while paused {judged} trades reduced, and {refused} calls that were paused were refused",
        violated="something paused happened: a trade that opened, a withdrawal or a haircut",
        nothing="nobody tried what was paused, nor reduced while trading was",
    )


def clocks_stand_still(subject: Subject) -> Finding:
    """Guarded by what a pause lies within: funding's accruals, auctions that ended in a bid, readings of the clocks."""
    cases = Cases()
    judged = _funding_clock(subject, cases) + _auction_clock(subject, cases) + _read_clocks(subject, cases)
    return cases.finding(
        judged,
        holds=f"{judged} accruals, auctions and readings with a pause among their time counted none of its seconds",
        violated="funding or an auction went on while it was paused",
        nothing="no pause lay within an accrual, an auction or two readings of the clocks",
    )


def _funding_clock(subject: Subject, cases: Cases) -> int:
    """The integral grows by no more than the dearest price for each second that counts, and not at all without one."""
    judged = 0
    watch, spans = Stopwatch.of(subject.chain, TRADING), Stopwatch(pauses(subject.chain, TRADING))
    facts, series_of = subject.replay.facts, subject.replay.venue.book.series
    dearest: dict[str, int] = {}
    for fact in facts.rounds:
        dearest[fact.asset] = max(dearest.get(fact.asset, 0), abs(fact.price))
    last: dict[int, tuple[AccrualFact, int]] = {}
    for accrual in facts.accruals:
        if accrual.got is None:
            continue
        before = last.get(accrual.series)
        last[accrual.series] = (accrual, accrual.got[2])
        if before is None or not spans.stopped(before[0].timestamp, accrual.timestamp):
            continue
        judged += 1
        counted = watch.seconds(before[0].timestamp, accrual.timestamp)
        grew, most = accrual.got[2] - before[1], dearest.get(series_of[accrual.series].asset, 0) * counted
        if not 0 <= grew <= most:
            cases.add(severity=grew - most, block=accrual.block, tx=accrual.tx, series=accrual.series,
                      integral_grew=grew, at_most=most, counted_s=counted,
                      elapsed_s=accrual.timestamp - before[0].timestamp)
    return judged


def _auction_clock(subject: Subject, cases: Cases) -> int:
    """A bidder gets no more than the auction's counted seconds give."""
    judged = 0
    watch, spans = Stopwatch.of(subject.chain, LIQUIDATION), Stopwatch(pauses(subject.chain, LIQUIDATION))
    params, facts = subject.bounds.venue, subject.replay.facts
    starts = {(fact.account, fact.block, fact.tx): fact for fact in facts.auctions}
    for fact in facts.liquidations:
        here = (fact.block, fact.tx)
        begun = [start for key, start in starts.items() if key[0] == fact.account and key[1:] <= here]
        if fact.stage != AUCTION or not begun:
            continue
        since = max(begun, key=lambda start: (start.block, start.tx)).timestamp
        if not spans.stopped(since, fact.timestamp):
            continue
        judged += 1
        elapsed = min(watch.seconds(since, fact.timestamp), params.auction_duration_s)
        whole = ceil_div(fact.terms.notional * params.auction_max_bps, BPS * WAD)
        most = min(floor_div(whole * elapsed, params.auction_duration_s), max(0, fact.terms.worth))
        if fact.to_keeper > most:
            cases.add(severity=fact.to_keeper - most, block=fact.block, tx=fact.tx, account=fact.account,
                      to_keeper=fact.to_keeper, at_most=most, counted_s=elapsed, elapsed_s=fact.timestamp - since)
    return judged


def _read_clocks(subject: Subject, cases: Cases) -> int:
    """The clocks as stored, from one reading to the next."""
    judged = 0
    times = {block.number: block.timestamp for block in subject.chain}
    shown = [(times[snapshot.state.number], snapshot.state.number, snapshot.state.governance)
             for snapshot in subject.replay.snapshots
             if snapshot.state.governance is not None and snapshot.state.number > 0]  # before block 1 no clock runs
    for bit, name in ((TRADING, "funding_clock"), (LIQUIDATION, "auction_clock")):
        watch, spans = Stopwatch.of(subject.chain, bit), Stopwatch(pauses(subject.chain, bit))
        for (before_s, _, before), (after_s, number, after) in pairwise(shown):
            judged += spans.stopped(before_s, after_s) > 0
            ran, due = getattr(after, name) - getattr(before, name), watch.seconds(before_s, after_s)
            if ran != due:
                cases.add(severity=abs(ran - due), block=number, clock=name, ran_s=ran, due_s=due,
                          elapsed_s=after_s - before_s)
    return judged


def settling_while_paused(subject: Subject) -> Finding:
    """Guarded by settlements and final prices while trading was paused, and by calls to settle that were refused."""
    cases, judged = Cases(), 0
    facts, spans = subject.replay.facts, Stopwatch(pauses(subject.chain, TRADING))

    def is_paused(timestamp: int) -> bool:
        return spans.stopped(timestamp, timestamp + 1) > 0

    judged += sum(is_paused(fact.timestamp) for fact in facts.settlements)
    judged += sum(is_paused(fact.timestamp) for fact in facts.finals)
    for plea in subject.replay.pleas:
        if plea.action != "settle" or plea.succeeded or not is_paused(plea.timestamp):
            continue
        judged += 1
        if plea.is_shut_out:
            cases.add(severity=plea.timestamp - plea.since, block=plea.block, tx=plea.tx, client=plea.client,
                      error=plea.error)
    return cases.finding(
        judged,
        holds=f"while trading was paused {judged} prices became final, and positions were settled or "
              "had nothing to settle",
        violated="a settlement was refused while trading was paused",
        nothing="nothing was settled while trading was paused",
    )


_A_PAUSE = "a pause by the guardian"
CHECKS = (
    Check("G2", "grace after a pause", "no liquidation while it is paused, in the grace after, or at a price from "
          "before its end", grace_after_pause, occasion=_A_PAUSE),
    Check("G4", "clocks stand still", "funding does not accrue while trading is paused, nor an auction fall while "
          "liquidation is", clocks_stand_still, occasion=_A_PAUSE),
    Check("G6", "paused means paused", "while trading is paused takers only reduce, and no withdrawal or haircut "
          "passes its own pause", paused_means_paused, occasion=_A_PAUSE),
    Check("S10", "settling while paused", "finalizing and settling stay possible while trading is paused",
          settling_while_paused, occasion="a settlement while trading is paused"),
)
