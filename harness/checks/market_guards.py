"""What stops a market: prices outside their bounds, prices that jump, and a chain nobody knows to be up."""

from __future__ import annotations

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.model.facts import AuctionFact, LegFact, LiquidationFact
from harness.model.window import GOVERNANCE

OWNER = "admin-0"
"""The role whose address owns the venue."""


def breaker(subject: Subject) -> Finding:
    """Guarded by every price that moved beyond the breaker; while its market is halted a taker may only reduce."""
    cases, breaches, held = Cases(), 0, 0
    facts, params = subject.replay.facts, subject.bounds.venue
    said = {(halt.block, halt.tx, halt.asset): halt for halt in facts.halts}
    for fact in facts.rounds:
        halt = said.pop((fact.block, fact.tx, fact.asset), None)
        breaches += fact.is_breach
        until = fact.block_timestamp + params.halt_duration_s
        if fact.is_breach != (halt is not None) or (halt is not None and halt.got_until != until):
            cases.add(severity=abs(fact.price - (fact.previous_price or 0)), block=fact.block, tx=fact.tx,
                      asset=fact.asset, moved_from=fact.previous_price, moved_to=fact.price,
                      breaker_bps=params.breaker_bps, halted=halt is not None,
                      until=None if halt is None else halt.got_until, due_until=until)
    for stray in said.values():
        cases.add(block=stray.block, tx=stray.tx, asset=stray.asset, halted=True, moved_from=stray.got_from,
                  moved_to=stray.got_to)
    for trade in facts.trades:
        if trade.timestamp >= trade.halted_until:
            continue
        held += 1
        if not reduces(trade.taker, trade.size):
            cases.add(severity=abs(trade.size), block=trade.block, tx=trade.tx, series=trade.series,
                      account=trade.taker.account, size_before=trade.taker.size_before, size=trade.size,
                      block_timestamp=trade.timestamp, halted_until=trade.halted_until)
    refused = sum(transaction.error is not None and transaction.error.startswith("MarketIsHalted")
                  for block in subject.chain for transaction in block.transactions)
    return cases.finding(
        breaches,
        holds=f"{breaches} prices beyond the breaker halted their market; in halts {held} trades reduced and {refused} "
              "that would not were refused",
        violated="a price beyond the breaker did not halt its market, or somebody opened in a halt",
        nothing="no price moved beyond the breaker",
    )


def reduces(leg: LegFact, change: int) -> bool:
    """Whether such a change of a position only takes from it."""
    return leg.size_before * change < 0 and abs(change) <= abs(leg.size_before)


def within_bounds(subject: Subject) -> Finding:
    cases = Cases()
    rounds = subject.replay.facts.rounds
    for fact in rounds:
        low, high = fact.terms.min_answer, fact.terms.max_answer
        if not low < fact.price < high or (fact.price <= 0 and not fact.terms.signed):
            cases.add(severity=max(low - fact.price, fact.price - high), block=fact.block, tx=fact.tx,
                      asset=fact.asset, round=fact.round, price=fact.price, min_answer=low, max_answer=high,
                      signed=fact.terms.signed)
    return cases.finding(
        len(rounds),
        holds=f"each of {len(rounds)} accepted prices lies strictly between the bounds of its asset",
        violated="a price on or outside the bounds of its asset was accepted",
        nothing="no round was accepted",
    )


def known_to_be_up(subject: Subject) -> Finding:
    """An uptime round that never began (startedAt 0) is no word that the chain is up, whatever the model thinks of it:
    the feed's last word before each step counts as well."""
    cases = Cases()
    facts = subject.replay.facts
    steps: list[LiquidationFact | AuctionFact] = [*facts.liquidations, *facts.auctions]
    told: dict[int, tuple[bool, int]] = {}  # block → the newest round the feed told of by then
    newest = (True, 1)
    for block in subject.chain:
        for event in block.events:
            if event.name == "UptimeChanged":
                newest = bool(event.args["up"]), int(event.args["startedAt"])
        told[block.number] = newest
    for fact in steps:
        up, since = told.get(fact.block, newest)
        if fact.started_at == 0 or not fact.is_up or since == 0 or not up:
            cases.add(block=fact.block, tx=fact.tx, account=fact.account, up=fact.is_up, started_at=fact.started_at,
                      told_up=up, told_started_at=since)
    return cases.finding(
        len(steps),
        holds=f"each of {len(steps)} steps down the ladder was taken while the uptime feed said, validly, that the "
              "chain is up",
        violated="liquidated although the uptime feed had no valid round, or said the chain is down",
        nothing="no liquidation",
    )


def governance_price(subject: Subject) -> Finding:
    cases = Cases()
    facts, params, run = subject.replay.facts, subject.bounds.venue, subject.history.run
    owner = None if run is None else run.accounts.get(OWNER)
    for fact in facts.overrides:
        opens, ends = fact.disputed_at + params.override_delay_s, fact.disputed_at + params.dispute_window_s
        in_time = bool(fact.disputed_at) and opens <= fact.timestamp < ends
        if not in_time or not fact.min_answer < fact.price < fact.max_answer or (owner and fact.by != owner):
            cases.add(severity=max(opens - fact.timestamp, fact.timestamp - ends), block=fact.block, tx=fact.tx,
                      series=fact.series, price=fact.price, by=fact.by, owner=owner, disputed_at=fact.disputed_at,
                      block_timestamp=fact.timestamp, opens=opens, ends=ends)
    told = {(fact.block, fact.tx, fact.series): fact.price for fact in facts.overrides}
    for way in facts.resolutions:
        if way.got_route == GOVERNANCE and told.get((way.block, way.tx, way.series)) != way.got_price:
            cases.add(severity=abs(way.got_price), block=way.block, tx=way.tx, series=way.series, price=way.got_price,
                      told=told.get((way.block, way.tx, way.series)))
    return cases.finding(
        len(facts.overrides),
        holds=f"{len(facts.overrides)} prices set by governance: each in a dispute, after the delay, within the window "
              "and the bounds, by the owner, and told",
        violated="a price was set by a person outside a dispute's window, out of bounds, by another, or untold",
        nothing="governance set no price",
    )


CHECKS = (
    Check("O3", "breaker", "a price that moves beyond the breaker halts its market, in which takers may only reduce",
          breaker, occasion="a price beyond the breaker"),
    Check("O4", "answer bounds", "an accepted price lies strictly between the bounds of its asset", within_bounds),
    Check("O9", "known to be up", "nobody is liquidated while the uptime feed has no valid round or says down",
          known_to_be_up),
    Check("G5", "governance price", "only governance, only in a dispute's window, and only aloud sets a price",
          governance_price, occasion="a price set by governance"),
)
