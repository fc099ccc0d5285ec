"""What must always work, and at what cost: topping up, closing and settling through grace; liquidating, always."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import BlockRecord, Transaction

LIQUIDATION_REFUSALS = frozenset((
    "NotLiquidatable", "SequencerDown", "SequencerGrace", "StalePrice", "NoPrice", "PriceBeforeRestart",
    "SeriesExpired", "SelfLiquidation", "InsufficientMargin", "TooManyPositions", "AuctionRunning", "NoAuction",
    "StillSolvent", "BidNotCovered", "StillLiquidatable", "NoDeficit", "InsuranceNotExhausted",
))
"""The errors with which RULES.md lets a call to the liquidator turn somebody away; `InsufficientMargin` and
`TooManyPositions` are about the keeper's own account."""

_TOKEN = frozenset(("ERC20InsufficientBalance", "ERC20InsufficientAllowance", "SafeERC20FailedOperation"))
_TRADE = frozenset((
    "StalePrice", "NoPrice", "SeriesExpired", "QuoteExpired", "OrderExpired", "NonceUsed", "SizeOutOfRange",
    "SizeOffLot", "PriceOutOfBand", "PriceBeyondBand", "OptionPriceOutOfRange", "IndexNotPositive",
    "InsufficientMargin", "MakerBelowMargin", "OpenInterestCapped", "TooManyPositions", "MarketIsHalted",
))
MAY_BE_REFUSED_FOR = {
    "deposit": _TOKEN, "settle": frozenset(("NotFinal", "NothingToSettle")), "reduce": _TRADE, "close": _TRADE,
}
"""The matrix: what is open in every state of the chain, and the only reasons, none of them of the chain's state, for
which RULES.md lets such a call be turned away. (A close may turn a position over when another was in before it, and is
then an opening: margin, limits and halts are reasons for it.)"""
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


def open_through_grace(subject: Subject) -> Finding:
    """Guarded by what clients sent to top up, reduce, close or settle, and the chain took up during a grace.

    Judged by what such a call may be refused for at all: whatever else stands in its way, by any name or none, shuts
    somebody out. A call of which no node could say why it failed is judged only where a deposit is concerned.
    """
    cases, judged = Cases(), 0
    grace_s = subject.bounds.venue.grace_s
    starts = [restart.timestamp for restart in subject.replay.facts.restarts]
    placed = {transaction.hash: (block, transaction) for block in subject.chain for transaction in block.transactions}
    for operation in subject.history.operations:
        hash_ = None if operation.outcome is None else operation.outcome.detail.get("tx")
        found = placed.get(hash_) if isinstance(hash_, str) else None
        reasons = MAY_BE_REFUSED_FOR.get(operation.invoke.action)
        if reasons is None or found is None:
            continue
        block, transaction = found
        index = bisect_right(starts, block.timestamp) - 1
        if index < 0 or block.timestamp >= starts[index] + grace_s:
            continue
        judged += 1
        name = _name(transaction)
        is_known = name is not None or operation.invoke.action == "deposit"
        if not transaction.succeeded and is_known and name not in reasons:
            cases.add(severity=block.timestamp - starts[index], block=block.number, tx=transaction.hash,
                      action=operation.invoke.action, client=operation.invoke.client, error=transaction.error,
                      restarted_at=starts[index])
    return cases.finding(
        judged,
        holds=f"{judged} top-ups, reductions, closes and settlements during a grace went through, or failed for "
              "reasons of their own",
        violated="topping up, closing or settling was shut during the grace",
        nothing=f"nobody topped up, closed or settled within a grace ({len(starts)} restarts)",
    )


def overtaken_by_expiry(subject: Subject) -> Finding:
    cases, refused = Cases(), 0
    for block in subject.chain:
        refused += sum(_name(transaction) == "SeriesExpired" for transaction in block.transactions)
    for trade in subject.replay.facts.trades:
        if trade.timestamp >= trade.expiry:
            cases.add(severity=trade.timestamp - trade.expiry, block=trade.block, tx=trade.tx, series=trade.series,
                      block_timestamp=trade.timestamp, expiry=trade.expiry)
    return cases.finding(
        refused,
        holds=f"{refused} transactions that expiry overtook on their way were refused",
        violated="a transaction that expiry overtook on its way was executed",
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
    Check("G1", "open through grace", "topping up, closing and settling stay possible during the grace",
          open_through_grace, occasion="a call during a grace"),
    Check("Q6", "overtaken by expiry", "a transaction that expiry overtook on its way is refused", overtaken_by_expiry,
          occasion="a transaction on its way across an expiry"),
)
