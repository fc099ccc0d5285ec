"""C1 of a coin pool after every step of a random walk: every coin the vault holds is owed, and no dollar moves for it."""

from __future__ import annotations

from random import Random

import pytest

from harness.evm.accounts import MAKER, OWNER, account
from harness.venue import exchange as ex
from harness.venue.pools import account_of, encode_deposit_coin, encode_open_coin_pool, encode_withdraw_coin
from tests.contracts.conftest import T0, TRADERS, Outcome, Venue, W

pytestmark = pytest.mark.node

COIN = 1
STEPS = 110
EXPIRY = 400
JUMPS = {40: 620, 75: 1_500}    # step → thousandths of the price before: past partial liquidation either way
PEOPLE = (MAKER, *TRADERS)


def of(who: int) -> str:
    return account_of(account(who).address, COIN)


def state(venue: Venue) -> ex.VenueState:
    return ex.decode_state(venue.call("lens", ex.encode_state([of(who) for who in PEOPLE], ("BTC",))))


@pytest.mark.parametrize("seed", [2, 3])
def test_every_coin_is_owed_after_every_operation(venue: Venue, seed: int) -> None:
    """Odd sizes and prices, coin in and out, the whole ladder both ways, then settlement in any order."""
    draw = Random(seed)  # keyed by the parameter: the walk is the same on every run
    price = 9_000 * W + 12_345_678_901
    venue.observe(price, "BTC")
    venue.ok(OWNER, "vault", encode_open_coin_pool(COIN, venue.at["spot_token"], "BTC"))
    for expiry in (T0 + EXPIRY, T0 + 10 * EXPIRY):
        data = ex.encode_list_series_with(ex.KINDS["inverse"], "BTC", 0, expiry, (0, COIN, 0, 0, 0))
        venue.ok(OWNER, "clearing_house", data)
    for who in PEOPLE:
        venue.ok(who, "vault", encode_deposit_coin(COIN, 3_000 * W if who == MAKER else W + who))
    dollars = state(venue).pools[0]
    dust, kinds, refused = 0, set(), set()
    for step in range(STEPS):
        venue.now += draw.randrange(2)
        outcome = _step(venue, draw, price)
        kinds |= {event.name for event in outcome.events}
        refused.add(outcome.error.partition("(")[0])
        if step in JUMPS or draw.random() < 0.3:
            venue.now += 1
            price = price * (JUMPS.get(step) or draw.randrange(930, 1_075)) // 1_000 + draw.randrange(10**9)
            venue.observe(price, "BTC")
        dust = _check(venue, dust)
    venue.now = T0 + EXPIRY + 1
    venue.observe(price, "BTC")
    assert venue.finalize(1).error == ""
    holders = [who for who in PEOPLE if any(p.series_id == 1 for p in _held(venue, who).positions)]
    draw.shuffle(holders)
    for who in holders:
        venue.ok(OWNER, "settlement", ex.encode_settle(of(who), 1))
        dust = _check(venue, dust)
    first = state(venue).series[0]
    assert (first.clearing, first.open_positions, first.open_interest) == (0, 0, 0)
    assert state(venue).pools[0] == dollars
    assert {"Traded", "CoinWithdrawn", "Liquidated", "PositionTransferred"} <= kinds
    assert kinds & {"AuctionStarted", "Deleveraged"}
    assert "Panic" not in refused


def _held(venue: Venue, who: int) -> ex.AccountState:
    return state(venue).accounts[PEOPLE.index(who)]


def _step(venue: Venue, draw: Random, price: int) -> Outcome:
    who, roll = draw.choice(TRADERS), draw.random()
    if roll < 0.65:
        worth = max(_held(venue, who).equity, 0) * price // W
        size = draw.choice((-1, 1)) * draw.randrange(1, 9 * worth + 2)
        return venue.trade(who, draw.choice((1, 2)), size, price * draw.randrange(985, 1_016) // 1_000 + draw.randrange(7))
    if roll < 0.73:
        return venue.send(who, "vault", encode_withdraw_coin(COIN, draw.randrange(1, W // 20)))
    if roll < 0.79:
        return venue.send(who, "vault", encode_deposit_coin(COIN, draw.randrange(1, W)))
    if roll < 0.82:
        return venue.send(who, "vault", ex.encode_cover_deficit(COIN))
    if roll < 0.85:
        return venue.send(who, "liquidator", ex.encode_haircut(COIN))
    people = [of(trader) for trader in TRADERS]
    flags = ex.decode_liquidatable(venue.call("lens", ex.encode_liquidatable(people)))
    victim = next((trader for trader, flag in zip(TRADERS, flags, strict=True) if flag), who)
    call = ex.encode_bid if _held(venue, victim).auction else ex.encode_liquidate
    return venue.send(MAKER, "liquidator", call(of(victim)))


def _check(venue: Venue, dust: int) -> int:
    """C1 of the pool, A1, A2, custody, and that dust never falls; the dust now."""
    seen = state(venue)
    pool = seen.pools[COIN]
    own = sum(a.cash - sum(p.notional for p in a.positions) for a in seen.accounts)
    own += sum(series.clearing for series in seen.series)
    assert pool.custody == pool.balance == own + pool.insurance + pool.fees + pool.dust - pool.deficit
    assert pool.dust >= dust
    for series in seen.series:
        sizes = [p.size for a in seen.accounts for p in a.positions if p.series_id == series.series_id]
        # Settlement clears one side at a time, so only series that still trade must balance.
        assert series.is_final or sum(sizes) == 0
        assert series.open_interest == sum(max(size, 0) for size in sizes)
        assert series.open_positions == len(sizes)
    return pool.dust
