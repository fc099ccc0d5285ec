"""What must always work, and at what cost: topping up, closing and settling through grace; liquidating, always."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import BlockRecord, Transaction

LIQUIDATION_REFUSALS = frozenset((
    "NotLiquidatable", "SequencerDown", "SequencerGrace", "StalePrice", "NoPrice", "PriceBeforeRestart",
    "PriceBeforeMove", "SeriesExpired", "SelfLiquidation", "InsufficientMargin", "TooManyPositions", "AuctionRunning",
    "NoAuction", "StillSolvent", "BidNotCovered", "StillLiquidatable", "NoDeficit", "InsuranceNotExhausted",
    "LiquidationPaused", "PauseGrace", "InvalidInitialization",
))
"""The errors with which RULES.md lets a call to the liquidator turn somebody away; `InsufficientMargin` and
`TooManyPositions` are about the keeper's own account, `InvalidInitialization` about who would set it up again."""

LIQUIDATION_SHARE = 4
"""A liquidation may cost one part in so many of a block's gas (LL6)."""


def liquidation_never_fails(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    for block, transaction in _transactions_to(subject, "liquidator"):
        reason = _name(transaction)
        if not transaction.succeeded and reason is None:
            continue  # the node could not say why; gas, for instance, or a reply that was lost
        judged += 1
        if not transaction.succeeded and reason not in LIQUIDATION_REFUSALS:
            cases.add(block=block.number, tx=transaction.hash, error=transaction.error, gas=transaction.gas_used)
    return cases.finding(
        judged,
        holds=f"each of {judged} calls of `liquidate` went through or was refused for a documented reason",
        violated="`liquidate` failed for a reason that is no refusal",
        nothing="no transaction went to the liquidator",
    )


def liquidation_gas(subject: Subject) -> Finding:
    cases, judged, most = Cases(), 0, 0
    allowed = subject.bounds.block_gas_limit // LIQUIDATION_SHARE
    done = {(fact.block, fact.tx) for fact in subject.replay.facts.liquidations}
    for block in subject.chain:
        for index, transaction in enumerate(block.transactions):
            if (block.number, index) not in done:
                continue
            judged += 1
            most = max(most, transaction.gas_used)
            if transaction.gas_used > allowed:
                cases.add(severity=transaction.gas_used, block=block.number, tx=transaction.hash,
                          gas=transaction.gas_used, gas_allowed=allowed)
    return cases.finding(
        judged,
        holds=f"the dearest of {judged} liquidations took {most} gas of {allowed} allowed (a quarter of a block)",
        violated="a liquidation took more than a quarter of a block's gas",
        nothing="no liquidation",
    )


def always_open(subject: Subject) -> Finding:
    """Guarded by pleas taken up in a grace or a pause; in a state in which all goes on they are judged as well.

    See pleas.py for the matrix of what a call may be refused for, and how the model knows that it was so.
    """
    cases, judged = Cases(), 0
    states: dict[str, int] = {}
    for plea in subject.replay.pleas:
        if plea.state:
            judged += 1
            states[plea.state] = states.get(plea.state, 0) + 1
        if plea.is_shut_out:
            cases.add(severity=plea.timestamp - plea.since if plea.state else 0, block=plea.block, tx=plea.tx,
                      action=plea.action, client=plea.client, error=plea.error, state=plea.state, since=plea.since)
    shown = ", ".join(f"{count} in {state}" for state, count in sorted(states.items()))
    return cases.finding(
        judged,
        holds=f"{judged} top-ups, withdrawals, reductions, closes and settlements ({shown}) went through, or failed "
              "for reasons of their own",
        violated="topping up, closing or settling was shut",
        nothing="nobody topped up, withdrew, closed or settled in a grace or a pause",
    )


def overtaken_by_expiry(subject: Subject) -> Finding:
    """Both ways: nothing of an expired series is traded or ordered, and nothing is turned away as expired that is not.
    """
    cases, refused = Cases(), 0
    expiries = {series.id: series.expiry for series in subject.replay.venue.book.series.values()}
    for block in subject.chain:
        for transaction in block.transactions:
            if _name(transaction) != "SeriesExpired":
                continue
            refused += 1
            numbers = [int(number) for number in re.findall(r"\d+", transaction.error or "")]
            expiry = expiries.get(numbers[0]) if numbers else None
            if expiry is not None and block.timestamp < expiry:
                cases.add(severity=expiry - block.timestamp, block=block.number, tx=transaction.hash,
                          series=numbers[0], block_timestamp=block.timestamp, expiry=expiry, error=transaction.error)
        for event in block.events:
            expiry = expiries.get(event.args["seriesId"]) if event.name == "OrderPlaced" else None
            if expiry is not None and block.timestamp >= expiry:
                cases.add(severity=block.timestamp - expiry, block=block.number, tx=event.tx,
                          order=event.args["orderId"], block_timestamp=block.timestamp, expiry=expiry)
    for trade in subject.replay.facts.trades:
        if trade.timestamp >= trade.expiry:
            cases.add(severity=trade.timestamp - trade.expiry, block=trade.block, tx=trade.tx, series=trade.series,
                      block_timestamp=trade.timestamp, expiry=trade.expiry)
    return cases.finding(
        refused,
        holds=f"{refused} transactions that expiry overtook on their way were refused",
        violated="a transaction that expiry overtook on its way was executed, or one refused as if it had been",
        nothing="no transaction was overtaken by expiry",
    )


def _transactions_to(subject: Subject, contract: str) -> Iterator[tuple[BlockRecord, Transaction]]:
    run = subject.history.run
    address = None if run is None else run.deployment.get(contract)
    for block in subject.chain:
        for transaction in block.transactions:
            if address is not None and transaction.to == address:
                yield block, transaction


def _name(transaction: Transaction) -> str | None:
    return None if transaction.error is None else transaction.error.partition("(")[0]


CHECKS = (
    Check("LL2", "liquidation never fails", "a call of `liquidate` goes through or is refused for a documented reason",
          liquidation_never_fails),
    Check("LL6", "liquidation gas", "no liquidation takes more than a quarter of a block's gas", liquidation_gas),
    Check("G1", "always open", "topping up, reducing, closing and settling stay possible in every state of the chain",
          always_open, occasion="a call during a grace or a pause"),
    Check("Q6", "overtaken by expiry", "a transaction that expiry overtook on its way is refused", overtaken_by_expiry,
          occasion="a transaction on its way across an expiry"),
)
