"""Series with terms, on the deployed contracts and in the model at once: caps, scaled margins, credit, option margins.

`HARNESS_DIFFERENTIAL=200` plays so many lives instead of the few that fit an ordinary test run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from harness.evm.accounts import MAKER, OWNER
from harness.model.matching import MARKET
from harness.venue import exchange as ex
from tests.contracts.conftest import T0, TRADERS, W
from tests.model.side_by_side import EXPIRY, KEEPER, Duel, address, duel, last

pytestmark = pytest.mark.node

LIVES = int(os.environ.get("HARNESS_DIFFERENTIAL", "8"))
A, B, C = TRADERS[:3]
INDEX = 2000 * W
Step = tuple[Any, ...]

SCALED, CREDITED, CAPPED = 7, 8, 9
RELIEF = {10: ("call", 1900), 11: ("call", 2100), 12: ("put", 1800), 13: ("put", 2100)}
NAKED_CALL, NAKED_PUT, LATER_CALL = 14, 15, 16
LISTED: tuple[tuple[str, int, int, tuple[int, int, int, int, int]], ...] = (
    ("future", 0, 4000, (0, 0, 20_000, 120_000, 0)),
    ("perpetual", 0, 0, (0, 0, 0, 0, 150)),
    ("future", 0, EXPIRY, (0, 0, 60_001, 60_001, 1)),
    *((kind, strike * W, EXPIRY, (1, 0, 0, 0, 0)) for kind, strike in RELIEF.values()),
    ("call", 2000 * W, 75, (2, 0, 0, 0, 0)),
    ("put", 2000 * W, EXPIRY, (2, 0, 30_000, 50_000, 0)),
    ("call", 2000 * W, 4000, (1, 0, 0, 0, 0)),
)
OPTIONS = (*RELIEF, NAKED_CALL, NAKED_PUT, LATER_CALL)
BOOKED = (SCALED, SCALED, CREDITED, CAPPED, 10, 11, NAKED_CALL)
LOT = W // 100

who = st.sampled_from((A, B, C, KEEPER))
series = st.sampled_from((SCALED, SCALED, CREDITED, CAPPED, *OPTIONS))
booked = st.sampled_from(BOOKED)
mode = st.sampled_from((0, 0, 1, 2, MARKET))
size = st.one_of(st.integers(1, 12).map(lambda n: n * W), st.integers(1, 45 * W)).flatmap(
    lambda n: st.sampled_from((n, -n)))
step = st.one_of(
    st.tuples(st.just("trade"), who, st.sampled_from((MAKER, A, B)), series, size, st.integers(-300, 300)),
    st.tuples(st.just("trade"), who, st.sampled_from((MAKER, A, B)), series, size, st.integers(-300, 300)),
    st.tuples(st.just("reduce"), who, series, st.integers(1, 1500)),
    st.tuples(st.just("price"), st.integers(-1_200, 1_200)),
    st.tuples(st.just("wait"), st.integers(1, 9)),
    st.tuples(st.just("place"), who, booked, size, st.integers(-4, 4), mode),
    st.tuples(st.just("place"), who, booked, size, st.integers(-4, 4), mode),
    st.tuples(st.just("drain"), who, st.integers(0, 1)),
    st.tuples(st.just("liquidate"), st.sampled_from((KEEPER, MAKER)), st.sampled_from((A, B, C))),
    st.tuples(st.just("bid"), st.sampled_from((KEEPER, MAKER)), st.sampled_from((A, B, C))),
)


@pytest.fixture(scope="module")
def both() -> Iterator[Duel]:
    with duel() as found:
        yield found


def opened(both: Duel) -> Duel:
    """The usual start, and ten series with terms."""
    both.reset()
    for kind, strike, expires, terms in LISTED:
        expiry = ex.NEVER if kind == "perpetual" else T0 + expires
        data = ex.encode_list_series_with(ex.KINDS[kind], "ETH", strike, expiry, terms)
        assert both.send(OWNER, "clearing_house", data).error == ""
    for number in dict.fromkeys(BOOKED):
        both.open_market(number, tick=W, lot=LOT)
    return both


def play(both: Duel, step: Step) -> None:
    book = both.model.book
    eth = book.feed("ETH").price
    verb, *rest = step
    if verb == "trade":
        taker, maker, number, amount, off_bps = rest
        price = (300 + off_bps) * W // 10 if number in OPTIONS else eth + eth * off_bps // 10_000
        both.trade(taker, maker, number, amount, price)
    elif verb == "place":
        person, number, amount, off, mode = rest
        quoted = 30 * W if number in OPTIONS else eth // W * W
        lots = abs(amount) // LOT * (LOT if amount > 0 else -LOT)
        both.place(person, number, lots, 0 if mode == MARKET else quoted + off * W, mode, 20)
    elif verb == "reduce":
        person, number, per_mille = rest
        held = book.account(address(person)).positions.get(number)
        if held is not None:
            both.trade(person, MAKER, number, -held.size * per_mille // 1000, 30 * W if number in OPTIONS else eth)
    elif verb == "price":
        both.tick(1)
        both.price(max(1, eth + eth * rest[0] // 10_000), "ETH")
    elif verb == "wait":
        for _ in range(rest[0]):
            both.tick(1)
        both.price(eth, "ETH")
    elif verb == "drain":
        both.withdraw(rest[0], max(1, both.most_withdrawable(rest[0]) + rest[1]))
    else:
        getattr(both, verb)(*rest)


# A spread, a condor's half and naked shorts; open interest within its range; then the price takes all of it somewhere.
BOARD: list[Step] = [
    ("trade", A, MAKER, 10, -3 * W - 1, 1700), ("trade", A, MAKER, 11, 3 * W + 7, 300),
    ("trade", B, MAKER, 12, -4 * W, 0), ("trade", B, MAKER, 13, 4 * W + 1, 1000),
    ("trade", C, MAKER, NAKED_CALL, -2 * W - 3, 0),
]


@settings(
    max_examples=LIVES, deadline=None, derandomize="HARNESS_DIFFERENTIAL" not in os.environ, database=None,
    suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
@example([*BOARD, ("price", 900), ("liquidate", KEEPER, A), ("liquidate", KEEPER, C), ("price", 900),
          ("liquidate", KEEPER, C), ("liquidate", KEEPER, A), ("wait", 9), ("wait", 9), ("reduce", C, NAKED_CALL, 500)])
@example([("trade", A, MAKER, SCALED, 9 * W, 0), ("trade", B, MAKER, SCALED, 11 * W, 0),
          ("trade", C, MAKER, SCALED, 40 * W, 0), ("price", -1_000), ("liquidate", KEEPER, B),
          ("liquidate", KEEPER, A), ("price", -800), ("liquidate", KEEPER, A), ("reduce", B, SCALED, 300)])
@example([("trade", A, MAKER, CREDITED, 8 * W, 0), ("price", 1_000), ("trade", A, MAKER, CREDITED, 4 * W, 0),
          ("trade", A, MAKER, CREDITED, 2 * W, 0), ("drain", A, 0), ("reduce", A, CREDITED, 500)])
@example([("trade", C, MAKER, NAKED_PUT, -4 * W, 0), ("trade", A, MAKER, CAPPED, 10 * W, 0), ("wait", 9),
          ("price", -700), ("liquidate", KEEPER, C), ("price", -900), ("liquidate", MAKER, C), ("bid", KEEPER, C)])
# In the book: a cap met by whoever takes, whose makers reduce and whose open; profit that lends its maker only so much;
# a maker of spreads and of naked calls who runs out of margin in the middle.
@example([("place", MAKER, CAPPED, -40 * W, 1, 0), ("place", KEEPER, CAPPED, 20 * W, 1, 0),
          ("place", A, CAPPED, 11 * W, 1, 2), ("place", A, CAPPED, 5 * W, 1, 2),
          ("place", KEEPER, CAPPED, -9 * W, 0, 1),
          ("place", A, CAPPED, 4 * W, 1, 3), ("price", 300), ("place", A, CAPPED, W, 4, 3),
          ("place", A, CAPPED, -2 * W, -4, 3)])
@example([("trade", B, MAKER, CREDITED, 8 * W, 0), ("price", 1_000), ("place", B, CREDITED, 6 * W, -1, 0),
          ("place", B, CREDITED, 2 * W, -1, 0), ("place", A, CREDITED, -7 * W, -2, 2),
          ("place", MAKER, SCALED, -90 * W, 2, 0), ("place", A, SCALED, 11 * W, 2, 2),
          ("place", C, SCALED, 9 * W, 2, 3), ("place", B, SCALED, -4 * W, 1, 2)])
@example([("place", A, 10, -3 * W, 1, 0), ("place", A, 11, 3 * W, 1, 0), ("place", C, NAKED_CALL, -4 * W, 0, 0),
          ("place", MAKER, 11, -3 * W, 0, 2), ("place", MAKER, 10, 3 * W, 4, 2), ("price", 400),
          ("place", MAKER, NAKED_CALL, 4 * W, 4, 2), ("place", B, NAKED_CALL, W, 4, 3)])
@given(st.lists(step, min_size=6, max_size=26))
def test_contracts_and_model_agree_on_series_with_terms(both: Duel, steps: list[Step]) -> None:
    """A6, every amount and every refusal, with each of the terms in force."""
    opened(both)
    for one in steps:
        play(both, one)


@pytest.mark.parametrize(("number", "sign"), [
    (SCALED, 1), (SCALED, -1), (CREDITED, 1), (CAPPED, 1), (10, -1), (13, -1), (NAKED_CALL, -1), (NAKED_PUT, -1),
])
def test_the_largest_position_that_the_terms_allow(both: Duel, number: int, sign: int) -> None:
    """The last wei of size that margin or cap lets in, on both sides of it."""
    opened(both)
    price = 120 * W if number in OPTIONS else INDEX + 3
    most = last(lambda amount: both.may_trade(A, MAKER, number, sign * amount, price), 1, 10**24)
    with both.aside():
        assert both.trade(A, MAKER, number, sign * most, price).error == ""
    refused = both.trade(A, MAKER, number, sign * (most + 1), price)
    assert refused.error.startswith(("InsufficientMargin", "OpenInterestCapped"))


def test_a_call_of_another_expiry_offsets_nothing(both: Duel) -> None:
    """The same spread within one expiry asks its width of 200 a unit; across two, all that a naked call asks."""
    for held, offsets in ((11, True), (LATER_CALL, False)):
        opened(both)
        assert both.trade(A, MAKER, held, 2 * W, 20 * W).error == ""
        assert both.trade(A, MAKER, 10, -2 * W, 120 * W).error == ""
        both.tick(1)
        both.price(INDEX * 11 // 10)
        assert (both.model.margin(address(A)).mm == 2 * 200 * W) is offsets


def test_the_cap_stops_the_wei_that_passes_it_and_nobody_who_reduces(both: Duel) -> None:
    """60 001 of open interest at 2 000: 30.0005 and not a wei more; under a risen index one may still reduce."""
    opened(both)
    both.deposit(A, 100_000 * 10**6)
    full = 60_001 * W * W // INDEX
    with both.aside():
        assert both.trade(A, MAKER, CAPPED, full + 1, INDEX).error.startswith("OpenInterestCapped")
    assert both.trade(A, MAKER, CAPPED, full, INDEX).error == ""
    assert both.trade(B, MAKER, CAPPED, W, INDEX).error.startswith("OpenInterestCapped")
    both.tick(1)
    both.price(INDEX * 11 // 10)
    assert both.trade(A, MAKER, CAPPED, -2 * W, INDEX * 11 // 10).error == ""
    assert both.trade(A, MAKER, CAPPED, W, INDEX * 11 // 10).error.startswith("OpenInterestCapped")


def test_an_order_that_would_pass_the_cap_reverts_whole_and_one_that_meets_who_reduces_trades(both: Duel) -> None:
    """30.0005 may be open: of 20 + 11 nothing is; but 9 bought from whoever lets go of 9 raise nothing."""
    opened(both)
    both.deposit(A, 100_000 * 10**6)
    resting = both.model.book.orders
    for person, lots, price, mode in ((MAKER, -40, 2_001, 0), (KEEPER, 20, 2_001, 2), (KEEPER, -9, 2_000, 1)):
        assert both.place(person, CAPPED, lots * W, price * W, mode, 20).error == ""
    before = dict(resting.series_of)
    assert both.place(A, CAPPED, 20 * W, 2_001 * W, 2, 20).error.startswith("OpenInterestCapped")
    assert dict(both.model.book.orders.series_of) == before
    assert both.place(A, CAPPED, 9 * W, 2_001 * W, 2, 20).error == ""
    assert both.model.book.series[CAPPED].open_interest == 20 * W


@pytest.mark.parametrize(("left", "upper"), [(10, 1_678), (11, 2_370), (20, 2_370), (21, 3_326), (40, 3_326)])
def test_a_naked_puts_margin_changes_a_second_after_a_row_ends(both: Duel, left: int, upper: int) -> None:
    """Rows include their end; the put at 2 000 with 1 500 after the shock: U·1 500 + 500 per unit."""
    opened(both)
    assert both.trade(C, MAKER, NAKED_PUT, -W, 100 * W).error == ""
    while both.chain.now < T0 + EXPIRY - left:
        both.tick(1)
    both.deposit(C, 1)
    assert both.model.margin(address(C)).im == upper * 1_500 * W // 10_000 + 500 * W


def test_the_lives_reached_what_they_are_for(both: Duel) -> None:
    if not both.accepted.get("liquidate"):
        pytest.skip("the lives were not played in this process")
    assert {"trade", "withdraw", "liquidate", "place"} <= both.accepted.keys()
    assert {"trade", "liquidate", "place"} <= both.refused.keys()
