"""Figures that other venues published, reproduced to the precision in which they are stated.

Facts and numbers only, each with where it stands; the terms are ours, so that a figure checks the arithmetic beneath:
payoffs, profit and loss, funding, and the price at which a margined position falls due.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.margin import Kind, payoff, requirement, scaled_im
from harness.model.params import FAST, MAINNET_LIKE, VenueParams
from harness.model.spot import SpotPool
from tests.checks.builder import Run, address

W = 10**18


def settled_at(kind: Kind, strike: int, price: int) -> int:
    """What one unit of an option pays its holder, through listing, trade, average and settlement."""
    run = Run().block().price(price).list_series(int(kind), expires_in=20, strike=strike)
    run.deposit("holder", 10**6).deposit("writer", 10**6).trade("holder", "writer", 1, 0)
    run.blocks(20, price=price).block().finalize(1)
    before = run.venue.book.account(address("holder")).cash
    run.settle("holder")
    return run.venue.book.account(address("holder")).cash - before


@pytest.mark.parametrize(
    ("kind", "price", "pays"),
    [
        (Kind.CALL, 12_500, 2_500),      # Example 1: "expire with a value of 2,500 USD"
        (Kind.PUT, 5_000, 5_000),        # Example 2: "a value of 5000 USD"
        (Kind.PUT, 10_001, 0),           # Example 3: "The option expires worthless"
        (Kind.CALL, 9_999, 0),           # Example 4
    ],
)
def test_deribits_four_examples_of_an_option_at_expiry(kind: Kind, price: int, pays: int) -> None:
    """Deribit, "Options", §2: strike 10 000 USD (testapp.deribit.com/pages/docs/options)."""
    assert settled_at(kind, 10_000, price) == pays * W


@pytest.mark.parametrize(
    ("kind", "price", "pays"), [(Kind.PUT, 200, 50), (Kind.CALL, 150, 0), (Kind.PUT, 300, 0), (Kind.CALL, 300, 50)]
)
def test_opyns_cash_values_of_an_expired_otoken(kind: Kind, price: int, pays: int) -> None:
    """opynfinance/GammaProtocol test/unit-tests/marginCalculator.test.ts, "Get cash value": strike 250."""
    assert settled_at(kind, 250, price) == pays * W
    assert payoff(kind, strike=250 * W, settlement_price=price * W) == pays * W


@pytest.mark.parametrize(
    ("trader", "mark", "traded", "profit"),
    [
        ("bob", 1600, 0, 100), ("bob", 1400, 0, -100),                             # unrealised
        ("bob", 1600, 1, 100), ("bob", 1600, -1, 100), ("bob", 1400, -1, -100),    # increased, closed
        ("bob", 1600, Fraction(-1, 2), 100), ("bob", 1400, Fraction(-1, 2), -100),  # closed by half
        ("bob", 1400, -2, -100),                                                   # from long to short
        ("alice", 1600, -1, -100), ("alice", 1400, 1, 100), ("alice", 1600, 1, -100),
        ("alice", 1400, Fraction(1, 2), 100), ("alice", 1600, Fraction(1, 2), -100), ("alice", 1600, 2, -100),
    ],
)
def test_derives_profit_and_loss_of_a_perpetual(trader: str, mark: int, traded: int | Fraction, profit: int) -> None:
    """derivexyz/v2-core test/assets/perpAsset/unit-tests/PNL.sol: Bob long, Alice short one contract from 1 500."""
    run = Run(replace(FAST, taker_fee_bps=0)).block().price(1500).list_series(3)
    for name in ("alice", "bob", "charlie"):
        run.deposit(name, 100_000)
    run.trade("bob", "alice", 1, 1500).block().price(mark)
    before = run.venue.book.feed("ETH").price
    if traded:
        run.trade(trader, "charlie", 0, mark, size_wad=int(traded * W))
    assert before == mark * W
    assert run.venue.margin(address(trader)).equity - 100_000 * W == profit * W


EIGHT_HOURS = replace(
    MAINNET_LIKE, funding_period_s=28_800, premium_window_s=60, funding_interest_bps=0, funding_cap_bps=600,
    taker_fee_bps=0, band_bps=2_000,
)
"""Derive quotes a rate per hour, an eighth of the premium, capped at 0.75 %; per eight hours the cap is 6 %."""


def funded(params: VenueParams, premium: int) -> Run:
    """Spot 1 500; bob long one of alice at so much above it, until the window of that trade is over."""
    run = Run(params).block().price(1500).list_series(3).deposit("alice", 100_000).deposit("bob", 100_000)
    run.trade("bob", "alice", 1, 1500 + premium)
    for _ in range(6):
        run.block(dt=10).price(1500)
    return run.accrue(1).settle_funding("bob", 1).settle_funding("alice", 1)


@pytest.mark.parametrize(("premium", "hourly"), [(6, "0.0005"), (200, "0.0075"), (-6, "-0.0005"), (-200, "-0.0075")])
def test_derives_hourly_funding_rates_and_their_cap(premium: int, hourly: str) -> None:
    """derivexyz/v2-core test/assets/perpAsset/unit-tests/Funding.sol: rates 0.0005 and 0.0075 an hour."""
    market = funded(EIGHT_HOURS, premium).venue.book.series[1].perpetual
    assert market is not None
    assert Fraction(market.rate, 8 * W) == Fraction(hourly)


@pytest.mark.parametrize("sign", [1, -1])
def test_derives_hour_of_funding_of_one_contract(sign: int) -> None:
    """The same file: after an hour at 0.05 % on 1 500 the short has received, the long paid, 0.75."""
    run = funded(EIGHT_HOURS, 6 * sign)
    for _ in range(360):  # nobody trades or accrues, so the rate stays as it was set
        run.block(dt=10).price(1500)
    hour = {name: run.venue.book.pending_funding(address(name)) for name in ("alice", "bob")}
    assert hour == {"alice": sign * 75 * W // 100, "bob": -sign * 75 * W // 100}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from((1, -1)), st.integers(1, 50), st.integers(500, 5_000), st.integers(1, 400), st.integers(50, 1_250)
)
def test_hyperliquids_formula_is_where_our_account_falls_due(
    side: int, size: int, price: int, extra: int, mm_bps: int
) -> None:
    """Hyperliquid docs, "Liquidations": liq_price = price − side · margin_available / position_size / (1 − l · side),
    with l the maintenance fraction and, for cross, margin_available = account value − maintenance margin required.

    Our account must be healthy at that price and due a few wei beyond (each amount is rounded on its own).
    """
    params = replace(FAST, mm_bps=mm_bps)
    run = Run(params).block().price(price).list_series(0, expires_in=500)
    run.deposit("alice", size * price * 13 // 100 + extra).deposit("maker", 10**9)
    run.trade("alice", "maker", side * size, price)
    book = run.venue.book
    margin = run.venue.margin(address("alice"))
    maintenance = Fraction(mm_bps, 10_000)
    available = Fraction(margin.equity, W) - size * price * maintenance
    due = price - side * available / size / (1 - maintenance * side)
    held = book.holding(address("alice"))
    for off, expected in ((4, False), (-4, True)):
        at = int(due * W) + side * off
        if at <= 0:
            return
        assert book.margin_at(held, {"ETH": at}).is_liquidatable is expected


@pytest.mark.parametrize(
    ("kind", "strike", "index", "initial", "maintenance"),
    [
        # 1.5 short, index 30 000: max(0.15·S − OTM, 0.1·S) + mark and 0.075·S + mark, mark at intrinsic value.
        (Kind.CALL, 30_000, 30_000, 6_750, 3_375),
        (Kind.CALL, 31_000, 30_000, 5_250, 3_375),
        (Kind.CALL, 40_000, 30_000, 4_500, 3_375),
        (Kind.CALL, 28_000, 30_000, 9_750, 6_375),
        (Kind.PUT, 30_000, 30_000, 6_750, 3_375),
        (Kind.PUT, 29_000, 30_000, 5_250, 3_375),
        (Kind.PUT, 20_000, 30_000, 4_500, 3_375),
        (Kind.PUT, 33_000, 30_000, 11_250, 7_875),
        # So deep that 7.5 % of the mark is more than 15 % of the index, and the maintenance is the initial margin.
        (Kind.PUT, 120_000, 30_000, 145_125, 145_125),
    ],
)
def test_the_standard_margin_of_usd_margined_options(
    kind: Kind, strike: int, index: int, initial: int, maintenance: int
) -> None:
    """BIT help centre, "Margin Rules for USD Margined Options", BTCUSD rows; Deribit's and Aevo's tables are the same
    but for Aevo's maintenance of 10 %."""
    need = requirement(kind, strike=strike * W, size=-3 * W // 2, price=index * W, params=FAST)
    assert tuple(need) == (initial * W, maintenance * W)


@pytest.mark.parametrize(
    ("amount", "into", "out_of", "gives"),
    [
        (1, 5, 10, 1662497915624478906), (1, 10, 5, 453305446940074565), (2, 5, 10, 2851015155847869602),
        (2, 10, 5, 831248957812239453), (1, 10, 10, 906610893880149131), (1, 100, 100, 987158034397061298),
        (1, 1000, 1000, 996006981039903216),
    ],
)
def test_uniswaps_swaps_to_the_last_digit(amount: int, into: int, out_of: int, gives: int) -> None:
    """Uniswap/v2-core test/UniswapV2Pair.spec.ts, `swapTestCases`: whole tokens in and in the pool, 0.3 % of fee.

    A wei more of output reverts there, so each figure is the exact floor.
    """
    for buys, (underlying, quote) in ((True, (out_of, into)), (False, (into, out_of))):
        pool = SpotPool(underlying=underlying * W, quote=quote * W, shares=1)
        assert pool.amount_out(buys=buys, amount_in=amount * W) == gives


@pytest.mark.parametrize(
    ("im_bps", "notional", "open_interest", "lower", "upper", "initial"),
    [
        (2_000, 500_000, 1_500_000_000_000, 1_000_000_000_000, 2_000_000_000_000, 300_000),
        (2_000, 500_000, 80_000_000_000_000, 25_000_000_000_000, 50_000_000_000_000, 500_000),
        (2_000, 500_000, 25_000_000_000_000, 25_000_000_000_000, 50_000_000_000_000, 100_000),
        (2_000, 500_000, 28_123_456_789_123, 25_000_000_000_000, 60_000_000_000_000, 135_697),
        (2_000, 1_000_000, 1_500_000, 1_000_000, 2_000_000, 600_000),
        (2_000, 1_000_000, 1_234_567, 1_000_000, 2_000_000, 387_654),   # "0.387_653_6", of which we take the ceiling
        (2_000, 1_000_000, 2_500_000, 1_000_000, 2_000_000, 1_000_000),
        (1_000, 1, 0, 1, 2, 1),                                         # "0.1 -> round up to 1"
    ],
)
def test_dydxs_initial_margin_by_open_interest(
    im_bps: int, notional: int, open_interest: int, lower: int, upper: int, initial: int
) -> None:
    """dydxprotocol/v4-chain protocol/x/perpetuals/types/liquidity_tier_test.go, TestGetInitialMarginQuoteQuantums and
    TestGetAdjustedInitialMarginPpm: to the whole quote quantum, rounded up (theirs down where it is a rate in ppm)."""
    need = scaled_im(
        Kind.FUTURE, size=notional, price=W, im_bps=im_bps, open_interest=open_interest * W, lower=lower, cap=upper
    )
    assert need == initial
