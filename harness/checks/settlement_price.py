"""Where a settlement price came from: which rounds, at which scale, and that neither lateness nor sign changed it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.stretches import after_dispute, before_expiry
from harness.checks.subject import Subject
from harness.model.facts import DisputeFact, FinalFact, RoundFact, SettlementFact
from harness.model.fixed import WAD
from harness.model.margin import Kind
from harness.model.params import VenueParams
from harness.model.window import GOVERNANCE, NEXT_QUORUM

LATE_S = 2
"""A round that was accepted this long after its timestamp was relayed late."""


def _rounds_before(subject: Subject, series: int, here: tuple[int, int]) -> list[RoundFact]:
    """The accepted rounds of the series' asset that the chain had by that block and transaction, in that order."""
    asset = subject.replay.venue.book.series[series].asset
    return [fact for fact in subject.replay.facts.rounds if fact.asset == asset and (fact.block, fact.tx) < here]


def ordinary(rounds: Sequence[RoundFact], expiry: int, params: VenueParams) -> int | None:
    """S_T as `finalize` gives it; None before a round at or after expiry, and where too little was observed."""
    if not rounds or rounds[-1].timestamp < expiry:
        return None
    window = before_expiry(rounds, expiry, params)
    return window.average if window is not None and window.is_sound(params) else None


def _due(subject: Subject, final: FinalFact, rounds: Sequence[RoundFact]) -> int | None:
    """What the price of a series has to be, by the way it became final."""
    params, facts = subject.bounds.venue, subject.replay.facts
    here = (final.block, final.tx)
    way = next((fact for fact in facts.resolutions if fact.series == final.series
                and (fact.block, fact.tx) == here), None)
    if way is None:
        first = next((index for index, fact in enumerate(rounds) if fact.timestamp >= final.expiry), None)
        return None if first is None else ordinary(rounds[:first + 1], final.expiry, params)
    if way.got_route == GOVERNANCE:
        return next((fact.price for fact in facts.overrides if fact.series == final.series
                     and (fact.block, fact.tx) == here), None)
    if not way.disputed_at:
        return None
    if way.got_route == NEXT_QUORUM:
        window = after_dispute(rounds, way.disputed_at, params)
        return window.average if window is not None and window.is_sound(params) else None
    if final.timestamp < way.disputed_at + params.dispute_window_s or not rounds:
        return None
    carried = before_expiry(rounds, final.expiry, params)
    return rounds[0].price if carried is None else carried.average


def provenance(subject: Subject) -> Finding:
    """Recomputed second by second, and from no other rounds than those the way to the price allows."""
    cases = Cases()
    finals = subject.replay.facts.finals
    for final in finals:
        rounds = _rounds_before(subject, final.series, (final.block, final.tx))
        expected = _due(subject, final, rounds)
        if expected is None or expected != final.got:
            cases.add(severity=0 if expected is None else abs(final.got - expected), block=final.block, tx=final.tx,
                      series=final.series, expiry=final.expiry, got=final.got, expected=expected,
                      newest_round=rounds[-1].round if rounds else None)
    disputes = subject.replay.facts.disputes
    for dispute in disputes:
        _judge_dispute(subject, dispute, cases)
    return cases.finding(
        len(finals) + len(disputes),
        holds=f"{len(finals)} settlement prices come from the rounds that are theirs and no other; {len(disputes)} "
              "were disputed, each for want of observations",
        violated="settlement price from other rounds than its own, or disputed without cause",
        nothing="no series was finalized or disputed",
    )


def _judge_dispute(subject: Subject, dispute: DisputeFact, cases: Cases) -> None:
    params = subject.bounds.venue
    rounds = _rounds_before(subject, dispute.series, (dispute.block, dispute.tx))
    window = before_expiry(rounds, dispute.expiry, params)
    covered, beyond = (0, 0) if window is None else (window.covered, window.beyond)
    is_observed = bool(rounds) and rounds[-1].timestamp >= dispute.expiry
    is_due = (
        window is None or not window.is_sound(params) if is_observed
        else dispute.timestamp >= dispute.expiry + params.dispute_patience_s
    )
    if not is_due or (covered, beyond) != (dispute.got_covered, dispute.got_beyond):
        cases.add(severity=abs(covered - dispute.got_covered) + abs(beyond - dispute.got_beyond), block=dispute.block,
                  tx=dispute.tx, series=dispute.series, expiry=dispute.expiry, covered_s=covered,
                  got_covered_s=dispute.got_covered, beyond_s=beyond, got_beyond_s=dispute.got_beyond,
                  newest_observation=rounds[-1].timestamp if rounds else None)


def same_scale(subject: Subject) -> Finding:
    """Judged for prices that observations gave; one that governance set is judged by its bounds (G5)."""
    cases, judged = Cases(), 0
    window = subject.bounds.venue.settlement_window_s
    ways = {(fact.block, fact.tx, fact.series): fact for fact in subject.replay.facts.resolutions}
    for final in subject.replay.facts.finals:
        way = ways.get((final.block, final.tx, final.series))
        if way is not None and way.got_route == GOVERNANCE:
            continue
        rounds = _rounds_before(subject, final.series, (final.block, final.tx))
        end = final.expiry
        if way is not None and way.got_route == NEXT_QUORUM:
            rounds = [fact for fact in rounds if fact.timestamp > way.disputed_at]
            end = rounds[0].timestamp + window if rounds else end
        inside = [fact for fact in rounds if fact.timestamp < end]
        # The last round before the window still holds at its start.
        start = max((fact.timestamp for fact in inside if fact.timestamp <= end - window), default=0)
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
    disputed = {fact.series for fact in subject.replay.facts.disputes}
    for final in subject.replay.facts.finals:
        if final.series in disputed:
            continue  # its price is of another window, or of none
        rounds = _rounds_before(subject, final.series, (final.block, final.tx))
        late = [fact for fact in rounds
                if fact.block_timestamp - fact.timestamp >= LATE_S and fact.timestamp >= final.expiry - window
                and (fact.previous_timestamp or 0) < final.expiry]
        if not late:
            continue
        judged += 1
        on_time = ordinary(sorted(rounds, key=lambda fact: fact.timestamp), final.expiry, subject.bounds.venue)
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
        series = kinds[fact.series]
        if series.kind is Kind.INVERSE and min(fact.got_price, fact.price or fact.got_price) <= 0:
            # Worth nothing finite there: its asset's bounds must keep every price above zero.
            judged += 1
            cases.add(severity=1 - fact.got_price, block=fact.block, tx=fact.tx, account=fact.account,
                      series=fact.series, price=fact.price, got_price=fact.got_price, kind="inverse")
            continue
        if fact.price is None or fact.price > 0:
            continue
        judged += 1
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
        if series.is_option and fact.got_size:
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
    Check("S5", "price provenance", "a settlement price is made of the rounds that its way to finality allows, and "
          "is disputed only for want of them", provenance),
    Check("S7", "sign and zero", "a settlement price of zero or below pays by its sign", sign_and_zero,
          occasion="a settlement at zero or below"),
    Check("S8", "put-call parity", "a call less a put of one strike and expiry pays S − K, to a wei a leg",
          put_call_parity, occasion="a call and a put of one strike and expiry"),
    Check("S9", "late relay", "rounds relayed late give the settlement price they would have given in time",
          late_relay, occasion="a round of the window relayed late"),
    Check("O5", "same scale", "a settlement price lies within the live prices of its window", same_scale),
)
