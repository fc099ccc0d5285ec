"""Perpetuals by hand: the premium becomes a rate, the rate an index on the active clock, the index cash."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.feed import Feed
from tests.checks.builder import START, Run, address
from tests.model import shadow

W = 10**18
BPS = W // 10_000


def perpetual(premium: int = 2) -> Run:
    """ETH at 100; alice long 3 of a perpetual (1), struck at a premium of so many per cent."""
    run = Run().block().price(100).list_series(3)
    run.deposit("alice", 1000).deposit("maker", 1000).deposit("bob", 1000)
    return run.trade("alice", "maker", 3, 100 + premium)


def index(run: Run) -> int:
    market = run.venue.book.series[1].perpetual
    assert market is not None
    return market.index


def next_window(run: Run) -> Run:
    """Blocks with a price each until the premium window has turned; the open block is its first."""
    while run.timestamp // 15 == START // 15:
        run.block().price(100)
    return run


def test_the_first_window_is_free_and_its_premium_sets_the_rate_capped() -> None:
    """2 % and 1 bp of interest are far above the cap of 75 bps a period."""
    run = next_window(perpetual()).accrue(1)
    market = run.venue.book.series[1].perpetual
    assert market is not None
    assert (market.index, market.rate, market.weight) == (0, 75 * BPS, 0)


@pytest.mark.parametrize(("premium", "rate"), [(0, 1), (-3, -75)])
def test_a_discount_makes_shorts_pay_and_no_premium_leaves_the_interest(premium: int, rate: int) -> None:
    run = next_window(perpetual(premium)).accrue(1)
    market = run.venue.book.series[1].perpetual
    assert market is not None
    assert market.rate == rate * BPS


def test_the_premium_is_weighed_by_size_and_floored_twice() -> None:
    """3 at +0.5 %, 1 at −0.3 %: (3·50 − 30)/4 = 30 bps, and one of interest."""
    run = Run().block().price(100).list_series(3).deposit("alice", 1000).deposit("maker", 1000)
    run.trade("alice", "maker", 3, 0, price_wad=100 * W + W // 2)
    run.trade("alice", "maker", -1, 0, price_wad=100 * W - 3 * W // 10)
    next_window(run).accrue(1)
    market = run.venue.book.series[1].perpetual
    assert market is not None
    assert market.rate == 31 * BPS


def test_an_hour_of_funding_at_the_cap_by_hand() -> None:
    """75 bps a period of 240 s on 100: 0.003125 a second and unit; ten seconds cost alice's 3 units 0.09375."""
    run = next_window(perpetual()).accrue(1)
    cash = run.venue.book.account(address("alice")).cash
    for _ in range(10):
        run.block().price(100)
    run.settle_funding("alice", 1).settle_funding("maker", 1)
    assert index(run) == 3125 * W // 100_000
    assert run.venue.book.account(address("alice")).cash - cash == -9375 * W // 100_000
    assert run.venue.book.series[1].clearing == 0
    assert run.venue.imbalance() == 0


def test_a_gap_between_prices_counts_for_its_limit_and_no_more() -> None:
    """Thirty seconds without a price: twenty are funded."""
    run = next_window(perpetual()).accrue(1)
    before = index(run)
    run.blocks(30).block().accrue(1)
    assert index(run) - before == 20 * 3125 * W // 1_000_000


def test_an_outage_costs_nobody_funding() -> None:
    """The chain is away for a minute; the active clock, and with it the index, stands still."""
    run = next_window(perpetual()).accrue(1)
    before = index(run)
    run.block(dt=60).price(100).accrue(1)
    assert index(run) == before
    assert run.venue.book.down_time == 60


def test_the_first_rate_after_an_outage_is_not_applied_to_it() -> None:
    """The rate turns during the outage (its window did); what came before is paid at the old one."""
    run = next_window(perpetual()).accrue(1).block().price(100).trade("bob", "maker", -50, 0, price_wad=95 * W)
    before = index(run)
    run.block(dt=60).price(100).accrue(1)
    market = run.venue.book.series[1].perpetual
    assert market is not None
    assert market.rate == -75 * BPS
    assert index(run) == before


def test_equity_counts_funding_before_it_is_settled() -> None:
    run = next_window(perpetual()).accrue(1)
    before = run.venue.margin(address("alice")).equity
    for _ in range(10):
        run.block().price(100)
    assert run.venue.margin(address("alice")).equity - before == -9375 * W // 100_000
    assert run.venue.book.free_cash(address("alice")) == run.venue.margin(address("alice")).equity


def test_the_last_to_leave_turns_the_residue_into_dust() -> None:
    """Three odd holders: each payment floored, so the clearing keeps up to a wei each until nobody is left."""
    run = Run().block().price(0, wad=100 * W + 7).list_series(3)
    for name in ("alice", "bob", "maker"):
        run.deposit(name, 1000)
    run.trade("alice", "maker", 0, 0, size_wad=W // 3 + 1, price_wad=101 * W)
    run.trade("bob", "maker", 0, 0, size_wad=W // 7 + 1, price_wad=101 * W)
    next_window(run).accrue(1)
    for _ in range(7):
        run.block().price(0, wad=100 * W + 7)
    run.settle_funding("alice", 1).settle_funding("bob", 1).settle_funding("maker", 1)
    clearing, dust = run.venue.book.series[1].clearing, run.venue.book.dust
    assert 0 < clearing <= 3
    run.trade("alice", "maker", 0, 0, size_wad=-(W // 3 + 1), price_wad=100 * W)
    run.trade("bob", "maker", 0, 0, size_wad=-(W // 7 + 1), price_wad=100 * W)
    assert run.venue.book.series[1].clearing == 0
    assert run.venue.book.dust >= dust + clearing
    assert run.venue.imbalance() == 0


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-(10**21), 10**21)), min_size=1, max_size=15),
       st.integers(0, 50))
def test_the_funded_integral_is_the_sum_over_every_second(steps: list[tuple[int, int]], later: int) -> None:
    """Second by second: the price in force, unless it is older than the gap on the active clock."""
    feed, active = Feed(), 100
    known: list[tuple[int, int]] = []
    for number, (wait, price) in enumerate(steps):
        active += wait
        feed.accept(number + 1, timestamp=1000 + 100 * number, price=price, active=active, funding_gap=20)
        known.append((active, price))
    total = 0
    for second in range(known[0][0], active + later):
        since, price = [item for item in known if item[0] <= second][-1]
        total += abs(price) if second < since + 20 else 0
    assert feed.funded_at(active + later, 20) == total


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("alice", "bob")), st.integers(-10 * W, 10 * W).filter(bool),
                          st.integers(92 * W, 108 * W), st.integers(1, 9)), min_size=1, max_size=10))
def test_funding_and_trading_of_a_perpetual_are_exact_less_a_wei_a_rounding(
    steps: list[tuple[str, int, int, int]]
) -> None:
    """Against plain fractions: size × price paid, and the index's every step at the size then held."""
    run = Run().block().price(100).list_series(3).deposit("alice", 10**6).deposit("bob", 10**6).deposit("maker", 10**6)
    exact: dict[str, Fraction] = {}
    size: dict[str, Fraction] = {}
    last, count = 0, 0
    for taker, change, price, seconds in steps:
        for _ in range(seconds):
            run.block().price(100)
        run.accrue(1)
        step, last = Fraction(index(run) - last, W), index(run)
        for name, held in size.items():
            exact[name] -= held * step
        run.trade(taker, "maker", 0, 0, size_wad=change, price_wad=price)
        fee = shadow.up(abs(Fraction(change, W)) * 100 * Fraction(5, 10_000))
        for name, sign, paid in ((taker, 1, fee), ("maker", -1, 0)):
            size[name] = size.get(name, Fraction(0)) + sign * Fraction(change, W)
            exact[name] = exact.get(name, Fraction(0)) - sign * Fraction(change, W) * Fraction(price, W)
            exact[name] -= Fraction(paid, W)
        count += 1
    for name, held in size.items():
        equity = run.venue.margin(address(name)).equity - 10**6 * W
        gap = (exact[name] + held * 100) / shadow.WEI - equity
        assert 0 <= gap <= 5 * count + 2
    assert run.venue.imbalance() == 0
