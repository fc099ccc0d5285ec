"""In how many events and fields of storage a run told amounts, each of them compared with the model's to the wei."""

from __future__ import annotations

from harness.checks.subject import NotReplayable, Subject

_EVENTS = ("Settled", "BadDebt", "FundingSettled", "FundingAccrued", "Liquidated", "PositionTransferred", "Traded",
           "SeriesFinalized")


def compared_amounts(subject: Subject) -> dict[str, int]:
    """Events by kind whose amounts were compared, their sum, and how many comparisons found a difference; and the
    fields of storage compared at all blocks together, and how many of those differed (A6 says which).

    Empty where the chain could not be replayed.
    """
    try:
        replay = subject.replay
    except NotReplayable:
        return {}
    facts = replay.facts
    counts = {
        "settlements": len(facts.settlements),
        "funding_payments": len(facts.fundings),
        "funding_accruals": len(facts.accruals),
        "liquidations": len(facts.liquidations),
        "trades": len(facts.trades),
        "settlement_prices": len(facts.finals),
    }
    differing = sum(item.what.partition(".")[0].partition(" ")[0] in _EVENTS for item in replay.discrepancies)
    return {
        **counts, "all": sum(counts.values()), "differing": differing,
        "storage_fields": sum(snapshot.fields for snapshot in replay.snapshots),
        "storage_fields_differing": sum(len(snapshot.differences) for snapshot in replay.snapshots),
    }
