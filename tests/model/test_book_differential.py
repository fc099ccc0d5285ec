"""The deployed order book and the model's, given the same orders: same queue, same fills, same removals, same refusals.

`HARNESS_DIFFERENTIAL=200` plays so many lives instead of the few that fit an ordinary test run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from harness.evm.accounts import MAKER
from harness.model import matching
from harness.venue import book as wire
from tests.contracts.conftest import TRADERS, W
from tests.model.side_by_side import CALL, FUTURE, KEEPER, OIL_FUTURE, PERPETUAL, Duel, address, duel

pytestmark = pytest.mark.node

LIVES = int(os.environ.get("HARNESS_DIFFERENTIAL", "8"))
A, B, C = TRADERS[:3]
LOT = W // 10
TICK = {FUTURE: 5 * W, PERPETUAL: 7 * W + 1, CALL: W, OIL_FUTURE: W // 2}
MARKETS = tuple(TICK)
Step = tuple[Any, ...]

who = st.sampled_from((A, B, C, MAKER, KEEPER))
series = st.sampled_from((FUTURE, FUTURE, PERPETUAL, CALL, OIL_FUTURE))
signed_lots = st.one_of(st.integers(1, 30), st.integers(1, 400)).flatmap(lambda n: st.sampled_from((n, -n)))
ticks = st.integers(-6, 6)
mode = st.sampled_from((matching.LIMIT, matching.LIMIT, matching.POST_ONLY, matching.IMMEDIATE, matching.MARKET))
step = st.one_of(
    st.tuples(st.just("place"), who, series, signed_lots, ticks, mode, st.integers(0, 8)),
    st.tuples(st.just("place"), who, series, signed_lots, ticks, mode, st.integers(0, 8)),
    st.tuples(st.just("place"), who, series, signed_lots, st.integers(-60, 60), mode, st.integers(0, 60)),
    st.tuples(st.just("odd"), who, series, st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 4)),
    st.tuples(st.just("turn"), who, series, st.lists(st.tuples(signed_lots, ticks, mode), max_size=4)),
    st.tuples(st.just("cancel"), who, st.integers(1, 20)),
    st.tuples(st.just("price"), st.integers(-1_500, 1_500)),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("drain"), who),
    st.tuples(st.just("trade"), st.sampled_from((A, B, C)), series, signed_lots),
    st.tuples(st.just("liquidate"), st.sampled_from((A, B, C))),
    st.tuples(st.just("stale")),
)


@pytest.fixture(scope="module")
def both() -> Iterator[Duel]:
    with duel() as found:
        yield found


def level(both: Duel, number: int, ticks: int) -> int:
    """A price so many ticks from where the series is quoted."""
    index = both.model.book.series[number].feed.price
    return (20 if number == CALL else index // TICK[number]) * TICK[number] + ticks * TICK[number]


def order(both: Duel, number: int, lots: int, ticks: int, mode: int) -> wire.Order:
    price = 0 if mode == matching.MARKET else level(both, number, ticks)
    return wire.Order(number, lots * LOT, price, mode, both.chain.now + 10)


def play(both: Duel, step: Step) -> None:
    verb, *rest = step
    eth = both.model.book.feed("ETH").price
    if verb == "place":
        person, number, lots, ticks, mode, good_for = rest
        wanted = order(both, number, lots, ticks, mode)
        both.place(person, number, wanted.size, wanted.price, mode, good_for)
    elif verb == "odd":
        # One wei off the lot or the tick, nothing at all, a mode that does not exist.
        person, number, off_lot, off_tick, mode = rest
        both.place(person, number, 3 * LOT * (off_lot != 0) + off_lot // 2, level(both, number, 1) + off_tick // 2,
                   mode, 5)
    elif verb == "turn":
        person, number, wanted = rest
        mine = [id_ for id_ in both.model.book.orders.series_of if id_ % 2]
        both.turn(person, mine, [order(both, number, *item) for item in wanted])
    elif verb == "cancel":
        open_ids = sorted(both.model.book.orders.series_of)
        both.cancel_order(rest[0], open_ids[rest[1] % len(open_ids)] if open_ids else rest[1])
    elif verb == "price":
        both.tick(1)
        both.price(max(1, eth + eth * rest[0] // 10_000), "ETH")
    elif verb == "wait":
        both.tick(rest[0])
    elif verb == "drain":
        both.withdraw(rest[0], max(1, both.most_withdrawable(rest[0])))
    elif verb == "trade":
        person, number, lots = rest
        price = 20 * W if number == CALL else both.model.book.series[number].feed.price
        both.trade(person, MAKER, number, lots * LOT, price)
    elif verb == "liquidate":
        both.liquidate(KEEPER, rest[0])
    else:
        both.tick(3)
        both.tick(18)
        both.price(eth, "ETH")


def live(both: Duel, steps: list[Step]) -> None:
    both.reset()
    for number in MARKETS:
        both.open_market(number, tick=TICK[number], lot=LOT)
    for one in steps:
        play(both, one)
        for market in both.model.book.orders.markets.values():
            assert not market.is_crossed
    # Whatever is left can be cancelled by whose it is, and by nobody else.
    for id_, number in list(both.model.book.orders.series_of.items()):
        owner = both.model.book.orders.markets[number].orders[id_].account
        assert both.cancel_order(A if owner != address(A) else B, id_).error.startswith("NotYourOrder")
        both.cancel_order(next(p for p in (A, B, C, MAKER, KEEPER) if address(p) == owner), id_)


LADDER: list[Step] = [("place", MAKER, FUTURE, -lots, ticks, 0, 60) for lots, ticks in ((5, 2), (3, 1), (4, 1), (9, 4))]


@settings(
    max_examples=LIVES, deadline=None, derandomize="HARNESS_DIFFERENTIAL" not in os.environ, database=None,
    suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
@example([*LADDER, ("place", A, FUTURE, 8, 2, 0, 9), ("place", A, FUTURE, 1, 5, 1, 9),
          ("place", B, FUTURE, 40, 3, 2, 9), ("place", B, FUTURE, 2, 0, 3, 9), ("place", MAKER, FUTURE, 3, 5, 0, 9)])
# The maker has drained what his orders would need; the price leaves the band of what lies open; deadlines pass.
@example([("place", C, FUTURE, 90, -1, 0, 60), ("place", B, FUTURE, 20, -1, 0, 60), ("drain", C),
          ("place", A, FUTURE, -30, -2, 0, 9)])
@example([("place", A, FUTURE, 9, -1, 0, 60), ("place", B, FUTURE, 9, -1, 0, 2), ("wait", 3), ("price", -1_200),
          ("place", MAKER, FUTURE, -9, 0, 0, 9), ("place", C, FUTURE, -3, 0, 2, 9)])
@example([("trade", A, FUTURE, 140), ("place", A, FUTURE, 3, -1, 0, 60), ("price", -500), ("liquidate", A),
          ("place", A, FUTURE, 3, -1, 0, 60), ("place", C, PERPETUAL, 5, 0, 0, 60),
          ("place", B, PERPETUAL, -7, 0, 0, 9)])
@example([("place", A, CALL, 3, 0, 0, 60) for _ in range(26)] + [("place", B, CALL, -120, 0, 0, 9)])
@given(st.lists(step, min_size=6, max_size=30))
def test_contracts_and_model_keep_the_same_queue_and_refuse_the_same_orders(both: Duel, steps: list[Step]) -> None:
    """Price-time priority, self-trade prevention, band, makers' margin and the limit of steps, at every order."""
    live(both, steps)


def test_an_account_may_have_sixty_four_open_orders(both: Duel) -> None:
    """The last of them is let in, one more is not, and a taker with a full hand still takes."""
    both.reset()
    both.open_market(FUTURE, tick=TICK[FUTURE], lot=LOT)
    for _ in range(4):
        placed = [order(both, FUTURE, 1, -2, 0)] * 16
        assert both.turn(A, [], placed).error == ""
    assert both.place(A, FUTURE, LOT, level(both, FUTURE, -1), 0, 9).error.startswith("TooManyOrders")
    both.place(MAKER, FUTURE, -LOT, level(both, FUTURE, 1), 0, 9)
    assert both.place(A, FUTURE, LOT, level(both, FUTURE, 1), 2, 9).error == ""


def test_an_order_may_be_taken_at_its_deadline_and_not_a_second_later(both: Duel) -> None:
    """Both sides agree on the last second itself."""
    both.reset()
    both.open_market(FUTURE, tick=TICK[FUTURE], lot=LOT)
    both.place(MAKER, FUTURE, -3 * LOT, level(both, FUTURE, 1), 0, 2)
    both.tick(2)
    assert both.place(A, FUTURE, LOT, level(both, FUTURE, 1), 2, 0).error == ""
    assert both.model.book.orders.markets[FUTURE].orders[1].rest == -2 * LOT
    both.tick(1)
    both.place(A, FUTURE, LOT, level(both, FUTURE, 1), 2, 0)
    assert both.model.book.orders.series_of == {}


def test_who_could_open_nothing_does_not_fill_the_book(both: Duel) -> None:
    """Between maintenance and initial margin: the order is taken in, takes what it may, and does not stay."""
    both.reset()
    both.open_market(FUTURE, tick=TICK[FUTURE], lot=LOT)
    both.trade(A, MAKER, FUTURE, 14 * W, both.model.book.feed("ETH").price)
    both.tick(1)
    both.price(1_960 * W)
    margin = both.model.margin(address(A))
    assert 0 < margin.mm < margin.equity < margin.im
    assert both.place(A, FUTURE, LOT, level(both, FUTURE, -1), 0, 9).error == ""
    assert both.place(B, FUTURE, LOT, level(both, FUTURE, -1), 0, 9).error == ""
    assert list(both.model.book.orders.series_of) == [2]


def test_the_lives_reached_what_they_are_for(both: Duel) -> None:
    if not both.accepted.get("turn"):
        pytest.skip("the lives were not played in this process")
    assert {"place", "cancel order", "turn"} <= both.accepted.keys() & both.refused.keys() | {"turn"}
