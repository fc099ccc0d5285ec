"""Liquidations nobody may have arranged: at honest prices, not at those of the trade itself, and never for a profit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.checks.intervals import PARTIES
from harness.checks.liquidations import steps_down
from harness.checks.oracle import honest_prices, honest_span
from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.checks.trading import increases_risk
from harness.history.records import BlockRecord, ObservationRecord
from harness.model.book import Book, Series
from harness.model.facts import Holding, LiquidationFact
from harness.model.fixed import BPS
from harness.model.ladder import AUCTION, DELEVERAGED, PARTIAL
from harness.model.margin import worth
from harness.model.option_margin import NAKED

STEPS = {PARTIAL: "partial", AUCTION: "bid", DELEVERAGED: "deleveraged"}

ROUNDINGS_A_MOVE = 4
"""Wei that moving one position may add to what owner and keeper have together."""

HONEST_BPS = 50
"""A reporter farther than this from the true price lies; its word says nothing about what the true price was."""


def newer_price(subject: Subject) -> Finding:
    """Judged of everybody taken down a step who had traded, withdrawn or taken over before, with its margin asked for.

    A price was observed when its reporters say, however late its round comes in: one of the very second of the move, or
    of before it, may have been what the move was margined at, or a worse one that somebody held back.
    """
    cases, judged = Cases(), 0
    for fact in steps_down(subject):
        if not fact.moved_at:
            continue
        judged += 1
        if fact.oldest_report is None or fact.oldest_report <= fact.moved_at:
            cases.add(severity=fact.moved_at - (fact.oldest_report or 0), block=fact.block, tx=fact.tx,
                      account=fact.account, step=STEPS[fact.stage] if isinstance(fact, LiquidationFact) else "auction",
                      oldest_report=fact.oldest_report, moved_at=fact.moved_at, equity=fact.before.equity,
                      mm=fact.before.mm)
    return cases.finding(
        judged,
        holds=f"each of {judged} steps down the ladder was taken at prices observed after the account's own last move",
        violated="taken down the ladder at a price observed at or before its own last trade, withdrawal or takeover",
        nothing="nobody was taken down the ladder who had moved of its own accord",
    )


def no_coalition_gain(subject: Subject) -> Finding:
    """Were owner and keeper one person, the best they could do without a liquidation is to close at the same prices:
    that leaves them the account's worth, or nothing where it is negative. By what the events moved they may have no
    more than that afterwards, nor may the insurance pay for a reward or beyond the loss."""
    cases = Cases()
    book, liquidations = subject.replay.venue.book, subject.replay.facts.liquidations
    for fact in liquidations:
        gain = coalition_gain(book, fact)
        took = fact.covered > fact.shortfall or (fact.covered > 0 and fact.collected > 0)
        if took or gain > ROUNDINGS_A_MOVE * len(fact.moved):
            cases.add(severity=max(gain, fact.covered - fact.shortfall, min(fact.covered, fact.collected)),
                      block=fact.block, tx=fact.tx, account=fact.account, keeper=fact.keeper, gain=gain,
                      worth=fact.terms.worth, covered=fact.covered, shortfall=fact.shortfall,
                      to_keeper=fact.to_keeper, collected=fact.collected)
    return cases.finding(
        len(liquidations),
        holds=f"in none of {len(liquidations)} liquidations did owner and keeper together gain on closing, or the "
              "insurance pay beyond the loss, or for a reward",
        violated="owner and keeper together had more than by closing, or took from the insurance",
        nothing="no liquidation",
    )


def coalition_gain(book: Book, fact: LiquidationFact) -> int:
    """What owner and keeper together have more after a liquidation than after a close at the index, by its events.

    An account below zero is its owner's no more: there it counts as nothing, before and after.
    """
    due = {item.series.id: item.price for item in fact.terms.items}
    bargain = 0  # what the keeper took is worth beyond what it paid; the rest went to counterparties
    for series, size, price in fact.moved[:len(fact.moved) - len(fact.counterparties)]:
        kind = book.series[series].kind
        bargain += worth(kind, size, due.get(series, price)) - worth(kind, size, price)
    left = fact.terms.worth - fact.loss + fact.covered + fact.bad_debt + sum(
        other.got_cost for other in fact.counterparties)
    return max(left, 0) - max(fact.terms.worth, 0) + fact.to_keeper + bargain


def true_price_path(subject: Subject) -> Finding:
    """Judged where the run recorded what reporters saw and what was true, within the age a price may have.

    E − MM is a sum over assets, so its least value over all combinations of prices is the sum of the least ones.
    """
    cases, judged, unseen = Cases(), 0, 0
    book = subject.replay.venue.book
    seen: dict[str, list[ObservationRecord]] = {}
    for observation in subject.history.observations:
        seen.setdefault(observation.asset, []).append(observation)
    age_max = subject.bounds.venue.max_price_age_s
    indices = _honest_indices(subject)
    for fact in subject.replay.facts.liquidations:
        prices = {
            asset: true_prices(seen.get(asset, ()), fact.timestamp - age_max, fact.timestamp)
            | {price for stamp, price in indices.get(asset, ()) if fact.timestamp - age_max <= stamp <= fact.timestamp}
            for asset in sorted({book.series[series].asset for series, _, _ in fact.held.positions})
        }
        if not all(prices.values()):
            unseen += 1
            continue
        judged += 1
        least = least_surplus(book, fact, prices)
        if least >= 0:
            cases.add(severity=least, block=fact.block, tx=fact.tx, account=fact.account, surplus_at_worst_price=least,
                      equity=fact.before.equity, mm=fact.before.mm)
    aside = f"; {unseen} without a recorded observation" if unseen else ""
    return cases.finding(
        judged,
        holds=f"each of {judged} liquidated accounts was under MM at some true price of the last {age_max} s{aside}",
        violated="liquidated although healthy on the whole true price path",
        nothing=f"no liquidation has a true price to compare with{aside}",
    )


def _honest_indices(subject: Subject) -> dict[str, list[tuple[int, int]]]:
    """Asset → (timestamp, price) of the rounds whose index is one that their honest reporters may make (P1)."""
    found: dict[str, list[tuple[int, int]]] = {}
    signed = honest_prices(
        seen for seen in subject.history.observations
        if seen.source is not None and abs(seen.price - seen.source) * BPS <= HONEST_BPS * abs(seen.source)
    )
    for fact in subject.replay.facts.rounds:
        span = honest_span(fact, signed, subject.bounds.venue.clamp_bps)
        if span is not None and span[0] <= fact.price <= span[1]:
            found.setdefault(fact.asset, []).append((fact.timestamp, fact.price))
    return found


def true_prices(observations: Iterable[ObservationRecord], first: int, last: int) -> set[int]:
    """What was true in that time, and what honest reporters saw of it."""
    found: set[int] = set()
    for seen in observations:
        if not first <= seen.timestamp <= last or seen.source is None:
            continue
        found.add(seen.source)
        if abs(seen.price - seen.source) * BPS <= HONEST_BPS * abs(seen.source):
            found.add(seen.price)
    return found


def least_surplus(book: Book, fact: LiquidationFact, prices: Mapping[str, set[int]]) -> int:
    """The least E − MM over all combinations of those prices. As of the end of the run no series is live any more in
    `book`, so what was live at the liquidation is valued as live here too; and at the factors in force then."""
    held = fact.held
    surplus = held.cash + held.funding
    for asset, candidates in prices.items():
        part = Holding(0, tuple(item for item in held.positions if book.series[item[0]].asset == asset))
        margins = [book.margin_at(part, {asset: price}, live=True, params=fact.params, now=fact.timestamp)
                   for price in sorted(candidates)]
        surplus += min(margin.equity - margin.mm for margin in margins)
    return surplus


def same_view(subject: Subject) -> Finding:
    """Judged where nothing happened to the account or to any price between the reading and the liquidation, nor any
    time passed that an account with perpetuals pays funding for, or that lowers the margin of a naked option."""
    cases, judged = Cases(), 0
    replay = subject.replay
    by_number = {snapshot.state.number: snapshot.state for snapshot in replay.snapshots}
    blocks = {block.number: block for block in subject.chain}
    for fact in replay.facts.liquidations:
        shown = by_number.get(fact.block - 1)
        account = None if shown is None else shown.accounts.get(fact.account)
        if account is None or _is_disturbed(blocks[fact.block], fact):
            continue
        held = [replay.venue.book.series[series] for series, _, _ in fact.held.positions]
        passed = blocks[fact.block].timestamp != blocks[fact.block - 1].timestamp
        if passed and any(runs_with_time(series) for series in held):
            continue
        judged += 1
        if (account.equity, account.mm) != (fact.got_equity, fact.got_maintenance) or account.equity >= account.mm:
            cases.add(severity=abs(account.equity - fact.got_equity), block=fact.block, tx=fact.tx,
                      account=fact.account, shown_equity=account.equity, used_equity=fact.got_equity,
                      shown_mm=account.mm, used_mm=fact.got_maintenance)
    return cases.finding(
        judged,
        holds=f"{judged} liquidations used exactly the equity and MM that the health view had shown, both due",
        violated="liquidated by another equity or MM than the health view shows",
        nothing="no liquidation has a reading before it with nothing in between",
    )


def runs_with_time(series: Series) -> bool:
    """Whether what a position of it is worth or needs changes although nothing happens."""
    return series.perpetual is not None or (series.terms is not None and series.terms.option_margin == NAKED)


def _is_disturbed(block: BlockRecord, fact: LiquidationFact) -> bool:
    for event in block.events:
        if event.tx >= fact.tx:
            return False
        if event.name in ("RoundAccepted", "SeriesFinalized") or fact.account in [
            event.args.get(key) for key in PARTIES
        ]:
            return True
    return False


def no_open_and_liquidate(subject: Subject) -> Finding:
    cases = Cases()
    facts = subject.replay.facts
    opened: dict[tuple[str, int], list[int]] = {}
    for trade in facts.trades:
        for leg in (trade.taker, trade.maker):
            if increases_risk(leg):
                opened.setdefault((leg.account, trade.block), []).append(trade.tx)
    prices: dict[int, list[int]] = {}
    for round_ in facts.rounds:
        prices.setdefault(round_.block, []).append(round_.tx)
    steps = steps_down(subject)
    for fact in steps:
        mine = [tx for tx in opened.get((fact.account, fact.block), ()) if tx <= fact.tx]
        if mine and not any(mine[-1] < tx <= fact.tx for tx in prices.get(fact.block, ())):
            gained, covered = (fact.to_keeper, fact.covered) if isinstance(fact, LiquidationFact) else (0, 0)
            cases.add(severity=gained, block=fact.block, tx=fact.tx, account=fact.account, opened_tx=mine[-1],
                      to_keeper=gained, covered=covered)
    return cases.finding(
        len(steps),
        holds=f"none of {len(steps)} accounts taken down the ladder opened its risk in the same block and prices",
        violated="opened and liquidated in one block at one price",
        nothing="no liquidation",
    )


CHECKS = (
    Check("LS3", "newer price", "nobody goes down the ladder at a price observed at or before its own last move",
          newer_price),
    Check("LS6", "no coalition gain", "owner and keeper together never have more than by closing at the index, nor "
          "take from the insurance more than the loss",
          no_coalition_gain),
    Check("LS7", "true price path", "nobody is liquidated who was healthy at every true price of the last while",
          true_price_path),
    Check("LS8", "same view", "a liquidation uses the equity and MM that the health view shows", same_view,
          occasion="a liquidation with a reading just before it"),
    Check("Q4", "no open and liquidate", "nobody opens risk and is liquidated in one block without a new price",
          no_open_and_liquidate),
)
