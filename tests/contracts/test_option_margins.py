"""The two other option margins: relief within an expiry (Derive), and naked by time left (Opyn); figures by hand."""

from __future__ import annotations

import pytest

from harness.evm.accounts import KEEPERS, MAKER, OWNER
from harness.venue import exchange as ex
from tests.contracts.conftest import T0, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL = 100, 101, 102
KEEPER = KEEPERS[0]
RELIEF, NAKED = 1, 2
STEP = 10


def _list(venue: Venue, kind: str, strike: int, margin: int, *, expires: int = 3_600) -> int:
    data = ex.encode_list_series_with(ex.KINDS[kind], "ETH", strike * W, T0 + expires, (margin, 0, 0, 0, 0))
    return int(venue.ok(OWNER, "clearing_house", data).one("SeriesListed")["id"])


def _to(venue: Venue, price: int) -> None:
    """The next second, with this price."""
    venue.now += 1
    venue.observe(price * W)


def _margins(venue: Venue, who: int = ALICE) -> tuple[int, int]:
    return venue.of(who).im, venue.of(who).mm


def test_single_relief_options_need_derives_rows(market: Venue) -> None:
    """Alone, a short call needs 15 % less what it is out of the money and at least 13 %, and 9 %; a deep put 9 % of its value."""
    call, put = _list(market, "call", 2000, RELIEF), _list(market, "put", 2000, RELIEF)
    market.deposit(ALICE, 10_000)
    market.trade(ALICE, call, -W, 0)
    assert _margins(market) == (300 * W, 180 * W)
    _to(market, 1900)                      # max(285 − 100, 247), 171
    assert _margins(market) == (247 * W, 171 * W)
    _to(market, 2100)                      # 100 + 315, 100 + 189
    assert _margins(market) == (415 * W, 289 * W)
    market.trade(ALICE, call, W, 0)
    market.trade(ALICE, put, -W, 0)        # max(315 − 100, 273), 189
    assert _margins(market) == (273 * W, 189 * W)


def test_spread_needs_no_more_than_it_can_lose(market: Venue) -> None:
    """Short the 2000 call, long the 2100 call: at most 100 is lost, and nothing at infinity."""
    low, high = _list(market, "call", 2000, RELIEF), _list(market, "call", 2100, RELIEF)
    market.deposit(ALICE, 10_000)
    market.trade(ALICE, low, -W, 0)
    market.trade(ALICE, high, W, 0)
    assert _margins(market) == (100 * W, 100 * W)
    # Ratio spread: two short against one long. At 2100 it loses 200, and one call is unpaired: 200 + 1.2 · 2000; alone 600.
    market.trade(ALICE, low, -W, 0)
    assert _margins(market) == (600 * W, 360 * W)


def test_put_spread_straddle_and_box(market: Venue) -> None:
    """The worst payoff lies at price 0 for puts; a box cannot lose; longs are never more than cover."""
    puts = {strike: _list(market, "put", strike, RELIEF) for strike in (1900, 2000)}
    calls = {strike: _list(market, "call", strike, RELIEF) for strike in (1900, 2000)}
    market.deposit(ALICE, 10_000)
    market.trade(ALICE, puts[2000], -W, 0)
    market.trade(ALICE, puts[1900], W, 0)
    assert _margins(market) == (100 * W, 100 * W)
    market.trade(ALICE, calls[1900], -W, 0)   # now unpaired: 1.2 · 2000 + worst payoff 100, or 300 + 100 + 300 alone
    assert _margins(market) == ((300 + 400) * W, (180 + 280) * W)
    market.trade(ALICE, calls[2000], W, 0)    # short box: owes 100 wherever it ends
    assert _margins(market) == (100 * W, 100 * W)


def test_other_expiries_and_other_margins_give_no_relief(market: Venue) -> None:
    """A later call does not cover an earlier one; nor does one that is margined in the standard way."""
    short = _list(market, "call", 2000, RELIEF)
    later = _list(market, "call", 2000, RELIEF, expires=7_200)
    market.deposit(ALICE, 10_000)
    market.trade(ALICE, short, -W, 0)
    for series in (later, 2):                 # 2 is the standard call struck at 2000
        market.trade(ALICE, series, W, 0)
        assert _margins(market) == (300 * W, 180 * W)
    same = _list(market, "call", 2000, RELIEF)
    market.trade(ALICE, same, W, 0)
    assert _margins(market) == (0, 0)


def test_covering_leg_may_not_be_sold_from_under_a_short(market: Venue) -> None:
    """Relief ends with what gave it: an account that cannot carry the short alone keeps the long."""
    low, high = _list(market, "call", 2000, RELIEF), _list(market, "call", 2100, RELIEF)
    market.deposit(ALICE, 110)
    assert market.trade(ALICE, high, W, 0).error == ""
    assert market.trade(ALICE, low, -W, 0).error == ""
    refused = market.trade(ALICE, high, -W, 0)
    assert refused.error == f"InsufficientMargin(equity={107 * W},required={300 * W})"


def test_spread_below_its_margin_is_cut_back_and_stays_paired(market: Venue) -> None:
    """Liquidation takes the same part of both legs, and what it leaves needs its part of the margin."""
    low, high = _list(market, "call", 2000, RELIEF), _list(market, "call", 2100, RELIEF)
    market.deposit(ALICE, 1_221)
    market.deposit(KEEPER, 100_000)
    assert market.trade(ALICE, high, 10 * W, 0).error == ""
    assert market.trade(ALICE, low, -10 * W, 0).error == ""
    assert market.trade(ALICE, 1, W, 2000 * W).error == ""
    assert (market.of(ALICE).equity, *_margins(market)) == (1_200 * W, 1_200 * W, 1_125 * W)
    market.system()
    _to(market, 1800)
    assert (market.of(ALICE).equity, *_margins(market)) == (1_000 * W, 1_180 * W, 11125 * W // 10)
    # num = 1180 − 1000, den = 1180 − 2.5 % of 21 · 1800: 0.7659… of each, up to a lot.
    cut = market.liquidate(KEEPER, ALICE)
    assert [event.args["size"] for event in cut.events if event.name == "PositionTransferred"] == [
        766 * 10**15, -7660 * 10**15, 7660 * 10**15
    ]
    left = market.of(ALICE)
    assert left.im == (1000 * 234 + 180 * 234) * W // 1000
    assert left.equity >= left.im


@pytest.mark.parametrize(
    ("kind", "strike", "price", "left", "need"),
    [
        # Opyn's own vectors: GammaProtocol test/unit-tests/marginCalculatorNakedMargin.test.ts at 116aaf66, U and shock as there.
        ("put", 100, 150, 1, 16_780_000_000_000_000_000),                     # "$16.78": U · 100
        ("call", 2500, 1800, 1, 1800 * 167_800_000_000_000_000),              # "0.1678 ETH" of collateral
        # By hand: put K = 2000 at 2000: .237 · 1500 + 500; call: .3326 · 1500 + 500; all of the strike beyond the table.
        ("put", 2000, 2000, 2, 8555 * W // 10),
        ("call", 2000, 2000, 4, 9989 * W // 10),
        ("call", 2000, 2000, 6, 11048 * W // 10),
        ("put", 2000, 2000, 8, 119045 * W // 100),
        ("put", 2000, 2000, 9, 2000 * W),
    ],
)
def test_naked_options_need_opyns_bound(
    venue: Venue, kind: str, strike: int, price: int, left: int, need: int
) -> None:
    """`left` rows before expiry, to the second; initial and maintenance margin are one number."""
    venue.observe(price * W)
    series = _list(venue, kind, strike, NAKED, expires=1_000)
    for who in (ALICE, MAKER):
        venue.deposit(who, 1_000_000)
    venue.now = T0 + 1_000 - left * STEP
    venue.observe(price * W)
    assert venue.trade(ALICE, series, -W, 0).error == ""
    assert _margins(venue) == (need, need)


def test_naked_margin_steps_down_at_its_rows_and_holds_to_the_end(market: Venue) -> None:
    """The row of its end includes it: 10 s before expiry is the first row, 11 s the second; after expiry the first."""
    series = _list(market, "call", 2000, NAKED, expires=1_000)
    market.deposit(ALICE, 10_000)
    market.now = T0 + 989
    market.observe(2000 * W)
    assert market.trade(ALICE, series, -W, 0).error == ""
    assert _margins(market)[0] == (2370 * 1500 + 500 * 10_000) * W // 10_000
    market.now = T0 + 990
    market.observe(2000 * W)
    assert _margins(market)[0] == (1678 * 1500 + 500 * 10_000) * W // 10_000
    market.now = T0 + 1_005
    market.observe(2000 * W)
    assert _margins(market)[0] == (1678 * 1500 + 500 * 10_000) * W // 10_000


def test_naked_requirement_is_ceiled_and_one_wei_is_a_wei(market: Venue) -> None:
    """A requirement rounded down would be nothing for dust, and an account at its boundary a wei short."""
    series = _list(market, "put", 2000, NAKED)
    market.deposit(ALICE, 10)
    assert market.trade(ALICE, series, -1, 0).error == ""
    assert _margins(market) == (2000, 2000)
    market.now += 1
    market.observe(2000 * W + 1)
    market.now += 1
    assert market.trade(ALICE, series, -1, 0).error == ""
    assert _margins(market)[0] == 4000
