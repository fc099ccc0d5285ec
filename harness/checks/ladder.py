"""The liquidation ladder: no more is closed than must be, auctions run in active time, only profit is deleveraged."""

from __future__ import annotations

from fractions import Fraction

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.model.fixed import BPS, WAD, ceil_div
from harness.model.ladder import AUCTION, DELEVERAGED, PARTIAL, Terms
from harness.model.margin import Kind, notional
from harness.model.option_margin import RELIEF
from harness.model.params import VenueParams

GAS_ASSET = "ETH"
"""What gas is paid in."""
ROUNDINGS_MAX = 8
"""Wei that the roundings of one position's move and margins may come to."""
UNPAIRED_BPS = 12_000
"""Of an option's price or strike, the most that relief lets it stand in for."""


def least_restoring_size(subject: Subject) -> Finding:
    """In exact fractions: x / a = (IM − E) / (IM + V − F), and at most a lot more than that of each position."""
    cases, judged, whole = Cases(), 0, 0
    params = subject.bounds.venue
    for fact in subject.replay.facts.liquidations:
        if fact.stage != PARTIAL:
            continue
        judged += 1
        given = fact.terms
        room = given.im + given.options - given.penalty
        share = Fraction(given.im - given.equity, room) if room > 0 else Fraction(1)
        small = given.quote <= params.small_notional * WAD * WAD
        moved: dict[int, int] = {}
        for series, size, _ in fact.moved:
            moved[series] = moved.get(series, 0) + size
        is_whole = all(abs(moved.get(item.series.id, 0)) == item.held for item in given.items)
        whole += is_whole
        for item in given.items:
            got = moved.get(item.series.id, 0) * item.sign
            due = min(Fraction(item.held), item.held * share)
            rest = item.held - got
            # What would be left below one lot is closed as well.
            much = got > due + params.lot_wad and (rest > 0 or item.held - due > 2 * params.lot_wad)
            if got < due or (much and not small):
                cases.add(severity=abs(int(got - due)), block=fact.block, tx=fact.tx, account=fact.account,
                          series=item.series.id, held=item.held, closed=got, least=-int(-due // 1),
                          lot=params.lot_wad)
        before, after = fact.before, fact.after
        worse = after.mm > before.mm or after.equity * before.mm < before.equity * after.mm
        if worse or (after.mm > 0 and after.mm - after.equity > _cost_of_lots(given, params)):
            cases.add(severity=after.mm - after.equity, block=fact.block, tx=fact.tx, account=fact.account,
                      equity_before=before.equity, mm_before=before.mm, equity=after.equity, mm=after.mm)
    return cases.finding(
        judged,
        holds=f"{judged} partial liquidations ({whole} of them whole) closed the least that restores, to a lot, and "
              "left the account healthier",
        violated="a partial liquidation closed more than it must, or left the account no healthier",
        nothing="no account was liquidated while it could pay the penalty",
    )


def _cost_of_lots(given: Terms, params: VenueParams) -> int:
    """How far a partial liquidation may stay below what it aims at because each position is closed in whole lots.

    The part of a lot that nobody needed pays its penalty too, and of an option held against shorts (relief) it takes
    cover away. Where IM = MM, as of naked options, an account can so end a little under its maintenance margin.
    """
    strikes = [item.series.strike for item in given.items if item.series.is_option]
    cost = 0
    for item in given.items:
        penalty = notional(item.series.kind, params.lot_wad, item.index) * params.penalty_bps
        cost += ceil_div(penalty, BPS * WAD) + ROUNDINGS_MAX
        terms = item.series.terms
        if terms is not None and terms.option_margin == RELIEF and item.size > 0:
            cost += ceil_div(params.lot_wad * max(item.index, *strikes) * UNPAIRED_BPS, BPS * WAD)
    return cost


def auction_terms(subject: Subject) -> Finding:
    """What a bidder gets begins at nothing and grows with active time only; no auction outlives twice its duration."""
    cases, judged = Cases(), 0
    params = subject.bounds.venue
    for fact in subject.replay.facts.liquidations:
        if fact.stage != AUCTION:
            continue
        judged += 1
        since = fact.auction_active
        most = Fraction(fact.terms.notional * params.auction_max_bps, BPS * WAD)
        share = Fraction(0) if since is None else Fraction(min(since, params.auction_duration_s),
                                                           params.auction_duration_s)
        left = max(0, fact.terms.worth)
        at_most = min((most + 1) * share, Fraction(left))
        late = since is None or since >= 2 * params.auction_duration_s
        if fact.to_keeper > at_most or late or fact.to_keeper + _to_insurance(fact.collected, fact.to_keeper) > left:
            cases.add(severity=int(fact.to_keeper - at_most), block=fact.block, tx=fact.tx, account=fact.account,
                      bonus=fact.to_keeper, at_most=int(at_most), active_s=since, worth=fact.terms.worth,
                      duration_s=params.auction_duration_s)
    return cases.finding(
        judged,
        holds=f"{judged} bids got no more than their share of active time gives, and none came after its auction",
        violated="a bidder got more than the auction's active time gives, or bid when none was running",
        nothing="no auction ended in a bid",
    )


def _to_insurance(collected: int, to_keeper: int) -> int:
    return collected - to_keeper


def deleveraging(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    for fact in subject.replay.facts.liquidations:
        if fact.stage != DELEVERAGED:
            continue
        judged += 1
        closed: dict[int, int] = {}
        for series, size, _ in fact.moved:
            closed[series] = closed.get(series, 0) + size
        for item in fact.terms.items:
            if closed.get(item.series.id, 0) != item.size:
                cases.add(severity=abs(closed.get(item.series.id, 0) - item.size), block=fact.block, tx=fact.tx,
                          account=fact.account, series=item.series.id, held=item.size,
                          closed=closed.get(item.series.id, 0))
        for other in fact.counterparties:
            if other.got_cost > other.most:
                cases.add(severity=other.got_cost - other.most, block=fact.block, tx=fact.tx, account=other.account,
                          series=other.series, cost=other.got_cost, profit=other.most)
        if fact.after.mm or fact.after.equity < 0:
            cases.add(severity=-fact.after.equity, block=fact.block, tx=fact.tx, account=fact.account,
                      equity_after=fact.after.equity, mm_after=fact.after.mm)
    return cases.finding(
        judged,
        holds=f"{judged} deleveragings closed exactly what was held, and took of counterparties only profit",
        violated="a deleveraging closed another size than was held, or took more than a profit",
        nothing="nobody was deleveraged",
    )


def reward_covers_gas(subject: Subject) -> Finding:
    """Judged for partial liquidations of accounts above the small notional that hold the gas token's underlying."""
    cases, judged = Cases(), 0
    params, price = subject.bounds.venue, subject.bounds.keeper_gas_price_wei
    gas = {(block.number, index): transaction.gas_used for block in subject.chain
           for index, transaction in enumerate(block.transactions)}
    for fact in subject.replay.facts.liquidations:
        ether = [item.index for item in fact.terms.items if item.series.asset == GAS_ASSET]
        if fact.stage != PARTIAL or not ether or fact.terms.quote <= params.small_notional * WAD * WAD:
            continue
        judged += 1
        used = gas.get((fact.block, fact.tx), 0)
        paid_in_coin = any(item.series.kind is Kind.INVERSE for item in fact.terms.items)
        cost = used * price * (WAD if paid_in_coin else ether[0]) // WAD
        if fact.to_keeper < cost:
            cases.add(severity=cost - fact.to_keeper, block=fact.block, tx=fact.tx, account=fact.account,
                      to_keeper=fact.to_keeper, gas_cost=cost, gas=used, gas_price_wei=price)
    return cases.finding(
        judged,
        holds=f"the reward of {judged} partial liquidations paid their gas at {price / 10**9:g} gwei",
        violated="a keeper's reward was less than its gas",
        nothing="no account above the small notional was partly liquidated",
    )


CHECKS = (
    Check("LL3", "reward covers gas", "liquidating any account above the small notional pays a keeper its gas",
          reward_covers_gas, occasion="a liquidation that can pay its penalty"),
    Check("LS5", "least restoring size", "a partial liquidation closes the least that restores, to a lot, and improves",
          least_restoring_size, occasion="a liquidation that can pay its penalty"),
    Check("LL4", "auction terms", "an auction's price falls in active time only and the auction ends in bounded time",
          auction_terms, occasion="an auction that ends in a bid"),
    Check("LL5", "deleveraging", "deleveraging closes exactly the deficit position and takes profit only", deleveraging,
          occasion="a deleveraging"),
)
