"""Rounds: who may sign, what is accepted, the median, and the integral that settlement rests on."""

from __future__ import annotations

import pytest

from harness.venue import exchange as ex
from harness.evm.accounts import OWNER, REPORTERS, account
from tests.contracts.conftest import T0, Venue, W

pytestmark = pytest.mark.node

ETH = b"ETH".ljust(32, b"\0")
SORTED = sorted(REPORTERS[:5], key=lambda index: account(index).address)


@pytest.mark.parametrize(
    ("prices", "median"),
    [
        ([3, 1, 2], 2),
        ([5, 5, 1], 5),
        ([1, 2, 3, 4], 2),        # fl(2.5)
        ([4, 9, 1, 7, 5], 5),
        ([10, 1, 10, 2], 6),
    ],
)
def test_accepted_price_is_the_median_floored_for_an_even_number(venue: Venue, prices: list[int], median: int) -> None:
    """The mean of the two middle prices rounds toward −∞; order of the signers does not matter."""
    accepted = venue.observe(prices).one("RoundAccepted")
    assert (accepted["price"], accepted["sources"], accepted["asset"]) == (median, len(prices), "ETH")
    assert ex.decode_latest(venue.call("price_feed", ex.encode_latest("ETH"))) == ex.Latest(1, T0, median)


def test_median_of_negative_prices_is_floored_toward_minus_infinity(venue: Venue) -> None:
    """Solidity alone would answer −2 for the mean of −3 and −2; only an asset flagged signed takes them."""
    assert venue.observe([-9, -3, -2, 5], "WTI").one("RoundAccepted")["price"] == -3


@pytest.mark.parametrize(
    ("signers", "prices", "error"),
    [
        (SORTED[:2], [W, W], "TooFewSources(given=2,required=3)"),
        ([SORTED[0], SORTED[0], SORTED[1]], [W] * 3, "SignersNotAscending(previous={0},next={0})"),
        ([SORTED[1], SORTED[0], SORTED[2]], [W] * 3, "SignersNotAscending(previous={1},next={0})"),
        ([SORTED[0], SORTED[1], 60], [W] * 3, "UnknownReporter(signer={foreign})"),
        (SORTED[:3], [W, 0, W], "NonPositivePrice(asset=ETH,price=0)"),
        (SORTED[:3], [W, -1, W], "NonPositivePrice(asset=ETH,price=-1)"),
    ],
)
def test_round_needs_enough_distinct_registered_signers_in_order(
    venue: Venue, signers: list[int], prices: list[int], error: str
) -> None:
    """Duplicates, strangers and disorder are each refused by name."""
    expected = error.format(*(account(index).address for index in SORTED), foreign=account(60).address)
    assert venue.send(OWNER, "price_feed", venue.round(prices, signers=signers)).error == expected


def test_signature_over_another_round_is_not_the_reporters(venue: Venue) -> None:
    """Every field of the observation is signed, so a changed one recovers to a stranger."""
    data = bytearray(venue.round(2000 * W))
    data[4 + 63] = 9  # the round's number
    assert venue.send(OWNER, "price_feed", bytes(data)).error.startswith("UnknownReporter(signer=")


def test_round_and_timestamp_must_both_advance_and_not_lie_in_the_future(venue: Venue) -> None:
    """O2: no replay, no back-dating, no post-dating."""
    venue.now += 10
    venue.observe(W)
    old = venue.round(W, number=1, timestamp=venue.now)
    assert venue.send(OWNER, "price_feed", old).error == "RoundNotNewer(asset=ETH,round=1,last=1)"
    same = venue.round(W, timestamp=venue.now)
    expected = f"TimestampNotNewer(asset=ETH,timestamp={venue.now},last={venue.now})"
    assert venue.send(OWNER, "price_feed", same).error == expected
    future = venue.round(W, timestamp=venue.now + 1)
    expected = f"TimestampInFuture(timestamp={venue.now + 1},blockTimestamp={venue.now})"
    assert venue.send(OWNER, "price_feed", future).error == expected


def test_numbers_of_prices_and_signatures_must_agree(venue: Venue) -> None:
    """Otherwise an unsigned price could slip into the median."""
    data = ex.encode_submit("ETH", 1, T0, [W] * 3, [b"\x01" * 65] * 2)
    assert venue.send(OWNER, "price_feed", data).error == "LengthMismatch(prices=3,signatures=2)"


def test_unlisted_asset_is_refused(venue: Venue) -> None:
    """A typo in a name must not open a market."""
    assert venue.send(OWNER, "price_feed", venue.round(W, "ETC")).error == "UnknownAsset(asset=ETC)"


def test_integral_equals_the_sum_by_hand(venue: Venue) -> None:
    """A left-continuous step function: 100 for 10 s, 130 for 5 s, then 90; any instant between is exact."""
    for price, seconds in ((100, 10), (130, 5), (90, 0)):
        venue.observe(price)
        venue.now += seconds
    answers = {t: venue.ask("price_feed", "cumulativeAt", ETH, T0 + t)[0] for t in (0, 1, 10, 11, 15)}
    assert answers == {0: 0, 1: 100, 10: 1000, 11: 1130, 15: 1650}
    with pytest.raises(AssertionError, match=f"AfterLastObservation\\(asset=ETH,timestamp={T0 + 16},last={T0 + 15}"):
        venue.ask("price_feed", "cumulativeAt", ETH, T0 + 16)
    with pytest.raises(AssertionError, match="BeforeFirstObservation"):
        venue.ask("price_feed", "cumulativeAt", ETH, T0 - 1)


@pytest.mark.parametrize("first", [0, 5])
def test_old_instants_leave_the_ring_but_not_those_a_series_settles_by(venue: Venue, first: int) -> None:
    """Reporters racing through more rounds than are kept must not make a series unsettleable (S6).

    Also where the window opens at the very first observation, whose integral is 0.
    """
    venue.list_series("future", expires=20)   # window T0+5 … T0+20
    kept = venue.ask("price_feed", "OBSERVATIONS")[0]
    last = kept + 24
    for second in range(first, last + 1):
        venue.now = T0 + second
        venue.observe(100 + second)
    oldest = last - kept + 1
    with pytest.raises(AssertionError, match=f"ObservationDropped\\(asset=ETH,timestamp={T0 + 6},oldest={T0 + oldest}"):
        venue.ask("price_feed", "cumulativeAt", ETH, T0 + 6)
    for instant in (5, oldest):
        expected = sum(100 + second for second in range(first, instant))
        assert venue.ask("price_feed", "cumulativeAt", ETH, T0 + instant)[0] == expected
    assert venue.finalize(1).one("SeriesFinalized")["price"] == sum(100 + s for s in range(5, 20)) // 15
