"""What a series' terms promise: option books that cover what they can lose, profit lent to a limit, capped interest.

Judged from storage and from trades in exact fractions, by the published formulas and without the model's requirements.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.storage import Snapshot
from harness.checks.subject import Subject
from harness.model.book import Series
from harness.model.fixed import WAD

RELIEF = 1
UNPAIRED = {"im": Fraction(12, 10), "mm": Fraction(11, 10)}


class Item(NamedTuple):
    """One option an account holds, in whole units."""

    is_call: bool
    strike: Fraction
    size: Fraction
    is_relief: bool
    expiry: int

    def pays(self, price: Fraction) -> Fraction:
        return max(price - self.strike if self.is_call else self.strike - price, Fraction(0))


def option_books(subject: Subject) -> Finding:
    """An account that holds live options only, of one asset: what it must keep, against what it can owe.

    Whatever the module, that is at least what it owes by every short at the index. Where relief offsets shorts by
    longs, a requirement below that bound must be at least the worst loss of the expiry at any strike or at zero, and
    for each call written without one held the add-on for the slope beyond.
    """
    cases, judged, relieved = Cases(), 0, 0
    for snapshot in subject.replay.snapshots:
        for address, items, price in _books(subject, snapshot):
            if not any(item.size < 0 for item in items):
                continue
            judged += 1
            shown = snapshot.state.accounts[address]
            owed = sum((-item.size * item.pays(price) for item in items if item.size < 0), Fraction(0))
            groups: dict[int, list[Item]] = {}
            others = Fraction(0)
            for item in items:
                if item.is_relief:
                    groups.setdefault(item.expiry, []).append(item)
                elif item.size < 0:
                    others += -item.size * item.pays(price)
            for name, need in (("im", shown.im), ("mm", shown.mm)):
                floor = others + sum(
                    (min(_owed(group, price), _worst(group, price, UNPAIRED[name])) for group in groups.values()),
                    Fraction(0),
                )
                relieved += Fraction(need, WAD) < owed
                if Fraction(need, WAD) < floor:
                    cases.add(severity=int((floor - Fraction(need, WAD)) * WAD), block=snapshot.state.number,
                              account=address, requirement=name, has=need, least=int(floor * WAD))
    return cases.finding(
        judged,
        holds=f"{judged} option books kept what they can lose ({relieved} of those requirements by offsetting)",
        violated="an option book must keep less than it can lose",
        nothing="no state record shows an account with nothing but written options",
    )


def _books(subject: Subject, snapshot: Snapshot) -> Iterator[tuple[str, list[Item], Fraction]]:
    series, state = subject.replay.venue.book.series, snapshot.state
    for address, shown in state.accounts.items():
        held = [(series[p.series], p.size) for p in shown.positions if p.size and p.series in series]
        assets = sorted({item.asset for item, _ in held})
        if len(assets) != 1 or any(not item.is_option or state.series[item.id].final for item, _ in held):
            continue
        observed = state.assets.get(assets[0])
        if observed is not None:
            yield address, [_item(*pair) for pair in held], max(Fraction(observed.price, WAD), Fraction(0))


def _item(series: Series, size: int) -> Item:
    relief = series.terms is not None and series.terms.option_margin == RELIEF
    return Item(series.kind == 1, Fraction(series.strike, WAD), Fraction(size, WAD), relief, series.expiry)


def _owed(group: list[Item], price: Fraction) -> Fraction:
    return sum((-item.size * item.pays(price) for item in group if item.size < 0), Fraction(0))


def _worst(group: list[Item], price: Fraction, addon: Fraction) -> Fraction:
    """−min payoff over {0} ∪ strikes, and the documented add-on for the slope at infinity."""
    losses = [
        -sum((item.size * item.pays(at) for item in group), Fraction(0))
        for at in (Fraction(0), *(item.strike for item in group))
    ]
    unpaired = -sum((item.size for item in group if item.is_call), Fraction(0))
    return max(Fraction(0), *losses) + max(Fraction(0), unpaired) * price * addon


def profit_credit(subject: Subject) -> Finding:
    """Judged where a side of a trade holds more unrealised profit in a market than its terms lend against."""
    cases, judged = Cases(), 0
    for trade in subject.replay.facts.trades:
        for leg in (trade.taker, trade.maker):
            if leg.after.excess <= 0:
                continue
            judged += 1
            lent = leg.after.equity - leg.after.excess
            was_under = leg.before.equity - leg.before.excess < leg.before.im and leg.before.mm > 0
            no_worse = (leg.after.mm <= leg.before.mm
                        and leg.after.equity * leg.before.mm >= leg.before.equity * leg.after.mm)
            if lent < leg.after.im and not (was_under and no_worse):
                cases.add(severity=leg.after.im - lent, block=trade.block, tx=trade.tx, account=leg.account,
                          series=trade.series, equity=leg.after.equity, beyond_cap=leg.after.excess, im=leg.after.im)
    return cases.finding(
        judged,
        holds=f"{judged} sides with more profit than their market lends against were margined without the rest",
        violated="an account opened against more unrealised profit than its market's cap",
        nothing="nobody traded with more unrealised profit than a market's cap",
    )


def interest_caps(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    for trade in subject.replay.facts.trades:
        if trade.cap == 0:
            continue
        judged += 1
        if trade.cap_excess > 0:
            cases.add(severity=trade.cap_excess, block=trade.block, tx=trade.tx, series=trade.series,
                      open_interest=trade.open_interest, index=trade.index, cap=trade.cap, beyond=trade.cap_excess)
    return cases.finding(
        judged,
        holds=f"none of {judged} trades in capped series raised open interest beyond the cap",
        violated="a trade raised open interest beyond its cap",
        nothing="no trade in a series with a cap on its open interest",
    )


CHECKS = (
    Check("M6", "option books", "an option book must keep at least what it owes at the index or, offset, its worst "
          "loss at any strike and an add-on for the slope beyond", option_books,
          occasion="an account with nothing but written options"),
    Check("M7", "profit credit", "nobody opens against more unrealised profit of a market than its cap", profit_credit,
          occasion="unrealised profit beyond a market's cap"),
    Check("T8", "open interest cap", "no trade raises open interest beyond its cap", interest_caps,
          occasion="a series with a cap on its open interest"),
)
