"""Liquidations: only when due, never during grace, never dearer than the penalty, and never left undone."""

from __future__ import annotations

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.model.facts import AuctionFact, LiquidationFact


def steps_down(subject: Subject) -> list[LiquidationFact | AuctionFact]:
    """Every step down the ladder: auctions started and liquidations of any stage."""
    facts = subject.replay.facts
    return sorted([*facts.liquidations, *facts.auctions], key=lambda fact: (fact.block, fact.tx))


def only_when_due(subject: Subject) -> Finding:
    cases = Cases()
    age_max = subject.bounds.venue.max_price_age_s
    liquidations = steps_down(subject)
    for fact in liquidations:
        stale = fact.oldest_age is None or fact.oldest_age > age_max
        if stale or not fact.before.is_liquidatable:
            cases.add(severity=fact.before.equity - fact.before.mm, block=fact.block, tx=fact.tx, account=fact.account,
                      equity=fact.before.equity, mm=fact.before.mm, price_age_s=fact.oldest_age, age_max_s=age_max)
    return cases.finding(
        len(liquidations),
        holds=f"each of {len(liquidations)} steps down the ladder was under maintenance margin at fresh prices",
        violated="liquidated although E ≥ MM, or on a stale price",
        nothing="no liquidation",
    )


def grace(subject: Subject) -> Finding:
    """Guarded by liquidations after a restart, and by attempts the contracts turned away with `SequencerGrace`.

    The grace ends by L1's clock: when the block's L1 origin is of its end or later, and so never sooner than by L2's.
    """
    cases, after_restart = Cases(), 0
    grace_s = subject.bounds.venue.grace_s
    for fact in steps_down(subject):
        if fact.is_up and fact.started_at == 1:
            continue
        after_restart += 1
        until = fact.started_at + grace_s
        early_report = fact.oldest_report is None or fact.oldest_report < fact.started_at
        clock = min(fact.origin_time, fact.timestamp)
        if not fact.is_up or clock < until or early_report:
            cases.add(severity=until - clock, block=fact.block, tx=fact.tx, account=fact.account,
                      up=fact.is_up, started_at=fact.started_at, block_timestamp=fact.timestamp,
                      origin_timestamp=fact.origin_time, grace_until=until, oldest_report=fact.oldest_report)
    refused = sum(
        1
        for block in subject.history.chain
        for transaction in block.transactions
        if transaction.error is not None and transaction.error.startswith("SequencerGrace")
    )
    restarts = len(subject.replay.facts.restarts)
    return cases.finding(
        after_restart + refused,
        holds=f"{after_restart} liquidations after {restarts} restarts waited for grace and a new price; "
              f"{refused} attempts were refused",
        violated="liquidated while down, within grace, or before the first price after the restart",
        nothing=f"nobody was or tried to be liquidated after a restart ({restarts} restarts)",
    )


def loss_within_penalty(subject: Subject) -> Finding:
    """The owner's, and of who is deleveraged for it: a counterparty loses no more than the profit it had on what was
    closed."""
    cases = Cases()
    liquidations = subject.replay.facts.liquidations
    for fact in liquidations:
        for other in fact.counterparties:
            if other.got_cost > other.most:
                cases.add(severity=other.got_cost - other.most, block=fact.block, tx=fact.tx, account=other.account,
                          deleveraged_for=fact.account, loss=other.got_cost, profit=other.most)
        if fact.loss > fact.penalty:
            cases.add(severity=fact.loss - fact.penalty, block=fact.block, tx=fact.tx, account=fact.account,
                      loss=fact.loss, penalty=fact.penalty, collected=fact.collected)
    return cases.finding(
        len(liquidations),
        holds=f"none of {len(liquidations)} liquidations cost its owner more than the penalty, or a counterparty more "
              "than its profit",
        violated="a liquidation cost its owner more than the penalty, or a counterparty more than its profit",
        nothing="no liquidation",
    )


def liveness(subject: Subject) -> Finding:
    """See exposure.py for which blocks count and which exposures were judged at all."""
    cases = Cases()
    bound = subject.bounds.liquidate_blocks
    exposures = subject.replay.exposures
    for exposure in exposures:
        if exposure.demanded > bound:
            cases.add(severity=exposure.demanded, account=exposure.account, block=exposure.first_block,
                      last_block=exposure.last_block, blocks_counted=exposure.demanded,
                      blocks_permitted=exposure.permitted, bound=bound, deficit_max=exposure.deficit,
                      ended=exposure.ended)
    judged = sum(exposure.is_judged(bound) for exposure in exposures)
    longest = max((exposure.permitted for exposure in exposures), default=0)
    counted = max((exposure.demanded for exposure in exposures), default=0)
    return cases.finding(
        judged,
        holds=f"{judged} of {len(exposures)} times an account fell under MM could be judged; the longest stayed "
              f"{counted} counted blocks of {bound} allowed ({longest} with those under faults)",
        violated=f"stayed liquidatable for more than {bound} blocks that count",
        nothing="no account was ever under its maintenance margin at the end of a block" if not exposures else
                f"{len(exposures)} times an account fell under MM, but no block of it counts (a fault or the recovery "
                "after it, or liquidation forbidden), or the history ends before the bound",
    )


CHECKS = (
    Check("LS1", "liquidation safety", "an account is liquidated only when E < MM at the newest accepted fresh prices",
          only_when_due),
    Check("LS2", "grace after restart", "no liquidation while down, within grace, or before a price after the restart",
          grace),
    Check("LS4", "loss within penalty", "a liquidation never costs the account's owner more than the penalty",
          loss_within_penalty),
    Check("LL1", "liquidation liveness", "an account under MM is liquidated or healed within the promised blocks",
          liveness),
)
