"""Every guard of a trade and a listing refuses with its own error, carrying what was asked and what was allowed."""

from __future__ import annotations

from typing import Any

import pytest

from harness.venue import exchange as ex
from harness.evm.accounts import MAKER, OWNER, account
from tests.contracts.conftest import PARAMS, T0, Venue, W

pytestmark = pytest.mark.node

ALICE = 100


def take(market: Venue, *, size: int = W, signer: int = MAKER, taker: int = ALICE, **changes: Any) -> str:
    """Error of taking a quote for 1 of the future at 2000, with some fields changed."""
    quote = market.quote(changes.pop("series_id", 1), changes.pop("quoted", W), changes.pop("price", 2000 * W))
    changed = market.quote(quote.series_id, quote.size, quote.price, nonce=changes.pop("nonce", quote.nonce), **changes)
    return market.send(taker, "clearing_house", ex.encode_trade(changed, market.sign(changed, signer), size)).error


def test_quote_may_be_taken_once(market: Venue) -> None:
    """A replayed quote is the cheapest attack there is."""
    market.deposit(ALICE, 1_000)
    maker = account(MAKER).address
    assert take(market, nonce=77) == ""
    assert take(market, nonce=77) == f"NonceUsed(maker={maker},nonce=77)"
    assert take(market, nonce=78) == ""
    assert market.ask("clearing_house", "isNonceUsed", maker, 77) == (True,)
    assert market.ask("clearing_house", "isNonceUsed", maker, 79) == (False,)


def test_quote_signed_by_another_is_refused(market: Venue) -> None:
    """Only the maker binds itself."""
    stranger, maker = account(55).address, account(MAKER).address
    assert take(market, signer=55) == f"WrongSigner(signer={stranger},maker={maker})"


@pytest.mark.parametrize(("size", "quoted"), [(0, W), (W + 1, W), (-1, W), (1, -W), (-W - 1, -W)])
def test_size_must_have_the_sign_of_the_quote_and_not_exceed_it(market: Venue, size: int, quoted: int) -> None:
    """A taker may take less, never more and never the other side."""
    assert take(market, size=size, quoted=quoted) == f"SizeOutOfRange(size={size},quoted={quoted})"


def test_deadline_is_the_last_second_at_which_a_quote_holds(market: Venue) -> None:
    """At the deadline it trades; a second later it does not."""
    market.deposit(ALICE, 1_000)
    deadline = market.now
    assert take(market, deadline=deadline) == ""
    market.now += 1
    assert take(market, deadline=deadline) == f"QuoteExpired(deadline={deadline},blockTimestamp={deadline + 1})"


def test_trading_ends_at_the_second_of_expiry(market: Venue) -> None:
    """S3: one second before expiry is the trading side, expiry itself the settled side."""
    market.deposit(ALICE, 1_000)
    market.now = T0 + 3_599
    market.observe(2000 * W)
    assert take(market) == ""
    market.now += 1
    assert take(market) == f"SeriesExpired(id=1,expiry={T0 + 3_600})"


def test_own_quote_cannot_be_taken(market: Venue) -> None:
    """A trade with oneself would only move fees and volume."""
    maker = account(MAKER).address
    assert take(market, taker=MAKER) == f"SelfTrade(account={maker})"


def test_price_exactly_max_age_old_is_fresh_and_one_second_older_is_not(market: Venue) -> None:
    """O1 at its boundary."""
    market.deposit(ALICE, 1_000)
    market.now += PARAMS.max_price_age_s
    assert take(market) == ""
    market.now += 1
    assert take(market) == f"StalePrice(asset=ETH,age={PARAMS.max_price_age_s + 1},maxAge={PARAMS.max_price_age_s})"


def test_every_asset_held_must_be_fresh_not_only_the_traded_one(market: Venue) -> None:
    """Margin is judged over the whole account."""
    market.deposit(ALICE, 10_000)
    market.observe(30_000 * W, "BTC")
    market.list_series("future", asset="BTC")
    assert take(market, series_id=4, price=30_000 * W, quoted=W // 100, size=W // 100) == ""
    market.now += PARAMS.max_price_age_s + 1
    market.observe(2000 * W)
    assert take(market).startswith("StalePrice(asset=BTC,")


def test_asset_without_any_price_cannot_be_traded(venue: Venue) -> None:
    """Nothing is worth 0 for want of a price."""
    venue.list_series("future")
    assert take(venue) == "NoPrice(asset=ETH)"


@pytest.mark.parametrize("price", [2200 * W + 1, 1800 * W - 1])
def test_future_outside_the_band_is_refused(market: Venue, price: int) -> None:
    """10 % of the index, inclusive; one wei more is outside."""
    assert take(market, price=price) == f"PriceOutOfBand(price={price},index={2000 * W},bandBps=1000)"
    market.deposit(ALICE, 1_000)
    inside = price - 1 if price > 2000 * W else price + 1
    assert take(market, price=inside) == ""


@pytest.mark.parametrize("series", [2, 3])
@pytest.mark.parametrize("price", [-1, 2000 * W + 1])
def test_option_price_lies_between_zero_and_its_no_arbitrage_bound(market: Venue, series: int, price: int) -> None:
    """A call is never worth more than the underlying, a put never more than its strike."""
    assert take(market, series_id=series, price=price) == f"OptionPriceOutOfRange(price={price},max={2000 * W})"


def test_unknown_series_is_refused(market: Venue) -> None:
    """Ids run from 1 to the number listed."""
    assert take(market, series_id=4) == "UnknownSeries(id=4)"
    assert take(market, series_id=0) == "UnknownSeries(id=0)"


@pytest.mark.parametrize(
    ("who", "arguments", "error"),
    [
        (ALICE, (0, "ETH", 0, T0 + 9), "OwnableUnauthorizedAccount("),
        (OWNER, (5, "ETH", 0, T0 + 9), "UnknownKind(kind=5)"),
        (OWNER, (0, "ETH", 1, T0 + 9), "StrikeOutOfRange(kind=0,strike=1)"),
        (OWNER, (1, "ETH", 0, T0 + 9), "StrikeOutOfRange(kind=1,strike=0)"),
        (OWNER, (2, "ETH", 2**127, T0 + 9), f"StrikeOutOfRange(kind=2,strike={2**127})"),
        (OWNER, (0, "ETH", 0, T0), f"ExpiryNotInFuture(expiry={T0},blockTimestamp={T0})"),
        (OWNER, (0, "DOGE", 0, T0 + 9), "UnknownAsset(asset=DOGE)"),
    ],
)
def test_listing_guards(venue: Venue, who: int, arguments: tuple[int, str, int, int], error: str) -> None:
    """A series that could not be priced or settled is never listed."""
    assert venue.send(who, "clearing_house", ex.encode_list_series(*arguments)).error.startswith(error)


def test_only_the_exchange_moves_the_ledger(market: Venue) -> None:
    """Every function that moves cash or positions names its one caller."""
    alice = account(ALICE).address
    calls = [
        ("vault", market.raw("vault", "addCash", alice, W), "NotExchange"),
        ("vault", market.raw("vault", "takeFee", alice, W), "NotExchange"),
        ("vault", market.raw("vault", "addDust", 0, W), "NotExchange"),
        ("vault", market.raw("vault", "admitPool", 1, 0, b"ETH".ljust(32, b"\0")), "NotExchange"),
        ("vault", market.raw("vault", "register", alice), "NotExchange"),
        ("vault", market.raw("vault", "pay", alice, alice, 0), "NotExchange"),
        ("vault", market.raw("vault", "payInsurance", alice, 0), "NotExchange"),
        ("vault", market.raw("vault", "coverLoss", alice), "NotExchange"),
        ("vault", market.raw("vault", "bookBadDebt", alice), "NotExchange"),
        ("vault", market.raw("vault", "takeHaircut", alice, 0), "NotExchange"),
        ("clearing_house", market.raw("clearing_house", "transferPosition", alice, alice, 1, 0, 0), "NotLiquidator"),
        ("clearing_house", market.raw("clearing_house", "recordFinal", 1, 0), "NotSettlement"),
        ("clearing_house", market.raw("clearing_house", "clearPosition", alice, 1), "NotSettlement"),
        ("price_feed", market.raw("price_feed", "keepInstant", b"ETH".ljust(32, b"\0"), T0), "NotClearingHouse"),
        ("l1_info", market.raw("l1_info", "setL1Block", 1, bytes(32), 1, False), "NotDepositor"),
    ]
    assert [market.send(ALICE, contract, data).error for contract, data, _ in calls] == [
        f"{name}(caller={alice})" for _, _, name in calls
    ]
