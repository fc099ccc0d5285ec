"""Funding of perpetuals: longs and shorts cancel, within the cap, by the policy for gaps, at the size held before."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import StateRecord
from harness.model.facts import AccrualFact
from harness.model.fixed import BPS, WAD, floor_div

OCCASION = "a perpetual with funding"


def sum_of_payments(subject: Subject) -> Finding:
    """From storage alone: what was settled (−clearing) and what is still owed, exactly, sum to at most nothing."""
    cases, judged = Cases(), 0
    replay = subject.replay
    settled: dict[int, list[int]] = {}
    for fact in replay.facts.fundings:
        settled.setdefault(fact.series, []).append(fact.block)
    for snapshot in replay.snapshots:
        state = snapshot.state
        if snapshot.unlisted:
            continue
        for series_id, series in state.series.items():
            if series.funding is None:
                continue
            roundings = sum(block <= state.number for block in settled.get(series_id, ()))
            judged += roundings > 0
            total = -series.clearing * WAD + _owed(state, series_id, series.funding.index)
            if not -roundings * WAD <= total <= 0:
                cases.add(severity=abs(total) // WAD, block=state.number, series=series_id, sum_e36=total,
                          clearing=series.clearing, settlements=roundings)
    return cases.finding(
        judged,
        holds=f"in {judged} readings all funding paid and owed sums to zero less at most a wei a settlement",
        violated="funding paid and owed does not cancel",
        nothing="no state record shows a perpetual whose funding was ever settled",
    )


def _owed(state: StateRecord, series: int, index: int) -> int:
    """Σ −q·(I − I_u), exact at 1e36."""
    return sum(
        -position.size * (index - position.funding_index)
        for account in state.accounts.values() for position in account.positions if position.series == series
    )


def within_cap(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    cap = subject.bounds.venue.funding_cap_bps * WAD // BPS
    seen = [(fact.block, fact.series, fact.got[1]) for fact in subject.replay.facts.accruals if fact.got is not None]
    seen += [(snapshot.state.number, series_id, series.funding.rate) for snapshot in subject.replay.snapshots
             for series_id, series in snapshot.state.series.items() if series.funding is not None]
    for block, series_id, rate in seen:
        judged += rate != 0
        if abs(rate) > cap:
            cases.add(severity=abs(rate) - cap, block=block, series=series_id, rate=rate, cap=cap)
    return cases.finding(
        judged,
        holds=f"{judged} readings of a rate that was not zero lie within ±{cap / WAD:.4%} a period",
        violated="funding rate beyond its cap",
        nothing="no funding rate other than zero was seen",
    )


def gap_policy(subject: Subject) -> Finding:
    """Guarded by accruals that span an outage or a gap between prices longer than the policy counts.

    Recomputed from block times, outages and accepted prices, at the rate in force before the gap.
    """
    cases, judged = Cases(), 0
    period = subject.bounds.venue.funding_period_s * WAD
    replay = subject.replay
    assets = {asset: _Rounds(subject, asset) for asset in replay.venue.book.feeds}
    for fact in replay.facts.accruals:
        elapsed = fact.timestamp - fact.timestamp_before
        active = fact.active - fact.active_before
        rounds = assets[replay.venue.book.series[fact.series].asset]
        counted = rounds.counted(fact)
        if active == elapsed and counted == active:
            continue
        judged += 1
        step = floor_div(fact.rate_before * fact.integral_delta, period)
        got = None if fact.got is None else fact.got[0] - fact.index_before
        at_most = abs(fact.rate_before) * rounds.dearest * counted // period + 1
        if got is None or got != step or abs(got) > at_most:
            cases.add(severity=abs((got or 0) - step), block=fact.block, tx=fact.tx, series=fact.series,
                      elapsed_s=elapsed, active_s=active, counted_s=counted, index_step=step, got_step=got,
                      at_most=at_most, rate_before=fact.rate_before, rate_after=fact.rate)
    return cases.finding(
        judged,
        holds=f"{judged} accruals across an outage or a gap between prices counted only the seconds they may, at the "
              "rate from before",
        violated="a gap accrued another amount than its policy",
        nothing="no accrual spanned an outage or a gap between prices",
    )


class _Rounds:
    """When, on the active clock, each round of an asset was accepted."""

    def __init__(self, subject: Subject, asset: str) -> None:
        facts = [fact for fact in subject.replay.facts.rounds if fact.asset == asset]
        self._gap = subject.bounds.venue.funding_gap_s
        self._places = [(fact.block, fact.tx) for fact in facts]
        self._active = [accepted.active_at for accepted in subject.replay.venue.book.feeds[asset].rounds]
        self.dearest = max((abs(fact.price) for fact in facts), default=0)

    def counted(self, fact: AccrualFact) -> int:
        """Active seconds since the accrual before that count: of those after each round, at most the gap's."""
        known = bisect_left(self._places, (fact.block, fact.tx))
        first = max(0, bisect_right(self._active, fact.active_before, 0, known) - 1)
        total = 0
        for index in range(first, known):
            end = self._active[index + 1] if index + 1 < known else fact.active
            total += max(0, min(end, self._active[index] + self._gap) - max(self._active[index], fact.active_before))
        return total


def size_before(subject: Subject) -> Finding:
    cases = Cases()
    fundings = subject.replay.facts.fundings
    for fact in fundings:
        due = floor_div(-fact.size * (fact.index - fact.index_before), WAD)
        if fact.got_cash_delta != due:
            cases.add(severity=abs((fact.got_cash_delta or 0) - due), block=fact.block, tx=fact.tx,
                      account=fact.account, series=fact.series, size_before=fact.size, index_from=fact.index_before,
                      index_to=fact.index, cash_delta=due, got_cash_delta=fact.got_cash_delta)
    return cases.finding(
        len(fundings),
        holds=f"{len(fundings)} settlements of funding paid for the size held before, to the wei",
        violated="funding was settled at another size than the one held, or not at all",
        nothing="no funding was settled",
    )


def lazy_as_eager(subject: Subject) -> Finding:
    """Metamorphic: settled at every accrual, each step floored, a position gets less, by under a wei a step."""
    cases, judged = Cases(), 0
    for fact in subject.replay.facts.fundings:
        if fact.steps < 2:
            continue
        judged += 1
        got = fact.cash_delta if fact.got_cash_delta is None else fact.got_cash_delta
        if not 0 <= got - fact.eager < fact.steps:
            cases.add(severity=abs(got - fact.eager), block=fact.block, tx=fact.tx, account=fact.account,
                      series=fact.series, size=fact.size, lazy=got, eager=fact.eager, steps=fact.steps)
    return cases.finding(
        judged,
        holds=f"{judged} lazy settlements of funding are what settling at each step gives, to a wei a step",
        violated="lazy and eager settlement of funding differ",
        nothing="no settlement of funding spanned two accruals",
    )


CHECKS = (
    Check("F1", "funding cancels", "all funding of a market, paid and owed, sums to zero less a wei a settlement",
          sum_of_payments, occasion=OCCASION),
    Check("F2", "funding cap", "a funding rate lies within its cap", within_cap, occasion=OCCASION),
    Check("F3", "gap policy", "an outage or a gap between prices accrues what the policy says, at the rate from before",
          gap_policy, occasion="funding across a gap"),
    Check("F4", "size before", "funding is paid for the size held before it changes", size_before, occasion=OCCASION),
    Check("F5", "lazy as eager", "settling funding late pays what settling at each step would, to a wei a step",
          lazy_as_eager, occasion=OCCASION),
)
