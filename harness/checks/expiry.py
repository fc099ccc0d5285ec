"""Settlement: at the right time, at one price, exactly once, to the wei, and nobody left behind."""

from __future__ import annotations

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.model.book import Series


def exactly_once(subject: Subject) -> Finding:
    cases = Cases()
    first: dict[tuple[str, int], int] = {}
    settlements = subject.replay.facts.settlements
    for fact in settlements:
        key = (fact.account, fact.series)
        if key in first or fact.size == 0:
            cases.add(severity=abs(fact.got_cash_delta), block=fact.block, tx=fact.tx, account=fact.account,
                      series=fact.series, position=fact.size, cash_delta=fact.got_cash_delta,
                      first_block=first.get(key))
        first.setdefault(key, fact.block)
    return cases.finding(
        len(settlements),
        holds=f"{len(settlements)} positions settled once each",
        violated="settled again, or without a position",
        nothing="nothing was settled",
    )


def to_the_wei(subject: Subject) -> Finding:
    cases = Cases()
    settlements = subject.replay.facts.settlements
    for fact in settlements:
        if (fact.cash_delta, fact.size, fact.price) != (fact.got_cash_delta, fact.got_size, fact.got_price):
            cases.add(severity=abs(fact.got_cash_delta - (fact.cash_delta or 0)), block=fact.block, tx=fact.tx,
                      account=fact.account, series=fact.series, size=fact.size, got_size=fact.got_size,
                      price=fact.price, got_price=fact.got_price, cash_delta=fact.cash_delta,
                      got_cash_delta=fact.got_cash_delta)
    return cases.finding(
        len(settlements),
        holds=f"{len(settlements)} settlements paid what the formula says, to the wei",
        violated="settlement paid another amount than the formula",
        nothing="nothing was settled",
    )


def boundary(subject: Subject) -> Finding:
    """Guarded by every settlement and finalization, and by what happened before expiry to a series that got there."""
    cases = Cases()
    facts, chain = subject.replay.facts, subject.history.chain
    end = chain[-1].timestamp if chain else 0
    guarded = 0
    for final in facts.finals:
        guarded += 1
        if final.timestamp < final.expiry:
            cases.add(severity=final.expiry - final.timestamp, block=final.block, tx=final.tx, did="finalize",
                      series=final.series, block_timestamp=final.timestamp, expiry=final.expiry)
    for settled in facts.settlements:
        guarded += 1
        if settled.timestamp < settled.expiry:
            cases.add(severity=settled.expiry - settled.timestamp, block=settled.block, tx=settled.tx, did="settle",
                      series=settled.series, block_timestamp=settled.timestamp, expiry=settled.expiry)
    for trade in facts.trades:
        guarded += trade.expiry <= end
        if trade.timestamp >= trade.expiry:
            cases.add(severity=trade.timestamp - trade.expiry, block=trade.block, tx=trade.tx, did="trade",
                      series=trade.series, block_timestamp=trade.timestamp, expiry=trade.expiry)
    for started in facts.auctions:
        guarded += started.earliest_expiry <= end
        if started.timestamp >= started.earliest_expiry:
            cases.add(severity=started.timestamp - started.earliest_expiry, block=started.block, tx=started.tx,
                      did="start an auction", account=started.account, block_timestamp=started.timestamp,
                      expiry=started.earliest_expiry)
    for liquidated in facts.liquidations:
        guarded += liquidated.earliest_expiry <= end
        if liquidated.timestamp >= liquidated.earliest_expiry:
            cases.add(severity=liquidated.timestamp - liquidated.earliest_expiry, block=liquidated.block,
                      tx=liquidated.tx, did="liquidate", account=liquidated.account,
                      block_timestamp=liquidated.timestamp, expiry=liquidated.earliest_expiry)
    return cases.finding(
        guarded,
        holds=f"{guarded} trades, liquidations, finalizations and settlements kept to their side of expiry",
        violated="wrong side of expiry",
        nothing="no series with activity reached its expiry",
    )


def one_price(subject: Subject) -> Finding:
    cases = Cases()
    replay = subject.replay
    shown: dict[int, int] = {}
    for final in replay.facts.finals:
        if final.is_repeat or final.expected != final.got:
            cases.add(severity=abs(final.got - (final.expected or 0)), block=final.block, tx=final.tx,
                      series=final.series, expected=final.expected, got=final.got, repeated=final.is_repeat)
        shown.setdefault(final.series, final.got)
    for settled in replay.facts.settlements:
        if shown.get(settled.series) != settled.got_price:
            cases.add(severity=abs(settled.got_price - shown.get(settled.series, 0)), block=settled.block,
                      tx=settled.tx, series=settled.series, expected=shown.get(settled.series), got=settled.got_price)
    for snapshot in replay.snapshots:
        for series_id, series in snapshot.state.series.items():
            if series.final and series.price != shown.get(series_id):
                cases.add(severity=abs(series.price - shown.get(series_id, 0)), block=snapshot.state.number,
                          series=series_id, expected=shown.get(series_id), got=series.price, where="storage")
    return cases.finding(
        len(replay.facts.finals),
        holds=f"{len(replay.facts.finals)} series have one settlement price each, the average of the accepted rounds",
        violated="settlement price is not the average of the accepted rounds, or changed",
        nothing="no series was finalized",
    )


def everyone_settled(subject: Subject) -> Finding:
    """Judged for series whose price was due, at expiry or at the end of a dispute, at least the recovery bound (in
    chain time) before the last canonical block."""
    cases, judged = Cases(), 0
    replay, chain = subject.replay, subject.history.chain
    end = chain[-1].timestamp if chain else 0
    paid: dict[int, int] = {}
    times: dict[int, int] = {}
    for fact in replay.facts.settlements:
        paid[fact.series] = paid.get(fact.series, 0) + fact.got_cash_delta + fact.notional
        times[fact.series] = times.get(fact.series, 0) + 1
    for series in replay.venue.book.series.values():
        if not series.was_traded or _settled_by(subject, series) + subject.bounds.recover_s > end:
            continue
        judged += 1
        if series.open_positions or series.final_price is None:
            cases.add(severity=series.open_positions, block=chain[-1].number, series=series.id, expiry=series.expiry,
                      last_timestamp=end, final=series.final_price is not None, open_accounts=_open(subject, series))
        elif not -times.get(series.id, 0) <= paid.get(series.id, 0) <= 0:
            # Each settlement is floored, so what stays behind is less than a wei for each of them.
            cases.add(severity=abs(paid[series.id]), block=chain[-1].number, series=series.id,
                      paid_above_collected=paid[series.id], settlements=times[series.id])
    for snapshot in replay.snapshots:
        for series_id, seen in snapshot.state.series.items():
            if seen.clearing < 0 and seen.open_positions == 0:
                cases.add(severity=-seen.clearing, block=snapshot.state.number, series=series_id,
                          clearing=seen.clearing)
    return cases.finding(
        judged,
        holds=f"every position of {judged} expired series was settled, and each series paid out what it took in, less "
              "roundings",
        violated="an expired series has open positions, no price, or paid out other than it took in",
        nothing="no traded series expired early enough before the end to demand settlement",
    )


def _settled_by(subject: Subject, series: Series) -> int:
    """When a price is there at the latest: at expiry, or when patience and the dispute are over."""
    bounds = subject.bounds.venue
    if series.disputed_at:
        return series.disputed_at + (0 if series.final_price is not None else bounds.dispute_window_s)
    is_observed = series.feed.newest is not None and series.feed.newest >= series.expiry
    return series.expiry + (0 if is_observed else bounds.dispute_patience_s)


def _open(subject: Subject, series: Series) -> list[str]:
    accounts = subject.replay.venue.book.accounts
    return [address for address, account in accounts.items() if series.id in account.positions]


CHECKS = (
    Check("S1", "settled once", "each position of an expired series is settled exactly once", exactly_once),
    Check("S2", "settlement amount", "each settlement pays the formula's amount, to the wei", to_the_wei),
    Check("S3", "expiry boundary", "nothing settles before expiry; nothing trades or is liquidated at or after it",
          boundary),
    Check("S4", "settlement price", "a series has one settlement price for ever: the average of the accepted rounds",
          one_price),
    Check("S6", "everyone settled", "every open position of an expired series is settled, payouts as much as debits",
          everyone_settled),
)
