"""Two runs of one plan, with its faults and without them: nobody is liquidated for what the faults alone did (LS7).

The metamorphic form of LS7. The storm says what an account was made of when it was liquidated; the calm run says what
prices there were, for its oracle met no fault: nothing of the storm's own prices enters. An account that was healthy at
every price the calm run had within the age a price may have was liquidated on a price that the faults made.

Accounts are not compared by their fate in the calm run: a fault may well keep a top-up away for good, or make a trade
come at another price, and then the same person rightly fares otherwise. Who did is told in the summary.
"""

from __future__ import annotations

from bisect import bisect_right

from harness.checks.fairness import least_surplus, true_prices
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.model.facts import RoundFact


class NoPair(ValueError):
    """The two histories are not of one plan, so that nothing in one says anything about the other."""


def healthy_without_faults(calm: Subject, storm: Subject) -> Finding:
    """Judged for every liquidation of the storm whose assets all had prices in the calm run.

    Raises:
        NoPair: the two runs differ in their scenario, seed or beginning.
        NotReplayable: one of them has no whole canonical chain.
    """
    _require_pair(calm, storm)
    cases, judged, unseen = Cases(), 0, 0
    path = _PricePath(calm)
    book = storm.replay.venue.book
    for fact in storm.replay.facts.liquidations:
        assets = sorted({book.series[series].asset for series, _, _ in fact.held.positions})
        prices = {asset: path.around(asset, fact.timestamp) for asset in assets}
        if not all(prices.values()):
            unseen += 1
            continue
        judged += 1
        least = least_surplus(book, fact, prices)
        if least >= 0:
            cases.add(severity=least, block=fact.block, tx=fact.tx, account=fact.account, surplus_at_worst_price=least,
                      equity=fact.before.equity, mm=fact.before.mm,
                      prices={asset: [min(found), max(found)] for asset, found in prices.items()})
    only = _liquidated(storm) - _liquidated(calm)
    aside = f"; {unseen} at a time the calm run has no price of" if unseen else ""
    return cases.finding(
        judged,
        holds=f"each of {judged} liquidations under faults was due at a price of the run without them ({len(only)} "
              f"accounts of {len(_liquidated(storm))} were liquidated only under faults){aside}",
        violated="liquidated under faults although healthy at every price of the run without them",
        nothing=f"nobody was liquidated under faults at a time the calm run has prices of{aside}",
    )


def _require_pair(calm: Subject, storm: Subject) -> None:
    runs = [subject.history.run for subject in (calm, storm)]
    said = [None if run is None else (run.scenario, run.seed, run.genesis_timestamp) for run in runs]
    if said[0] is None or said[0] != said[1]:
        raise NoPair(f"not two runs of one plan (scenario, seed, genesis): {said[0]} and {said[1]}")


def _liquidated(subject: Subject) -> set[str]:
    return {fact.account for fact in subject.replay.facts.liquidations}


class _PricePath:
    """What a run's oracle said, and what its honest reporters saw, about each time."""

    def __init__(self, calm: Subject) -> None:
        self._age_max = calm.bounds.venue.max_price_age_s
        self._rounds: dict[str, list[RoundFact]] = {}
        for fact in calm.replay.facts.rounds:
            self._rounds.setdefault(fact.asset, []).append(fact)
        self._observations = {
            asset: [seen for seen in calm.history.observations if seen.asset == asset] for asset in self._rounds
        }

    def around(self, asset: str, timestamp: int) -> set[int]:
        """Every price that was in force, or was observed, from the oldest a price may be then on."""
        first, rounds = timestamp - self._age_max, self._rounds.get(asset, [])
        begin = max(0, bisect_right([fact.block_timestamp for fact in rounds], first) - 1)
        found = {fact.price for fact in rounds[begin:] if fact.block_timestamp <= timestamp}
        return found | true_prices(self._observations.get(asset, ()), first, timestamp)
