"""Where a settlement price came from: which rounds, at which scale, and that neither lateness nor sign changed it."""

from __future__ import annotations

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.model.facts import FinalFact, RoundFact, SettlementFact
from harness.model.fixed import WAD
from harness.model.margin import Kind

LATE_S = 2
"""A round that was accepted this long after its timestamp was relayed late."""


def _rounds_before(subject: Subject, final: FinalFact) -> list[RoundFact]:
    """The accepted rounds of the series' asset that the chain had when it was finalized, in order of acceptance."""
    asset = subject.replay.venue.book.series[final.series].asset
    here = (final.block, final.tx)
    return [fact for fact in subject.replay.facts.rounds if fact.asset == asset and (fact.block, fact.tx) < here]


def _average(rounds: list[RoundFact], expiry: int, window: int) -> int | None:
    """S_T second by second: the price that held at each second's start, summed and divided once.

    None before a round at or after expiry.
    """
    if not rounds or rounds[-1].timestamp < expiry:
        return None
    if rounds[0].timestamp >= expiry:
        return rounds[0].price
    start = max(expiry - window, rounds[0].timestamp)
    total, position = 0, 0
    for second in range(start, expiry):
        while position + 1 < len(rounds) and rounds[position + 1].timestamp <= second:
            position += 1
        total += rounds[position].price
    return total // (expiry - start)


def provenance(subject: Subject) -> Finding:
    """Recomputed second by second, and from nothing later than the first round at or after expiry."""
    cases = Cases()
    window = subject.bounds.venue.settlement_window_s
    finals = subject.replay.facts.finals
    for final in finals:
        rounds = _rounds_before(subject, final)
        first = next((index for index, fact in enumerate(rounds) if fact.timestamp >= final.expiry), None)
        expected = None if first is None else _average(rounds[:first + 1], final.expiry, window)
        if expected is None or expected != final.got:
            cases.add(severity=0 if expected is None else abs(final.got - expected), block=final.block, tx=final.tx,
                      series=final.series, expiry=final.expiry, got=final.got, expected=expected,
                      closing_round=None if first is None else rounds[first].round,
                      closing_timestamp=None if first is None else rounds[first].timestamp)
    return cases.finding(
        len(finals),
        holds=f"{len(finals)} settlement prices come from the rounds up to the first at or after expiry, and no other",
        violated="settlement price from other rounds than those up to the first at or after expiry",
        nothing="no series was finalized",
    )


def same_scale(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    window = subject.bounds.venue.settlement_window_s
    for final in subject.replay.facts.finals:
        rounds = _rounds_before(subject, final)
        inside = [fact for fact in rounds if fact.timestamp < final.expiry]
        # The last round before the window still holds at its start.
        start = max((fact.timestamp for fact in inside if fact.timestamp <= final.expiry - window), default=0)
        prices = [fact.price for fact in inside if fact.timestamp >= start] or [fact.price for fact in rounds[:1]]
        if not prices:
            continue
        judged += 1
        if not min(prices) <= final.got <= max(prices):
            cases.add(severity=max(min(prices) - final.got, final.got - max(prices)), block=final.block, tx=final.tx,
                      series=final.series, got=final.got, lowest_live=min(prices), highest_live=max(prices))
    return cases.finding(
        judged,
        holds=f"{judged} settlement prices lie within the live prices of their window",
        violated="settlement price outside every live price of its window",
        nothing="no series with a live price was finalized",
    )


def late_relay(subject: Subject) -> Finding:
    """Metamorphic: the same rounds, each accepted the moment it was observed, must give the same price."""
    cases, judged = Cases(), 0
    window = subject.bounds.venue.settlement_window_s
    for final in subject.replay.facts.finals:
        rounds = _rounds_before(subject, final)
        late = [fact for fact in rounds
                if fact.block_timestamp - fact.timestamp >= LATE_S and fact.timestamp >= final.expiry - window
                and (fact.previous_timestamp or 0) < final.expiry]
        if not late:
            continue
        judged += 1
        on_time = _average(sorted(rounds, key=lambda fact: fact.timestamp), final.expiry, window)
        if on_time is None or on_time != final.got:
            cases.add(severity=0 if on_time is None else abs(final.got - on_time), block=final.block, tx=final.tx,
                      series=final.series, got=final.got, on_time=on_time,
                      late_rounds=len(late), latest_by_s=max(f.block_timestamp - f.timestamp for f in late))
    return cases.finding(
        judged,
        holds=f"{judged} series with rounds relayed {LATE_S} s late or more have the price a prompt relay would give",
        violated="a late relay changed the settlement price",
        nothing="no series was finalized with a round of its window relayed late",
    )


def sign_and_zero(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    kinds = {series.id: series for series in subject.replay.venue.book.series.values()}
    for fact in subject.replay.facts.settlements:
        if fact.price is None or fact.price > 0:
            continue
        judged += 1
        series = kinds[fact.series]
        if series.kind is Kind.FUTURE:
            due = fact.size * fact.price // WAD - fact.notional
        else:
            due = fact.size * (max(series.strike - fact.price, 0) if series.kind is Kind.PUT else 0) // WAD
        if (fact.got_price, fact.got_cash_delta) != (fact.price, due):
            cases.add(severity=abs(fact.got_cash_delta - due), block=fact.block, tx=fact.tx, account=fact.account,
                      series=fact.series, price=fact.price, got_price=fact.got_price, cash_delta=due,
                      got_cash_delta=fact.got_cash_delta)
    return cases.finding(
        judged,
        holds=f"{judged} settlements at a price of zero or below paid by the signed price",
        violated="a settlement at zero or below did not pay by the signed price",
        nothing="no series settled at zero or below",
    )


def put_call_parity(subject: Subject) -> Finding:
    """Over each call and put settled of one asset, strike and expiry: (C − P) per unit is S − K, each leg floored."""
    cases, judged = Cases(), 0
    book = subject.replay.venue.book
    legs: dict[tuple[str, int, int], dict[Kind, list[SettlementFact]]] = {}
    for fact in subject.replay.facts.settlements:
        series = book.series[fact.series]
        if series.kind is not Kind.FUTURE and fact.got_size:
            legs.setdefault((series.asset, series.strike, series.expiry), {}).setdefault(series.kind, []).append(fact)
    for (asset, strike, _), kinds in legs.items():
        for call in kinds.get(Kind.CALL, ()):
            for put in kinds.get(Kind.PUT, ()):
                judged += 1
                # Both sides times q_c·q_p: δ_c·q_p − δ_p·q_c = (S − K)·q_c·q_p / W, each δ floored by less than a wei.
                exact = (call.got_price - strike) * call.got_size * put.got_size
                gap = exact - (call.got_cash_delta * put.got_size - put.got_cash_delta * call.got_size) * WAD
                slack = (abs(call.got_size) + abs(put.got_size)) * WAD
                if abs(gap) >= slack or call.got_price != put.got_price:
                    cases.add(severity=abs(gap) // WAD, block=put.block, tx=put.tx, asset=asset, strike=strike,
                              call_price=call.got_price, put_price=put.got_price, call_size=call.got_size,
                              put_size=put.got_size, call_cash=call.got_cash_delta, put_cash=put.got_cash_delta)
    return cases.finding(
        judged,
        holds=f"{judged} pairs of a call and a put of one strike and expiry settled at parity, to a wei a leg",
        violated="a call and a put of one strike and expiry settled off parity",
        nothing="no call and put of one asset, strike and expiry were both settled",
    )


CHECKS = (
    Check("S5", "price provenance", "a settlement price uses the rounds up to the first at or after expiry, no later",
          provenance),
    Check("S7", "sign and zero", "a settlement price of zero or below pays by its sign", sign_and_zero,
          occasion="a settlement at zero or below"),
    Check("S8", "put-call parity", "a call less a put of one strike and expiry pays S − K, to a wei a leg",
          put_call_parity, occasion="a call and a put of one strike and expiry"),
    Check("S9", "late relay", "rounds relayed late give the settlement price they would have given in time",
          late_relay, occasion="a round of the window relayed late"),
    Check("O5", "same scale", "a settlement price lies within the live prices of its window", same_scale),
)
