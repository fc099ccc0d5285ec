"""C1 after every step of a random walk over the whole venue: the tokens held are exactly what is owed."""

from __future__ import annotations

from random import Random

import pytest

from harness.venue import exchange as ex
from harness.evm.accounts import KEEPERS, MAKER, account
from tests.contracts.conftest import EVERYONE, T0, TRADERS, USD, Outcome, Venue, W

pytestmark = pytest.mark.node

STEPS = 130
EXPIRY = 400
CRASHES = {50: 600, 90: 1600}   # step → thousandths of the price before: past partial liquidation either way


@pytest.mark.parametrize("seed", [1, 2])
def test_custody_equals_obligations_after_every_operation(venue: Venue, seed: int) -> None:
    """Trades at odd sizes and prices, withdrawals, price jumps, the whole ladder, then settlement of everything."""
    draw = Random(seed)  # keyed by the parameter: the walk is the same on every run
    price = 2000 * W + 12_345_678_901
    venue.observe(price)
    venue.list_series("future", expires=EXPIRY)
    venue.list_series("call", strike=2000 * W + 7, expires=EXPIRY)
    venue.list_series("put", strike=2000 * W + 11, expires=EXPIRY)
    venue.list_series("future", expires=10 * EXPIRY)
    venue.list_series("perpetual")
    for who in (MAKER, *KEEPERS[:2], *TRADERS):
        venue.deposit(who, 2_000_000 if who == MAKER else 3_000)
    dust, kinds, refused = 0, set(), set()
    for step in range(STEPS):
        venue.now += draw.randrange(2)
        outcome = _step(venue, draw, price)
        kinds |= {event.name for event in outcome.events}
        refused.add(outcome.error.partition("(")[0])
        if step in CRASHES or draw.random() < 0.3:
            venue.now += 1
            jump = CRASHES.get(step) or draw.randrange(900, 1100)
            price = max(W, price * jump // 1000 + draw.randrange(10**9))
            venue.observe(price)
        dust = _check(venue, dust)
    venue.now = T0 + EXPIRY + 1
    venue.observe(price)
    for series in (1, 2, 3):
        assert venue.finalize(series).error == ""
        holders = [who for who, state in zip(EVERYONE, venue.state().accounts, strict=True)
                   if any(p.series_id == series for p in state.positions)]
        draw.shuffle(holders)
        for who in holders:
            assert venue.settle(who, series).error == ""
            dust = _check(venue, dust)
    settled = venue.state().series[:3]
    assert [(s.clearing, s.open_positions, s.open_interest) for s in settled] == [(0, 0, 0)] * 3
    assert {"Traded", "Withdrawn", "Liquidated", "PositionTransferred", "FundingSettled"} <= kinds
    assert kinds & {"AuctionStarted", "Deleveraged"}
    assert "Panic" not in refused


def _step(venue: Venue, draw: Random, price: int) -> Outcome:
    who = draw.choice(TRADERS)
    roll = draw.random()
    if roll < 0.65:
        series = draw.randrange(1, 6)
        size = draw.choice((-1, 1)) * draw.randrange(1, 9 * W)
        mark = price if series in (1, 4, 5) else price // 50
        return venue.trade(who, series, size, mark * draw.randrange(985, 1016) // 1000 + draw.randrange(7))
    if roll < 0.75:
        return venue.send(who, "vault", ex.encode_withdraw(draw.randrange(1, 500 * USD)))
    if roll < 0.8:
        return venue.send(who, "vault", ex.encode_deposit(draw.randrange(1, 500 * USD)))
    if roll < 0.83:
        return venue.send(who, "vault", ex.encode_cover_deficit())
    if roll < 0.86:
        return venue.send(who, "liquidator", ex.encode_haircut())
    flags = [victim for victim in TRADERS if venue.liquidatable(victim)]
    victim = flags[0] if flags else who
    if venue.of(victim).auction:
        return venue.send(MAKER, "liquidator", ex.encode_bid(account(victim).address))
    return venue.liquidate(MAKER, victim)


def _check(venue: Venue, dust: int) -> int:
    """C1, A1, A2 and that dust never falls; the dust now."""
    state = venue.state()
    assert state.conservation_gap() == 0
    assert state.totals.dust >= dust
    for series in state.series:
        sizes = [p.size for a in state.accounts for p in a.positions if p.series_id == series.series_id]
        # Settlement clears one side at a time, so only series that still trade must balance.
        assert series.is_final or sum(sizes) == 0
        assert series.open_interest == sum(max(size, 0) for size in sizes)
        assert series.open_positions == len(sizes)
    assert {a.address for a in state.accounts} == {account(who).address for who in EVERYONE}
    return state.totals.dust
