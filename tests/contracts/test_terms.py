"""A series' terms: how much may be open, what opening costs as it fills, and what profit may be opened against."""

from __future__ import annotations

import pytest

from harness.evm.accounts import KEEPERS, OWNER
from harness.venue import exchange as ex
from tests.contracts.conftest import T0, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL = 100, 101, 102
KEEPER = KEEPERS[0]


def _list(venue: Venue, kind: str, **terms: int) -> int:
    """A series of ETH on terms; its id."""
    return int(venue.ok(OWNER, "clearing_house", _listing(kind, **terms)).one("SeriesListed")["id"])


def _listing(kind: str, *, strike: int = 0, **terms: int) -> bytes:
    given = tuple(terms.get(name, 0) for name in ("option_margin", "pool", "oi_lower", "oi_cap", "profit_cap"))
    expiry = ex.NEVER if kind == "perpetual" else T0 + 3_600
    return ex.encode_list_series_with(ex.KINDS[kind], "ETH", strike, expiry, given)


def test_terms_are_told_after_the_listing_and_only_when_there_are_any(market: Venue) -> None:
    """The model knows terms from this event alone; a series without is told as ever."""
    told = market.ok(OWNER, "clearing_house", _listing("call", strike=W, option_margin=2, oi_lower=3, oi_cap=4, profit_cap=5))
    assert [event.name for event in told.events] == ["SeriesListed", "TermsSet"]
    assert told.one("TermsSet") == {
        "seriesId": 4, "optionMargin": 2, "pool": 0, "oiLower": 3, "oiCap": 4, "profitCap": 5
    }
    plain = market.ok(OWNER, "clearing_house", _listing("call", strike=W))
    assert [event.name for event in plain.events] == ["SeriesListed"]
    assert market.ask("clearing_house", "terms", 4)[0] == (2, 0, 3, 4, 5)


@pytest.mark.parametrize(
    ("kind", "terms", "error"),
    [
        ("call", {"strike": W, "option_margin": 3}, "UnknownOptionMargin(optionMargin=3)"),
        ("future", {"option_margin": 1}, "UnknownOptionMargin(optionMargin=1)"),
        ("future", {"oi_lower": 1}, "LimitsOutOfRange(oiLower=1,oiCap=0,profitCap=0)"),
        ("future", {"oi_cap": 10**15 + 1}, f"LimitsOutOfRange(oiLower=0,oiCap={10**15 + 1},profitCap=0)"),
        ("future", {"profit_cap": 10**15 + 1}, f"LimitsOutOfRange(oiLower=0,oiCap=0,profitCap={10**15 + 1})"),
    ],
)
def test_terms_that_make_no_sense_are_refused(venue: Venue, kind: str, terms: dict[str, int], error: str) -> None:
    """By name and with what was asked; no series is listed."""
    assert venue.send(OWNER, "clearing_house", _listing(kind, **terms)).error == error
    assert venue.state().series == ()


def test_only_the_owner_lists_on_terms(venue: Venue) -> None:
    refused = venue.send(ALICE, "clearing_house", _listing("future", oi_cap=1))
    assert refused.error.startswith("OwnableUnauthorizedAccount(")


def test_open_interest_may_reach_its_cap_and_not_pass_it_by_a_wei(market: Venue) -> None:
    """Cap 4000 at 2000 is two units. What closes is never refused, nor what changes hands at the cap."""
    capped = _list(market, "perpetual", oi_cap=4_000)
    for who in (ALICE, BOB, CAROL):
        market.deposit(who, 100_000)
    assert market.trade(ALICE, capped, 2 * W, 2000 * W).error == ""
    # One wei of size is 2000 wei of notional more.
    refused = market.trade(BOB, capped, 1, 2000 * W)
    assert refused.error == f"OpenInterestCapped(id={capped},notional={4000 * W + 2000},cap={4000 * W})"
    # The price doubles: twice the cap is open, and nobody is stopped from leaving or from taking over.
    for price in (2150 * W, 2300 * W, 2500 * W, 2700 * W, 2900 * W, 3150 * W, 3400 * W, 3700 * W, 4000 * W):
        market.now += 1
        market.observe(price)
    assert market.trade(ALICE, capped, -W // 2, 4000 * W).error == ""
    assert market.trade(BOB, capped, W // 2, 4000 * W, maker=ALICE).error == ""
    assert market.trade(CAROL, capped, W // 2, 4000 * W).error.startswith("OpenInterestCapped(")
    assert market.trade(ALICE, capped, -W, 4000 * W).error == ""
    assert market.state().series[capped - 1].open_interest == W // 2


def test_initial_margin_grows_with_open_interest_and_maintenance_margin_does_not(market: Venue) -> None:
    """From 10 % at 2000 open to the whole notional at 10 000: half way, at 6000, it is 55 %."""
    scaled = _list(market, "future", oi_lower=2_000, oi_cap=10_000)
    for who in (ALICE, BOB):
        market.deposit(who, 100_000)
    for size, im in ((W, 200 * W), (2 * W, 2 * 2000 * W * 325 // 1000), (3 * W, 3 * 2000 * W * 55 // 100), (5 * W, 10_000 * W)):
        held = market.of(ALICE).positions
        assert market.trade(ALICE, scaled, size - (held[0].size if held else 0), 2000 * W).error == ""
        assert (market.of(ALICE).im, market.of(ALICE).mm) == (im, size * 125)
    # One who does nothing needs more to open once others have.
    assert market.trade(ALICE, scaled, -4 * W, 2000 * W).error == ""
    assert market.of(ALICE).im == 200 * W
    assert market.trade(BOB, scaled, 2 * W, 2000 * W).error == ""
    assert market.of(ALICE).im == 2000 * W * 55 // 100


def test_scaled_margin_is_ceiled_once(market: Venue) -> None:
    """X35's boundary: the requirement rounds up, and an equity one native unit short of it is refused."""
    scaled = _list(market, "future", oi_lower=1, oi_cap=4)
    market.deposit(BOB, 100)
    market.observe(2000 * W + 1, timestamp=_later(market))
    size = W // 1000 + 1
    notional = size * (2000 * W + 1)                     # 1e36
    into = notional // W - W
    need = -(-notional * (1000 * 3 * W + 9000 * into) // (10_000 * W * 3 * W))
    fee = -(-notional * 5 // (10_000 * W))
    gain = notional // W - -(-size * 2000 * W // W)      # bought at 2000, worth a wei more
    assert market.trade(BOB, scaled, size, 2000 * W).error == ""
    assert market.of(BOB).im == need
    assert market.trade(BOB, scaled, -size, 2000 * W).error == ""
    enough = -(-(need + fee - gain) // 10**12)
    market.ok(ALICE, "vault", ex.encode_deposit(enough - 1))
    refused = market.trade(ALICE, scaled, size, 2000 * W)
    assert refused.error == f"InsufficientMargin(equity={(enough - 1) * 10**12 - fee + gain},required={need})"
    market.ok(ALICE, "vault", ex.encode_deposit(1))
    assert market.trade(ALICE, scaled, size, 2000 * W).error == ""


def test_under_scaled_margin_one_may_still_reduce(market: Venue) -> None:
    """OI scaling can put an account below its initial margin by what others do; it must be able to leave."""
    scaled = _list(market, "future", oi_lower=2_000, oi_cap=10_000)
    market.deposit(ALICE, 300)
    market.deposit(BOB, 100_000)
    assert market.trade(ALICE, scaled, W, 2000 * W).error == ""
    assert market.trade(BOB, scaled, 3 * W, 2000 * W).error == ""
    held = market.of(ALICE)
    assert held.mm < held.equity < held.im
    assert not market.liquidatable(ALICE)
    assert market.trade(ALICE, scaled, 10**15, 2000 * W).error.startswith("InsufficientMargin(")
    assert market.trade(ALICE, scaled, -W // 2, 2000 * W).error == ""
    assert market.trade(ALICE, scaled, -W // 2, 2000 * W).error == ""


def test_liquidation_aims_at_the_unscaled_margin_and_asks_no_more_of_its_keeper(market: Venue) -> None:
    """Where everything is open, scaled margin would have a keeper bring the whole notional and take nearly all."""
    scaled = _list(market, "future", oi_lower=2_000, oi_cap=10_000)
    market.deposit(BOB, 100_000)
    market.deposit(ALICE, 201)
    market.deposit(KEEPER, 120)
    assert market.trade(ALICE, scaled, W, 2000 * W).error == ""
    assert market.trade(BOB, scaled, 4 * W, 2000 * W).error == ""
    market.system()
    market.observe(1900 * W, timestamp=_later(market))
    held = market.of(ALICE)
    assert held.equity == 100 * W and held.mm == 11875 * W // 100
    cut = market.liquidate(KEEPER, ALICE)
    assert cut.error == ""
    # num = 190 − 100, den = 190 − 47.5: 0.6316 of it, up to a lot.
    assert cut.one("PositionTransferred")["size"] == 632 * 10**15
    assert market.of(ALICE).equity >= 190 * W * 368 // 1000
    assert market.of(KEEPER).equity < market.of(KEEPER).im


def test_unrealised_profit_is_credit_for_opening_only_up_to_its_cap(market: Venue) -> None:
    """M7 at its boundary: profit 1000, of which 100 count; equity 300 + 100 opens what needs 400 and not a wei more."""
    capped = _list(market, "future", profit_cap=100)
    market.deposit(ALICE, 301)
    assert market.trade(ALICE, capped, W, 2000 * W).error == ""
    for price in (2150 * W, 2300 * W, 2500 * W, 2700 * W, 2900 * W, 3000 * W):
        market.observe(price, timestamp=_later(market))
    assert market.of(ALICE).equity == 1300 * W
    # Margin of one unit is 300 now. The fee of size x in the other future is 1.5 x: 400 − 300 = 301.5 x.
    size = 100 * W * 1000 // 301_500
    assert market.trade(ALICE, 1, size + 1000, 3000 * W).error.startswith("InsufficientMargin(equity=39")
    assert market.trade(ALICE, 1, size, 3000 * W).error == ""
    # A loss counts whole, and maintenance margin is judged with all of the profit.
    market.observe(2800 * W, timestamp=_later(market))
    assert not market.liquidatable(ALICE)


def test_realised_profit_is_money(market: Venue) -> None:
    """The cap is on credit against what the market may take back, not on what it has paid."""
    capped = _list(market, "future", profit_cap=100)
    market.deposit(ALICE, 301)
    assert market.trade(ALICE, capped, W, 2000 * W).error == ""
    for price in (2150 * W, 2300 * W, 2500 * W):
        market.observe(price, timestamp=_later(market))
    assert market.trade(ALICE, capped, -W, 2500 * W).error == ""
    assert market.trade(ALICE, 1, 3 * W, 2500 * W).error == ""


def test_keeper_is_judged_by_credited_equity(market: Venue) -> None:
    """A keeper's own paper profit does not let it take over what it could not carry."""
    capped = _list(market, "future", profit_cap=1)
    market.deposit(KEEPER, 202)
    market.deposit(ALICE, 205)
    assert market.trade(KEEPER, capped, W, 2000 * W).error == ""
    for price in (2150 * W, 2200 * W):
        market.observe(price, timestamp=_later(market))
    assert market.trade(ALICE, 1, -W * 92 // 100, 2200 * W).error == ""
    market.system()
    market.observe(2300 * W, timestamp=_later(market))
    assert market.liquidatable(ALICE)
    refused = market.liquidate(KEEPER, ALICE)
    assert refused.error.startswith("InsufficientMargin(")
    assert market.of(KEEPER).equity > 2 * market.of(KEEPER).im
    market.deposit(KEEPER, 500)
    assert market.liquidate(KEEPER, ALICE).error == ""


def _later(market: Venue) -> int:
    market.now += 1
    return market.now
