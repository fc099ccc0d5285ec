"""Inverse futures: n contracts of one quote are worth n/P coin; against fractions, published figures, and formula 6."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.model.fixed import BPS
from harness.model.legs import future_leg
from harness.model.margin import (
    Kind,
    notional,
    notional_down,
    open_notional,
    profit_limit,
    quote_notional,
    rated,
    requirement,
    scaled_im,
    worth,
)
from harness.model.params import FAST, VenueParams
from tests.checks.builder import Run, address
from tests.model import shadow

W = 10**18
INVERSE = Kind.INVERSE
sizes = st.integers(-(10**26), 10**26)
prices = st.integers(1, 10**26)


def coins(wad: int) -> Fraction:
    return Fraction(wad, W)


@given(sizes, prices)
def test_a_contract_is_worth_minus_its_reciprocal_floored(size: int, price: int) -> None:
    """So that, N being what it cost, a long gains 1/P_e − 1/P a unit (formula 3)."""
    assert worth(INVERSE, size, price) == shadow.down(-coins(size) / coins(price))


@given(sizes, prices, st.integers(0, BPS))
def test_shares_of_a_notional_are_ceiled_in_coin(size: int, price: int, bps: int) -> None:
    exact = abs(coins(size)) / coins(price)
    assert rated(INVERSE, size, price, bps) == shadow.up(exact * bps / BPS)
    assert notional(INVERSE, size, price) == shadow.up(exact * W)
    assert notional_down(INVERSE, size, price) == shadow.down(exact)
    assert quote_notional(INVERSE, size, price) == abs(size) * W
    assert open_notional(INVERSE, open_interest=abs(size), price=price) == abs(size)


@given(sizes, prices, st.integers(0, 10**20), st.integers(0, 10**6), st.integers(1, 10**6))
def test_margin_grows_with_open_interest_to_the_whole_notional(
    size: int, price: int, interest: int, lower: int, width: int
) -> None:
    share = min(max((coins(interest) - lower) / width, Fraction(0)), Fraction(1))
    due = abs(coins(size)) / coins(price) * (Fraction(1, 10) + share * Fraction(9, 10))
    got = scaled_im(INVERSE, size=size, price=price, im_bps=1_000, open_interest=interest, lower=lower,
                    cap=lower + width)
    assert got == shadow.up(due)


@given(st.integers(0, 10**15), prices)
def test_a_profit_cap_in_quote_is_so_much_coin_as_it_buys(cap: int, price: int) -> None:
    assert profit_limit(INVERSE, cap, price) == shadow.down(cap / coins(price))


@given(st.lists(st.tuples(sizes, prices), min_size=1, max_size=6))
def test_both_legs_together_never_gain_and_lose_a_wei_a_rounding(trades: list[tuple[int, int]]) -> None:
    """R0, R3: n is floored on each side, whether they open, reduce or flip."""
    held = {1: (0, 0), -1: (0, 0)}
    total = roundings = 0
    for change, price in trades:
        for sign in (1, -1):
            size, cost = held[sign]
            leg = future_leg(size=size, notional=cost, change=sign * change, price=price, kind=INVERSE)
            assert leg.credited == leg.cash_delta - (leg.notional - cost)
            held[sign] = (leg.size, leg.notional)
            total, roundings = total + leg.credited, roundings + leg.roundings
    assert held[1][0] == -held[-1][0]
    assert -roundings <= total <= 0


@given(st.integers(1, 10**24), prices, prices)
def test_a_round_trip_is_the_difference_of_two_reciprocals_less_two_wei_at_most(size: int, p: int, q: int) -> None:
    opened = future_leg(size=0, notional=0, change=size, price=p, kind=INVERSE)
    closed = future_leg(size=size, notional=opened.notional, change=-size, price=q, kind=INVERSE)
    exact = coins(size) * (1 / coins(p) - 1 / coins(q))
    assert closed.size == closed.notional == 0
    assert -2 <= closed.cash_delta - exact * W <= 0


def account(collateral: Fraction, size: int, price: int, params: VenueParams = FAST) -> Run:
    """Alice, with so much coin in a pool, trades that many contracts at that price with a rich maker."""
    run = Run(params).block().price(price).coin_pool().list_series(4, expires_in=60).terms(pool=1)
    run.deposit_coin("alice", int(collateral * W)).deposit_coin("maker", 10**9 * W)
    return run.trade("alice@1", "maker@1", size, price)


def equity(run: Run) -> Fraction:
    return coins(run.venue.margin(address("alice@1")).equity)


FREE = replace(FAST, taker_fee_bps=0)


@pytest.mark.parametrize(("contracts", "entry", "leaving", "profit"), [
    (1_000, 600, 700, "0.238095"),      # Deribit, "Example (futures)": 100 contracts of 10 USD
    (60_000, 600, 700, "14.286"),       # BitMEX's guide, as R. N. Romano repeats it on Medium: long at 600
    (60_000, 600, 500, "-20"),          # the same; the loss is the larger, for the same hundred dollars
    (-16_000, 8_000, 10_000, "-0.4"),   # Romano: a short of once its collateral, two coins at 8 000, is 16 000 USD
    (-16_000, 8_000, 5_000, "1.2"),
])
def test_published_profits_of_inverse_contracts(contracts: int, entry: int, leaving: int, profit: str) -> None:
    """Marked at the new price, realised by trade, and settled at it: each to the digits that were published."""
    digits = len(profit.partition(".")[2])
    marked = account(Fraction(10**6), contracts, entry, FREE).block().price(leaving)
    assert round(equity(marked) - 10**6, digits) == Fraction(profit)
    marked.trade("alice@1", "maker@1", -contracts, leaving)
    cash = marked.venue.book.account(address("alice@1")).cash
    assert round(coins(cash) - 10**6, digits) == Fraction(profit)
    kept = account(Fraction(10**6), contracts, entry, FREE).blocks(60, price=leaving).block().finalize(1)
    kept.settle("alice@1", 1)
    assert round(coins(kept.venue.book.account(address("alice@1")).cash) - 10**6, digits) == Fraction(profit)


def test_deribits_fee_and_margin_of_a_thousand_dollars() -> None:
    """Deribit, "Example (futures)": both takers at 0.05 % pay 0.5/600 and 0.5/700 BTC; 4 % margin are 40/600 BTC.

    (The page prints the second fee as 0.00071425 and the margin as 0.0666; the fractions beside them are exact.)
    """
    run = account(Fraction(1), 1_000, 600).block().price(700).trade("alice@1", "maker@1", -1_000, 700)
    fees = run.venue.book.ledgers[1].fees
    assert fees == shadow.up(Fraction(1, 1_200)) + shadow.up(Fraction(1, 1_400))
    need = requirement(INVERSE, strike=0, size=1_000 * W, price=600 * W, params=replace(FAST, im_bps=400))
    assert need.im == shadow.up(Fraction(40, 600))


def test_a_short_of_its_whole_collateral_keeps_its_dollars() -> None:
    """Romano: two coins and 16 000 contracts short from 8 000 are 16 000 USD at 10 000 and at 5 000."""
    for price in (10_000, 5_000, 1, 10**7):
        run = account(Fraction(2), -16_000, 8_000, FREE).block().price(price)
        assert abs(equity(run) * price - 16_000) < Fraction(1, 10**10)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from((1, -1)), st.integers(1, 10**6), st.integers(100, 10**5), st.integers(2, 400))
def test_formula_6_is_where_an_inverse_account_falls_due(side: int, size: int, price: int, over: int) -> None:
    """Long n(1+m)/(C + n/P_e), short n(1−m)/(n/P_e − C), never where C ≥ n/P_e: due just beyond, not just before."""
    collateral = Fraction(size, price) * (Fraction(1, 10) + Fraction(over, 100)) + Fraction(1, 10**6)
    run = account(collateral, side * size, price, FREE)
    book, held = run.venue.book, run.venue.book.holding(address("alice@1"))
    cash, entry, m = coins(held.cash), Fraction(size, price), Fraction(FAST.mm_bps, BPS)
    if side < 0 and cash >= entry:
        assert not book.margin_at(held, {"ETH": 10**30}).is_liquidatable
        return
    due = size * (1 + m) / (cash + entry) if side > 0 else size * (1 - m) / (entry - cash)
    assume(due < 10**9)
    for beyond in (Fraction(1, 10**6), -Fraction(1, 10**6)):
        at = int(due * (1 - side * beyond) * W)
        assert book.margin_at(held, {"ETH": at}).is_liquidatable is (beyond > 0)


@pytest.mark.parametrize("side", [1, -1])
def test_an_accounts_life_agrees_with_fractions_to_a_wei_a_rounding(side: int) -> None:
    """Opened in two parts, reduced, flipped and closed; equity is C + Σ n(1/P_e − 1/P) at each step."""
    run = account(Fraction(100), side * 1_003, 997, FREE)
    exact, size, roundings = Fraction(100) + Fraction(side * 1_003, 997), side * 1_003, 1
    for change, price in ((side * 777, 1_013), (-side * 991, 1_009), (-side * 2_003, 1_021), (side * 1_214, 1_031)):
        run.block().price(price).trade("alice@1", "maker@1", change, price)
        exact, size, roundings = exact + Fraction(change, price), size + change, roundings + 2
        due = exact - Fraction(size, price)
        assert 0 <= due - equity(run) <= Fraction(roundings + 1, W)
    assert size == 0
