"""Isolated pools and coin pools, on the deployed contracts and in the model at once.

Inverse futures in a pool of ETH; a future, a perpetual and a put in a pool of dollars; and the cross pool beside them.
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
from harness.model.governance import Factors
from harness.plan import Terms
from harness.venue import exchange as ex
from tests.contracts.conftest import T0, TRADERS, W
from tests.model.side_by_side import EXPIRY, KEEPER, PEOPLE, Duel, duel, last

pytestmark = pytest.mark.node

LIVES = int(os.environ.get("HARNESS_DIFFERENTIAL", "8"))
A, B, C = TRADERS[:3]
USD = 10**6
INDEX = 2000 * W
COIN, DOLLARS = 1, 2
Step = tuple[Any, ...]

INVERSE, LIMITED, FUTURE, PERPETUAL, PUT = range(7, 12)
LISTED = (
    ("inverse", 0, EXPIRY, Terms(pool=COIN)),
    ("inverse", 0, 4000, Terms(pool=COIN, oi_lower=20_000, oi_cap=120_000, profit_cap=300)),
    ("future", 0, EXPIRY, Terms(pool=DOLLARS)),
    ("perpetual", 0, 0, Terms(pool=DOLLARS, profit_cap=500)),
    ("put", 1900, EXPIRY, Terms(pool=DOLLARS, option_margin=1)),
)
SERIES = (INVERSE, LIMITED, FUTURE, PERPETUAL, PUT)
IN_COIN = (INVERSE, LIMITED)

FACTORS = (Factors(1_500, 1_200, 2_000, 1_500, 1_000), Factors(500, 250, 800, 600, 100))

who = st.sampled_from(PEOPLE)
trader = st.sampled_from((A, B, C))
series = st.sampled_from((*IN_COIN, *SERIES))
pool = st.sampled_from((COIN, COIN, DOLLARS))
size = st.one_of(
    st.integers(1, 30).map(lambda n: n * W // 2), st.integers(1, 20 * W), st.integers(1, 50),
).flatmap(lambda n: st.sampled_from((n, -n)))
beyond = st.one_of(st.integers(0, 3), st.integers(0, 3_000))


def a_trade() -> st.SearchStrategy[Step]:
    """A new one at each call: Hypothesis takes one and the same strategy only once into a choice."""
    return st.tuples(
        st.just("trade"), trader, st.sampled_from((MAKER, A, B)), series, size, st.integers(-1050, 1050))


def a_hunt() -> st.SearchStrategy[Step]:
    return st.tuples(st.just("hunt"), trader, pool, beyond, st.integers(0, 3))


step = st.one_of(
    *(a_trade() for _ in range(5)), *(a_hunt() for _ in range(5)),
    st.tuples(st.just("reduce"), who, series, st.integers(1, 1500)),
    st.tuples(st.just("price"), st.integers(-1_300, 1_300)),
    st.tuples(st.just("price"), st.sampled_from((-9_999, -5_000, 20_000, 10**8))),
    st.tuples(st.just("wait"), st.integers(1, 9)),
    st.tuples(st.just("outage"), st.sampled_from((4, 21, 31)), st.booleans()),
    st.tuples(st.just("expire"), st.sampled_from((-1, 0, 1))),
    st.tuples(st.just("deposit_coin"), who, st.sampled_from((COIN, COIN, COIN, DOLLARS, 3)), st.integers(0, 3 * W)),
    st.tuples(st.just("withdraw_coin"), who, st.sampled_from((COIN, COIN, 0)), st.integers(0, 3 * W)),
    st.tuples(st.just("move"), who, st.integers(0, 3), st.integers(0, 3), st.integers(0, 2_000 * USD)),
    st.tuples(st.just("drain"), who, pool, st.integers(0, 1)),
    st.tuples(st.just("liquidate"), st.sampled_from((KEEPER, MAKER)), st.sampled_from((A, B, C, MAKER)), pool),
    st.tuples(st.just("bid"), st.sampled_from((KEEPER, MAKER)), st.sampled_from((A, B, C)), pool),
    st.tuples(st.just("cancel"), trader, pool),
    st.tuples(st.just("insure"), st.integers(0, W), st.sampled_from((COIN, 3))),
    st.tuples(st.just("cover"), pool), st.tuples(st.just("haircut"), pool),
    st.tuples(st.just("finalize"), series), st.tuples(st.just("settle"), who, series),
    st.tuples(st.just("pause"), st.just(OWNER), st.sampled_from((1, 2, 4, 7))),
    st.tuples(st.just("unpause"), st.just(OWNER), st.sampled_from((1, 2, 4, 7))),
    st.tuples(st.just("settle_funding"), who, st.just(PERPETUAL)),
    st.tuples(st.just("change"), st.sampled_from((*FACTORS, None))),
    st.tuples(st.just("silence"), st.sampled_from((19, 26, 60))),
    st.tuples(st.just("override"), st.just(OWNER), series, st.sampled_from((-W, 0, 1, 1_500 * W))),
    st.tuples(st.just("resolve"), series),
)


@pytest.fixture(scope="module")
def both() -> Iterator[Duel]:
    with duel() as found:
        yield found


def opened(both: Duel) -> Duel:
    """The usual start; both pools, insured, with some collateral of everybody's in each."""
    both.reset()
    assert both.open_coin_pool(COIN, "ETH").error == ""
    for kind, strike, expires, terms in LISTED:
        expiry = ex.NEVER if kind == "perpetual" else T0 + expires
        assert both.list_in_pool(kind, "ETH", strike * W, expiry, terms).error == ""
    both.insure(W // 10, COIN)
    both.insure(100 * USD, DOLLARS)
    for person in (MAKER, KEEPER):
        both.deposit_coin(person, COIN, 900 * W)
        both.move(person, 0, DOLLARS, 500_000 * USD)
    for person in (A, B, C):
        both.deposit_coin(person, COIN, 3 * W // 2)
        both.move(person, 0, DOLLARS, 1_500 * USD)
    return both


def play(both: Duel, step: Step) -> None:
    """One step of a life; sizes of inverse futures are a thousandfold, for their unit is a dollar."""
    book = both.model.book
    eth = book.feed("ETH").price
    verb, *rest = step
    if verb == "trade":
        taker, maker, number, amount, off_bps = rest
        price = (900 + off_bps) * W // 10 if number == PUT else eth + eth * off_bps // 10_000
        both.trade(taker, maker, number, amount * (997 if number in IN_COIN else 1), price)
    elif verb == "reduce":
        person, number, per_mille = rest
        account = both.holder(person, book.series[number].pool)
        held = book.account(account).positions.get(number)
        if held is not None:
            both.trade(person, MAKER if person != MAKER else A, number, -held.size * per_mille // 1000,
                       90 * W if number == PUT else eth)
    elif verb == "price":
        both.tick(1)
        both.price(max(1, eth + eth * rest[0] // 10_000), "ETH")
    elif verb == "change":
        both.announce(OWNER, rest[0], both.params.timelock_delay_s)
        for _ in range(both.params.timelock_delay_s):
            both.tick(1)
        both.price(eth, "ETH")
        both.enact(OWNER, len(both.calls) - 1)
    elif verb == "silence":
        for second in range(0, rest[0], 3):
            both.tick(min(3, rest[0] - second))
    elif verb == "hunt":
        hunt(both, *rest)
    elif verb == "wait":
        for _ in range(rest[0]):
            both.tick(1)
        both.price(eth, "ETH")
    elif verb == "outage":
        both.tick(rest[0], auto=rest[1])
        both.tick(1)
        both.price(eth, "ETH")
    elif verb == "expire":
        while both.chain.now < T0 + EXPIRY + rest[0]:
            both.tick(min(3, T0 + EXPIRY + rest[0] - both.chain.now))
            both.price(eth, "ETH")
    elif verb == "drain":
        person, number, more = rest
        most = max(0, both.most_withdrawable(person, number) + more)
        if number == COIN:
            both.withdraw_coin(person, COIN, most)
        else:
            both.move(person, number, 0, most)
    else:
        getattr(both, verb)(*rest)


def hunt(both: Duel, person: int, number: int, beyond_bps: int, times: int) -> None:
    """The price goes to where that account falls due, or so far beyond, and a keeper comes so many times."""
    account = both.holder(person, number)
    eth, held = both.model.book.feed("ETH").price, both.model.book.holding(account)

    def is_healthy(price: int) -> bool:
        return not both.model.book.margin_at(held, {"ETH": price}).is_liquidatable

    for worst in (eth * 6 // 10, eth * 16 // 10):
        if is_healthy(eth) and not is_healthy(worst):
            due = last(is_healthy, eth, worst)
            off = max(due * beyond_bps // 10_000, min(beyond_bps, 1))
            both.tick(1)
            both.price(max(1, due - off if worst < eth else due + off))
            break
    for attempt in range(times):
        both.liquidate(KEEPER, person, number)
        both.tick(attempt)
        if attempt == 1:
            both.bid(MAKER, person, number)


OPENING: tuple[Step, ...] = (
    ("trade", A, MAKER, INVERSE, 20 * W + 3, 10), ("trade", B, MAKER, INVERSE, -18 * W - 1, -300),
    ("trade", C, MAKER, LIMITED, 11 * W + 7, 0), ("trade", B, MAKER, FUTURE, -4 * W - 3, 10),
    ("trade", A, MAKER, PERPETUAL, 5 * W + 1, 300), ("trade", C, MAKER, PUT, -3 * W - 7, 60),
)


def live(both: Duel, steps: list[Step]) -> None:
    opened(both)
    for one in (*OPENING, *steps, ("expire", 1)):
        play(both, one)
    for number in (INVERSE, FUTURE, PUT):
        conclude(both, number)
        for person in PEOPLE:
            account = both.holder(person, both.model.book.series[number].pool)
            if number in both.model.book.account(account).positions:
                both.settle(person, number)
        assert both.model.book.series[number].clearing == 0


def conclude(both: Duel, number: int) -> None:
    """Whatever happened to its oracle, a series becomes final in the end."""
    item = both.model.book.series[number]
    if item.final_price is None and not item.disputed_at:
        both.finalize(number)
    if item.final_price is None:
        while both.chain.now < item.disputed_at + both.params.dispute_window_s:
            both.tick(3)
        both.resolve(number)
    assert item.final_price is not None


@settings(
    max_examples=LIVES, deadline=None, derandomize="HARNESS_DIFFERENTIAL" not in os.environ, database=None,
    suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
# Down by parts, to a bidder, and past all insurance; the shorts give up profit; the rest is everybody's.
@example([("price", -900), ("liquidate", KEEPER, A, COIN), ("price", -300), ("liquidate", KEEPER, A, COIN),
          ("price", -900), ("liquidate", MAKER, A, COIN), ("liquidate", KEEPER, C, COIN),
          ("liquidate", KEEPER, C, DOLLARS), ("cover", COIN), ("drain", B, COIN, 0)])
@example([("price", -1_200), ("bid", KEEPER, A, COIN), ("liquidate", KEEPER, A, COIN), ("liquidate", KEEPER, A, COIN),
          ("bid", KEEPER, A, DOLLARS), ("wait", 7), ("bid", A, A, COIN), ("bid", KEEPER, A, COIN),
          ("bid", MAKER, A, COIN), ("price", -700), ("liquidate", KEEPER, A, DOLLARS), ("bid", KEEPER, A, DOLLARS)])
@example([("price", -5_000), ("liquidate", KEEPER, A, COIN), ("liquidate", KEEPER, C, COIN),
          ("liquidate", KEEPER, A, DOLLARS), ("haircut", COIN), ("cover", COIN), ("haircut", DOLLARS),
          ("drain", MAKER, COIN, 0), ("insure", W // 100, COIN), ("cover", COIN), ("drain", B, COIN, 0)])
# The shorts have sold again at the bottom: all they have gained is less than what is lost.
@example([*(("price", -900),) * 4, ("trade", B, MAKER, INVERSE, 18 * W + 1, 0),
          ("trade", B, MAKER, INVERSE, -18 * W - 5, 0), ("price", -2_000), ("liquidate", KEEPER, A, COIN),
          ("haircut", COIN), ("insure", 5, 3), ("insure", 5, COIN), ("cover", COIN), ("haircut", COIN)])
@example([("price", 900), ("price", 900), ("price", 900), ("price", 900), ("wait", 6),
          ("trade", A, MAKER, INVERSE, -20 * W - 3, 0), ("trade", A, MAKER, INVERSE, 20 * W + 7, 0), ("price", 9_000),
          ("liquidate", KEEPER, B, COIN), ("haircut", COIN)])
# A short of coin under a price that multiplies, and one that vanishes.
@example([("price", 1_300), ("liquidate", KEEPER, B, COIN), ("price", 20_000), ("liquidate", KEEPER, B, COIN),
          ("reduce", C, LIMITED, 500), ("trade", C, MAKER, LIMITED, 9 * W, 0), ("price", -9_999),
          ("liquidate", KEEPER, C, COIN), ("haircut", COIN)])
@example([("price", -9_999), ("price", -9_999), ("price", -9_999), ("price", -9_999), ("wait", 6),
          ("liquidate", KEEPER, A, COIN), ("liquidate", KEEPER, C, COIN), ("trade", B, MAKER, LIMITED, W, 0)])
@example([*(("price", -9_999),) * 6, ("wait", 6), ("liquidate", KEEPER, A, COIN), ("liquidate", KEEPER, C, COIN),
          ("haircut", COIN), ("trade", B, MAKER, LIMITED, 1, 0), ("reduce", B, INVERSE, 1000), ("price", 10**8),
          ("price", 10**8), ("price", 10**8), ("liquidate", KEEPER, B, COIN), ("haircut", COIN)])
# An auction that recovers; nobody withdraws while paused; expiry to the second; settled below zero in each pool.
@example([("price", -500), ("price", -620), ("liquidate", KEEPER, A, COIN), ("price", 900), ("cancel", A, COIN),
          ("pause", OWNER, 4), ("drain", C, COIN, 0), ("move", C, DOLLARS, 0, USD), ("unpause", OWNER, 4),
          ("drain", C, COIN, 1), ("drain", C, COIN, 0), ("expire", -1), ("trade", A, MAKER, INVERSE, -W, 0),
          ("expire", 0), ("trade", A, MAKER, INVERSE, -W, 0), ("finalize", INVERSE), ("settle", A, INVERSE)])
@example([("outage", 21, False), ("price", -4_500), ("expire", 1), ("finalize", INVERSE), ("finalize", FUTURE),
          ("settle", A, INVERSE), ("settle", B, INVERSE), ("settle", MAKER, INVERSE), ("cover", COIN),
          ("drain", MAKER, COIN, 0), ("haircut", COIN), ("haircut", DOLLARS)])
# Margin that is asked for at another rate, by new code; a price that nobody saw, decided by people, above zero only.
@example([("change", FACTORS[0]), ("liquidate", KEEPER, A, COIN), ("drain", B, COIN, 0), ("change", None),
          ("price", -700), ("liquidate", KEEPER, C, COIN), ("change", FACTORS[1]), ("drain", B, COIN, 0)])
@example([("silence", 60), ("finalize", INVERSE), ("silence", 19), ("override", OWNER, INVERSE, -W), ("wait", 1),
          ("override", OWNER, INVERSE, 0), ("override", OWNER, INVERSE, -W), ("override", OWNER, INVERSE, 1),
          ("settle", A, INVERSE), ("settle", B, INVERSE), ("settle", MAKER, INVERSE), ("haircut", COIN)])
@given(st.lists(step, min_size=6, max_size=26))
def test_contracts_and_model_agree_on_every_pool(both: Duel, steps: list[Step]) -> None:
    """A6, every amount and every refusal, in three pools of two currencies at once."""
    live(both, steps)


@pytest.mark.parametrize("number", IN_COIN)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_inverse_position_that_coin_margins(both: Duel, number: int, sign: int) -> None:
    """M1 to the wei of a dollar, fee included: what is on the edge is let in, the next wei is not."""
    opened(both)
    price = INDEX + 3
    most = last(lambda amount: both.may_trade(A, MAKER, number, sign * amount, price), 1, 10**25)
    with both.aside():
        assert both.trade(A, MAKER, number, sign * most, price).error == ""
    assert both.trade(A, MAKER, number, sign * (most + 1), price).error.startswith("InsufficientMargin")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_profit_in_coin_is_lent_against_to_a_cap_in_dollars(both: Duel, sign: int) -> None:
    """M7: of what C has gained 300 dollars' worth of coin, at the index, margin what it opens next."""
    opened(both)
    assert both.trade(C, MAKER, LIMITED, sign * 11_000 * W, INDEX).error == ""
    play(both, ("price", sign * 990))
    price = both.model.book.feed("ETH").price
    assert both.model.margin(both.holder(C, COIN)).excess > 0
    most = last(lambda amount: both.may_trade(C, MAKER, LIMITED, sign * amount, price), 1, 10**25)
    with both.aside():
        assert both.trade(C, MAKER, LIMITED, sign * most, price).error == ""
    assert both.trade(C, MAKER, LIMITED, sign * (most + 1), price).error.startswith("InsufficientMargin")


@pytest.mark.parametrize("sign", [1, -1])
def test_the_last_wei_of_coin_that_may_be_withdrawn(both: Duel, sign: int) -> None:
    """M2: with an unrealised loss counted, and a gain not."""
    for move in (150, -150):
        opened(both)
        assert both.trade(A, MAKER, INVERSE, sign * 9_000 * W + 7, INDEX).error == ""
        play(both, ("price", move))
        most = both.most_withdrawable(A, COIN)
        with both.aside():
            assert both.withdraw_coin(A, COIN, most).error == ""
        assert both.withdraw_coin(A, COIN, most + 1).error.startswith("InsufficientMargin")


@pytest.mark.parametrize("sign", [1, -1])
def test_the_last_price_at_which_an_inverse_account_is_healthy(both: Duel, sign: int) -> None:
    """E < MM is strict: at the last wei of price that leaves it healthy nobody may touch it, at the next one may."""
    opened(both)
    assert both.trade(A, MAKER, INVERSE, sign * 20_011 * W, INDEX).error == ""
    both.tick(1)
    account = both.holder(A, COIN)
    held = both.model.book.holding(account)

    def is_healthy(price: int) -> bool:
        return not both.model.book.margin_at(held, {"ETH": price}).is_liquidatable

    edge = last(is_healthy, INDEX, INDEX * (90 if sign > 0 else 115) // 100)
    with both.aside():
        both.price(edge)
        both.tick(1)
        assert both.liquidate(KEEPER, A, COIN).error.startswith("NotLiquidatable")
    both.price(edge - sign)
    both.tick(1)
    assert both.liquidate(KEEPER, A, COIN).error == ""


@pytest.mark.parametrize("price", [0, -1, -INDEX])
def test_an_inverse_future_has_no_price_of_zero_or_below(both: Duel, price: int) -> None:
    opened(both)
    assert both.trade(A, MAKER, INVERSE, W, price).error.startswith("IndexNotPositive")


def test_what_is_backed_by_another_currency_is_refused(both: Duel) -> None:
    """Another kind in a coin pool, an inverse future in dollars, a second pool of a coin, coins moved into dollars."""
    opened(both)
    both.list_in_pool("future", "ETH", 0, T0 + EXPIRY, Terms(pool=COIN))
    both.list_in_pool("inverse", "OIL", 0, T0 + EXPIRY, Terms(pool=COIN))
    both.list_in_pool("inverse", "ETH", 0, T0 + EXPIRY, Terms(pool=DOLLARS))
    both.list_in_pool("inverse", "ETH", 0, T0 + EXPIRY, Terms())
    both.list_in_pool("inverse", "ETH", 0, T0 + EXPIRY, Terms(pool=3))
    for number in (COIN, DOLLARS, 3, 4):
        both.open_coin_pool(number, "ETH")
    both.open_coin_pool(3, "OIL")
    for source, target in ((COIN, 0), (0, COIN), (COIN, DOLLARS), (COIN, COIN), (COIN, 9)):
        both.move(A, source, target, 1)
    assert not {"list", "open coin pool", "move"} - both.refused.keys()


def test_the_lives_reached_what_they_are_for(both: Duel) -> None:
    """Runs after them: both sides accepted and refused each operation; each step of the ladder was seen in coin."""
    if not both.accepted.get("finalize"):
        pytest.skip("the lives were not played in this process")
    both_ways = {"trade", "liquidate", "bid", "cancel", "cover", "haircut", "withdraw coin", "deposit coin", "move",
                 "finalize", "settle", "insure"}
    assert both_ways <= both.accepted.keys()
    assert both_ways <= both.refused.keys()
    assert {"CoinDeposited", "CoinWithdrawn", "Deleveraged", "Haircut", "BadDebt", "DeficitCovered", "Settled",
            "AuctionStarted", "AuctionCancelled"} <= both.told.keys()
