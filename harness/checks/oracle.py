"""The price feed: fresh when used, moving forward, and within what the reporters of the round signed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import floor
from statistics import median

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import ObservationRecord
from harness.model.facts import RoundFact
from harness.model.fixed import BPS, ceil_div


def fresh_when_used(subject: Subject) -> Finding:
    cases, uses = Cases(), 0
    age_max = subject.bounds.venue.max_price_age_s
    facts = subject.replay.facts
    for did, used in (("trade", facts.trades), ("liquidate", facts.liquidations), ("withdraw", facts.withdrawals),
                      ("start an auction", facts.auctions)):
        for fact in used:
            uses += 1
            if fact.oldest_age is None or fact.oldest_age > age_max:
                cases.add(severity=(fact.oldest_age or 0) - age_max, block=fact.block, tx=fact.tx, did=did,
                          price_age_s=fact.oldest_age, age_max_s=age_max)
    for taken in facts.liquidations:
        if not taken.keeper_took:
            continue
        # The keeper's own margin is judged afterwards, over what he held before as well.
        age = taken.keeper_oldest_age
        if age is None or age > age_max:
            cases.add(severity=(age or 0) - age_max, block=taken.block, tx=taken.tx, did="margin the keeper",
                      price_age_s=age, age_max_s=age_max)
    return cases.finding(
        uses,
        holds=f"no price older than {age_max} s was used in {uses} trades, liquidations, auctions and withdrawals",
        violated="used a price older than allowed, or none",
        nothing="no price was used",
    )


def moves_forward(subject: Subject) -> Finding:
    cases = Cases()
    rounds = subject.replay.facts.rounds
    for fact in rounds:
        back = fact.previous_round is not None and fact.round <= fact.previous_round
        late = fact.previous_timestamp is not None and fact.timestamp <= fact.previous_timestamp
        if back or late or fact.timestamp > fact.block_timestamp:
            cases.add(severity=max(0, (fact.previous_timestamp or 0) - fact.timestamp), block=fact.block, tx=fact.tx,
                      asset=fact.asset, round=fact.round, previous_round=fact.previous_round, timestamp=fact.timestamp,
                      previous_timestamp=fact.previous_timestamp, block_timestamp=fact.block_timestamp)
    return cases.finding(
        len(rounds),
        holds=f"{len(rounds)} rounds strictly increase in number and time, none from the future",
        violated="round out of order or from the future",
        nothing="no round was accepted",
    )


def index_of(prices: Sequence[int], clamp_bps: int) -> int:
    """Formula 15 in exact fractions, floored where a price is formed: the median, the band around it, and the mean.

    Shares nothing with the model: the mean is of how far each price lies from the median, cut off at the band.
    """
    middle = floor(median([Fraction(price) for price in prices]))
    width = floor(Fraction(abs(middle) * clamp_bps, BPS))
    off = sum(min(abs(price - middle), width) * (1 if price > middle else -1) for price in prices)
    return floor(middle + Fraction(off, len(prices)))


def enough_sources(subject: Subject) -> Finding:
    """Also that the price is what those sources give, recomputed from what each of them signed."""
    cases = Cases()
    rounds = subject.replay.facts.rounds
    sources_min = subject.bounds.venue.min_sources
    for fact in rounds:
        due = index_of(fact.prices, subject.bounds.venue.clamp_bps)
        if fact.price != due:
            cases.add(severity=abs(fact.price - due), block=fact.block, tx=fact.tx, asset=fact.asset, round=fact.round,
                      price=fact.price, index=due, signed=list(fact.prices))
        if fact.sources < sources_min:
            cases.add(severity=sources_min - fact.sources, block=fact.block, tx=fact.tx, asset=fact.asset,
                      round=fact.round, sources=fact.sources, sources_min=sources_min)
        elif fact.reporters is not None and fact.sources > fact.reporters:
            cases.add(severity=fact.sources - fact.reporters, block=fact.block, tx=fact.tx, asset=fact.asset,
                      round=fact.round, sources=fact.sources, reporters=fact.reporters)
    return cases.finding(
        len(rounds),
        holds=f"each of {len(rounds)} rounds is from {sources_min} reporters or more, from no more than there were, "
              "and its price the mean of theirs, each clamped to the median",
        violated="round from too few reporters, from more than there were, or not at the index they give",
        nothing="no round was accepted",
    )


def no_flash_price(subject: Subject) -> Finding:
    cases = Cases()
    facts = subject.replay.facts
    moved = {(fact.block, fact.tx): fact for fact in facts.rounds}
    used = [(fact.block, fact.tx, did)
            for did, facts_ in (("trade", facts.trades), ("liquidate", facts.liquidations),
                                ("withdraw", facts.withdrawals))
            for fact in facts_]
    for block, tx, did in used:
        own = moved.get((block, tx))
        if own is not None:
            cases.add(block=block, tx=tx, did=did, asset=own.asset, round=own.round, price=own.price)
    swaps: dict[int, int] = {}   # block → its first swap in the spot pool
    for chained in subject.chain:
        for event in chained.events:
            if event.name == "Swapped":
                swaps.setdefault(chained.number, event.tx)
    flashed = [(block, tx, did) for block, tx, did in used if swaps.get(block, tx) < tx]
    if flashed:
        # What a trade was charged and an account left with tells which price was used: the model's is the index.
        strange = {(item.block, item.tx): item for item in subject.replay.discrepancies}
        for block, tx, did in flashed:
            item = strange.get((block, tx))
            if item is not None:
                cases.add(block=block, tx=tx, did=did, what=item.what, at_the_index=item.expected, got=item.got)
    after = f"; {len(flashed)} of them after a swap in their block, at the index and not the pool's price"
    return cases.finding(
        len(used),
        holds=f"{len(used)} trades, liquidations and withdrawals used prices accepted in an earlier transaction"
              + (after if swaps else ""),
        violated="a transaction used a price it had just moved",
        nothing="no price was used",
    )


def whole_rounds(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    accepted = {(fact.asset, fact.round): fact for fact in subject.replay.facts.rounds}
    for snapshot in subject.replay.snapshots:
        for asset, shown in snapshot.state.assets.items():
            if shown.round == shown.timestamp == shown.price == 0:
                continue
            judged += 1
            of = accepted.get((asset, shown.round))
            if of is None or of.block > snapshot.state.number or (of.timestamp, of.price) != (
                shown.timestamp, shown.price
            ):
                cases.add(block=snapshot.state.number, asset=asset, round=shown.round, timestamp=shown.timestamp,
                          price=shown.price, timestamp_of_round=None if of is None else of.timestamp,
                          price_of_round=None if of is None else of.price)
    return cases.finding(
        judged,
        holds=f"in {judged} readings round, timestamp and price are of one accepted round",
        violated="round, timestamp and price in storage are not of one accepted round",
        nothing="no state record of a canonical block shows a price",
    )


def honest_prices(observations: Iterable[ObservationRecord]) -> dict[tuple[str, int, int], list[int]]:
    """(asset, round, timestamp) → what reporters that told the truth signed."""
    signed: dict[tuple[str, int, int], list[int]] = {}
    for observation in observations:
        if not observation.lied:
            signed.setdefault((observation.asset, observation.round, observation.timestamp), []).append(
                observation.price
            )
    return signed


def honest_span(
    fact: RoundFact, signed: Mapping[tuple[str, int, int], Sequence[int]], clamp_bps: int
) -> tuple[int, int] | None:
    """Where a round's index may lie; None where nobody recorded an honest observation of it.

    With a minority of liars the median lies among the honest; every price is clamped around it, so each of n that
    is not known to be honest moves their mean by at most clampBps/n of the median beyond what honest reporters signed.
    """
    seen = signed.get((fact.asset, fact.round, fact.timestamp))
    if not seen:
        return None
    left, strangers = list(seen), 0
    for price in fact.prices:
        if price in left:
            left.remove(price)
        else:
            strangers += 1
    middle = sorted(fact.prices)[len(fact.prices) // 2]
    slack = ceil_div(strangers * abs(middle) * clamp_bps, BPS * max(1, len(fact.prices)))
    return min(seen) - slack, max(seen) + slack


def honest(subject: Subject) -> Finding:
    """Rounds nobody recorded an observation of (their reporters' rows were lost in a crash) are not judged."""
    cases, judged, unseen = Cases(), 0, 0
    signed = honest_prices(subject.history.observations)
    for fact in subject.replay.facts.rounds:
        span = honest_span(fact, signed, subject.bounds.venue.clamp_bps)
        if span is None:
            unseen += 1
            continue
        judged += 1
        low, high = span
        if not low <= fact.price <= high:
            cases.add(severity=max(low - fact.price, fact.price - high), block=fact.block, tx=fact.tx,
                      asset=fact.asset, round=fact.round, price=fact.price, lowest_signed=low, highest_signed=high)
    aside = f"; {unseen} rounds have no recorded observation" if unseen else ""
    return cases.finding(
        judged,
        holds=f"{judged} accepted prices lie within what their round's honest reporters signed, to what the clamp lets "
              f"a liar move{aside}",
        violated="accepted price outside everything its round's reporters signed",
        nothing=f"no accepted round has a recorded observation{aside}",
    )


CHECKS = (
    Check("O1", "fresh when used", "no trade, liquidation or withdrawal uses a price older than the limit",
          fresh_when_used),
    Check("O2", "feed moves forward", "accepted rounds strictly increase in number and time", moves_forward),
    Check("O6", "enough sources", "every accepted price is from at least as many reporters as required, and no others, "
          "and is the mean of what they signed, clamped to the median",
          enough_sources),
    Check("O7", "no flash price", "no transaction uses a price that it moved itself", no_flash_price),
    Check("O8", "whole rounds", "round, timestamp and price in storage are those of one accepted round, never mixed",
          whole_rounds),
    Check("P1", "oracle honesty",
          "an accepted price lies between the lowest and highest its round's honest reporters signed, to the clamp",
          honest),
)
