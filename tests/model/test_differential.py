"""Random lives of a venue, played on the deployed contracts and in the model at once: same state, same refusals.

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
from tests.contracts.conftest import T0, TRADERS, W
from tests.model.side_by_side import (
    CALL,
    EXPIRY,
    FUTURE,
    KEEPER,
    LATER,
    OIL_FUTURE,
    PEOPLE,
    PERPETUAL,
    PUT,
    SERIES,
    Duel,
    address,
    duel,
)

pytestmark = pytest.mark.node

LIVES = int(os.environ.get("HARNESS_DIFFERENTIAL", "12"))
A, B, C = TRADERS[:3]

Step = tuple[Any, ...]

who = st.sampled_from(PEOPLE)
trader = st.sampled_from((A, B, C))
series = st.sampled_from(SERIES)
guardian = st.sampled_from((OWNER, OWNER, OWNER, A))
odd = st.integers(1, 10**9)
FACTORS = (
    Factors(1_000, 625, 1_500, 1_000, 750), Factors(1_500, 1_200, 2_000, 1_500, 1_000),
    Factors(500, 250, 800, 600, 100), Factors(10_000, 10_000, 10_000, 10_000, 10_000), Factors(1_000, 249, 1, 1, 1),
    Factors(1_000, 625, 1_500, 1_501, 750),
)
size = st.one_of(
    st.integers(1, 12).map(lambda n: n * W),
    st.integers(1, 20 * W),
    st.integers(1, 50),
).flatmap(lambda n: st.sampled_from((n, -n)))
step = st.one_of(
    st.tuples(st.just("trade"), trader, st.sampled_from((MAKER, A, B)), series, size, st.integers(-1050, 1050), odd),
    st.tuples(st.just("reduce"), who, series, st.integers(1, 1500)),
    st.tuples(st.just("price"), st.integers(-1500, 1500), odd),
    st.tuples(st.just("price"), st.sampled_from((-9_999, -5_000, 40_000, 10**9)), odd),
    st.tuples(st.just("oil"), st.sampled_from((-1, 0, 1)), st.integers(0, 60 * W)),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("outage"), st.sampled_from((4, 21, 31, 60)), st.booleans()),
    st.tuples(st.just("down")),
    st.tuples(st.just("fresh"), st.integers(0, 1)),
    st.tuples(st.just("grace"),),
    st.tuples(st.just("expire"), st.sampled_from((-1, 0, 1))),
    st.tuples(st.just("deposit"), who, st.integers(1, 10**10)),
    st.tuples(st.just("withdraw"), who, st.integers(1, 10**9)),
    st.tuples(st.just("drain"), who, st.integers(0, 1)),
    st.tuples(st.just("liquidate"), st.sampled_from((KEEPER, MAKER, A)), st.sampled_from((A, B, C, MAKER))),
    st.tuples(st.just("bid"), st.sampled_from((KEEPER, MAKER, B)), st.sampled_from((A, B, C))),
    st.tuples(st.just("cancel"), st.sampled_from((A, B, C))),
    st.tuples(st.just("insure"), st.integers(1, 10**9)),
    st.tuples(st.just("cover"),), st.tuples(st.just("haircut"),),
    st.tuples(st.just("finalize"), series),
    st.tuples(st.just("settle"), who, series),
    st.tuples(st.just("resolve"), series),
    st.tuples(st.just("override"), st.sampled_from((OWNER, A)), series, st.sampled_from((-1, 0, 1, 10**6)), odd),
    st.tuples(st.just("quorum"), st.sampled_from(("ETH", "OIL")), st.sampled_from((14, 15, 16)), st.integers(1, 5)),
    st.tuples(st.just("spread"), st.lists(st.integers(-9_000, 20_000), min_size=3, max_size=5)),
    st.tuples(st.just("late"), st.integers(-1500, 1500), st.integers(0, 5)),
    st.tuples(st.just("pull"), st.integers(-1500, 1500), st.integers(1, 4), st.sampled_from((A, B, C, MAKER))),
    st.tuples(st.just("behind"), st.sampled_from((0, 0, 1, 12, 30))),
    st.tuples(st.just("silence"), st.sampled_from((19, 20, 25, 26, 60))),
    st.tuples(st.just("fund"), who),
    st.tuples(st.just("pause"), guardian, st.integers(0, 8)),
    st.tuples(st.just("unpause"), guardian, st.sampled_from((1, 2, 3, 4, 7))),
    st.tuples(st.just("announce"), guardian, st.sampled_from((*FACTORS, None)), st.sampled_from((-1, 0, 2))),
    st.tuples(st.just("enact"), guardian, st.integers(0, 3)),
    st.tuples(st.just("delay"), st.sampled_from((-1, 0))),
    st.tuples(st.just("set_up_again"), who),
)


@pytest.fixture(scope="module")
def both() -> Iterator[Duel]:
    with duel() as found:
        yield found


def later(both: Duel, asset: str) -> None:
    """A second, where the newest price is of this one."""
    latest = both.model.book.feed(asset).latest
    if latest is not None and latest.timestamp >= both.chain.now:
        both.tick(1)


def play(both: Duel, step: Step) -> None:
    """One step of a life on both sides; what it means depends on where they stand."""
    book = both.model.book
    eth = book.feed("ETH").price
    verb, *rest = step
    if verb == "trade":
        taker, maker, number, amount, off_bps, odd_wei = rest
        item = book.series[number]
        index = item.feed.price
        price = index + index * off_bps // 10_000 + odd_wei % 7
        if number in (CALL, PUT):
            price = abs(off_bps) * W // 10 + odd_wei
        both.trade(taker, maker, number, amount, price)
    elif verb == "reduce":
        person, number, per_mille = rest
        held = both.model.book.account(address(person)).positions.get(number)
        if held is not None:
            index = book.series[number].feed.price
            both.trade(person, MAKER if person != MAKER else A, number, -held.size * per_mille // 1000,
                       index if number not in (CALL, PUT) else 10 * W)
    elif verb == "price":
        later(both, "ETH")
        both.price(max(1, eth + eth * rest[0] // 10_000 + rest[1] % 1000), "ETH")
    elif verb == "oil":
        later(both, "OIL")
        both.price(rest[0] * rest[1], "OIL")
    elif verb == "wait":
        both.tick(rest[0])
    elif verb == "outage":
        both.tick(rest[0], auto=rest[1])
    elif verb == "down":
        both.tick(1, auto=True)
        both.tick(2)
    elif verb == "fresh":
        both.price(eth + rest[0], "ETH")
        both.price(book.feed("OIL").price, "OIL")
    elif verb == "grace":
        for _ in range(11):
            both.tick(3)
        both.price(eth, "ETH")
        both.price(book.feed("OIL").price, "OIL")
    elif verb == "expire":
        while both.chain.now < T0 + EXPIRY + rest[0]:
            both.tick(min(3, T0 + EXPIRY + rest[0] - both.chain.now))
        both.price(eth, "ETH")
        both.price(book.feed("OIL").price, "OIL")
    elif verb == "override":
        both.override(rest[0], rest[1], rest[2] * 1_000 * W + rest[3] % 7)
    elif verb == "quorum":
        asset, seconds, every = rest
        price = book.feed(asset).price
        for second in range(0, seconds + 1, min(3, every)):
            both.tick(min(3, every) if second else 1)
            if second % every == 0 or second + every > seconds:
                both.prices([price + second] * 3, asset)
    elif verb == "spread":
        later(both, "ETH")
        both.prices([max(1, eth + eth * off // 10_000) for off in rest[0]], "ETH")
    elif verb == "late":
        both.tick(3)
        both.price(max(1, eth + eth * rest[0] // 10_000), "ETH", age=rest[1])
    elif verb == "pull":
        # A keeper pulls in a round that was observed before, in or after the second just begun, and tries it at once.
        off, age, victim = rest
        both.tick(2)
        both.price(max(1, eth + eth * off // 10_000), "ETH", age=age)
        both.liquidate(KEEPER, victim)
    elif verb == "silence":
        for second in range(0, rest[0], 3):
            both.tick(min(3, rest[0] - second))
    elif verb == "drain":
        both.withdraw(rest[0], max(1, both.most_withdrawable(rest[0]) + rest[1]))
    elif verb == "fund":
        both.settle_funding(rest[0])
    elif verb == "announce":
        both.announce(rest[0], rest[1], both.params.timelock_delay_s + rest[2])
    elif verb == "delay":
        play(both, ("silence", both.params.timelock_delay_s + rest[0]))
    else:
        getattr(both, verb)(*rest)


# Enough of everything is held that what follows finds something to reduce, fund, liquidate and settle.
OPENING: tuple[Step, ...] = (
    ("trade", B, MAKER, FUTURE, -4 * W - 3, 10, 5), ("trade", B, MAKER, PERPETUAL, 5 * W + 1, 300, 3),
    ("trade", B, MAKER, CALL, -2 * W - 7, 600, 1), ("trade", C, MAKER, PUT, -6 * W - 1, 900, 2),
    ("trade", C, B, OIL_FUTURE, 50 * W + 3, -20, 4),
)


def live(both: Duel, steps: list[Step]) -> None:
    both.reset()
    for one in OPENING:
        play(both, one)
    for one in steps:
        play(both, one)
    # Whatever happened, everything that expires can be settled by anyone, and then holds nothing.
    play(both, ("expire", 1))
    for number in (FUTURE, CALL, PUT, OIL_FUTURE):
        conclude(both, number)
    for number in (FUTURE, CALL, PUT, OIL_FUTURE):
        for person in PEOPLE:
            if number in both.model.book.account(address(person)).positions:
                both.settle(person, number)
        assert both.model.book.series[number].clearing == 0


def conclude(both: Duel, number: int) -> None:
    """Whatever happened to its oracle, a series becomes final in the end, by anybody's calls."""
    series = both.model.book.series[number]
    if series.final_price is None and not series.disputed_at:
        both.finalize(number)
    if series.final_price is None:
        play(both, ("silence", series.disputed_at + both.params.dispute_window_s - both.chain.now - 1))
        both.resolve(number)
        if both.model.book.series[number].final_price is None:
            both.tick(1)
            both.resolve(number)
    assert both.model.book.series[number].final_price is not None


LEVERED: Step = ("trade", A, MAKER, FUTURE, 14 * W, 0, 0)


@settings(
    max_examples=LIVES, deadline=None, derandomize="HARNESS_DIFFERENTIAL" not in os.environ, database=None,
    suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
@example([LEVERED, ("wait", 1), ("price", -500, 7), ("liquidate", KEEPER, A), ("fund", A)])
@example([LEVERED, ("wait", 2), ("price", -5_000, 1), ("liquidate", KEEPER, A), ("liquidate", KEEPER, A)])
# All the way down: an auction and a bid; deleveraging; a deficit, new insurance, and everybody pays.
@example([LEVERED, ("price", -850, 0), ("bid", KEEPER, A), ("liquidate", KEEPER, A), ("liquidate", KEEPER, A),
          ("wait", 3), ("cancel", A), ("bid", KEEPER, A), ("trade", A, MAKER, LATER, W, 0, 0), ("drain", MAKER, 0)])
@example([LEVERED, ("trade", C, MAKER, PERPETUAL, 9 * W, 500, 1), ("price", -1_500, 0), ("liquidate", KEEPER, A),
          ("liquidate", MAKER, C), ("cover",), ("haircut",), ("drain", B, 0)])
@example([LEVERED, ("trade", B, MAKER, PERPETUAL, -7 * W, -300, 9), ("outage", 21, False),
          ("price", -4_000, 0), ("quorum", "ETH", 16, 3), ("expire", 0),
          ("finalize", FUTURE), ("settle", A, FUTURE), ("drain", MAKER, 0),
          ("insure", 10**7), ("haircut",), ("cover",), ("fresh", 1), ("haircut",), ("drain", MAKER, 0)])
@example([LEVERED, ("price", -850, 0), ("liquidate", KEEPER, A), ("price", 600, 0), ("cancel", A), ("cancel", A)])
@example([("oil", 1, 20 * W), ("trade", A, MAKER, OIL_FUTURE, 40 * W, 0, 3), ("wait", 1), ("oil", -1, 37 * W),
          ("expire", -1), ("trade", B, MAKER, OIL_FUTURE, 3 * W, 0, 0), ("wait", 1), ("oil", -1, 38 * W),
          ("finalize", OIL_FUTURE), ("settle", A, OIL_FUTURE), ("settle", A, OIL_FUTURE)])
@example([("trade", A, MAKER, PERPETUAL, 9 * W, 900, 3), ("grace",), ("fund", A), ("outage", 60, True), ("wait", 3),
          ("fresh", 1), ("trade", A, MAKER, PERPETUAL, -20 * W, -900, 1), ("grace",), ("fund", MAKER),
          ("reduce", A, PERPETUAL, 1000)])
@example([LEVERED, ("trade", A, MAKER, CALL, 3 * W, 200, 0), ("trade", A, MAKER, PUT, -1 * W, 500, 1),
          ("outage", 31, False), ("price", -900, 0), ("liquidate", KEEPER, A), ("grace",), ("liquidate", KEEPER, A)])
# In dispute: too early and too late for all; the next quorum, a second short of its window; governance; carried.
@example([("silence", 60), ("finalize", FUTURE), ("finalize", CALL), ("resolve", FUTURE),
          ("override", OWNER, FUTURE, 1, 1), ("quorum", "ETH", 14, 3), ("resolve", FUTURE),
          ("override", A, CALL, 1, 1), ("override", OWNER, CALL, 1, 1),
          ("quorum", "ETH", 15, 3), ("resolve", FUTURE), ("settle", B, FUTURE), ("settle", B, CALL)])
@example([("silence", 60), ("fresh", 1), ("finalize", FUTURE), ("finalize", OIL_FUTURE), ("silence", 19),
          ("override", OWNER, OIL_FUTURE, -1, 3), ("wait", 1), ("override", OWNER, OIL_FUTURE, 10**6, 3),
          ("override", OWNER, OIL_FUTURE, -1, 3), ("settle", C, OIL_FUTURE), ("silence", 19), ("silence", 19),
          ("override", OWNER, FUTURE, 1, 3), ("resolve", FUTURE), ("wait", 1), ("wait", 1), ("resolve", FUTURE)])
# The breaker trips: nobody opens, everybody closes; then prices that disagree, one of them wildly.
@example([("price", -1_001, 0), ("trade", A, MAKER, FUTURE, W, 0, 0), ("reduce", B, PERPETUAL, 400),
          ("reduce", B, PERPETUAL, 1001), ("wait", 3), ("wait", 1), ("trade", A, MAKER, FUTURE, W, 0, 0), ("wait", 1),
          ("trade", A, MAKER, FUTURE, W, 0, 0), ("spread", [0, 10, 20_000, -9_000]), ("late", 50, 3), ("late", 50, 2)])
# Paused: an auction and a perpetual stand still; closing, topping up and settling go on; and the grace after.
@example([LEVERED, ("trade", B, MAKER, PERPETUAL, -7 * W, -300, 9), ("price", -850, 0), ("liquidate", KEEPER, A),
          ("wait", 3), ("pause", OWNER, 3), ("pause", OWNER, 1), ("pause", A, 4), ("bid", KEEPER, A),
          ("trade", A, MAKER, FUTURE, W, 0, 0), ("reduce", B, PERPETUAL, 400), ("silence", 19), ("fresh", 1),
          ("fund", B), ("deposit", A, 10**6), ("unpause", OWNER, 1), ("unpause", OWNER, 2), ("bid", KEEPER, A),
          ("liquidate", KEEPER, A), ("grace",), ("bid", KEEPER, A), ("unpause", OWNER, 4)])
@example([LEVERED, ("price", -5_000, 1), ("pause", OWNER, 7), ("liquidate", KEEPER, A), ("drain", MAKER, 0),
          ("outage", 21, False), ("wait", 2), ("unpause", OWNER, 7), ("fund", A), ("expire", 0), ("finalize", FUTURE),
          ("settle", A, FUTURE), ("pause", OWNER, 2), ("fresh", 1), ("cover",), ("haircut",), ("pause", OWNER, 8)])
# Factors: too early, in time, and who they hurt; then new code under an auction, once and no more.
@example([LEVERED, ("announce", OWNER, FACTORS[1], 0), ("announce", A, FACTORS[2], 0), ("enact", OWNER, 0),
          ("announce", OWNER, FACTORS[4], 0), ("announce", OWNER, FACTORS[2], -1), ("delay", -1), ("enact", OWNER, 0),
          ("wait", 1), ("enact", A, 0), ("enact", OWNER, 0), ("enact", OWNER, 0), ("enact", OWNER, 1), ("fresh", 1),
          ("liquidate", KEEPER, A), ("trade", C, MAKER, CALL, -2 * W, 600, 1)])
@example([LEVERED, ("announce", OWNER, None, 0), ("announce", OWNER, None, 2), ("delay", 0), ("wait", 3),
          ("price", -850, 0), ("liquidate", KEEPER, A), ("enact", OWNER, 0), ("enact", OWNER, 1),
          ("set_up_again", A), ("wait", 3), ("bid", KEEPER, A), ("price", -3_000, 5), ("liquidate", KEEPER, B)])
# L1's clock is behind, after an outage and after a pause: the grace lasts until it shows its end, to the second.
@example([LEVERED, ("price", -500, 7), ("behind", 7), ("outage", 21, False), ("fresh", 1), ("silence", 30),
          ("fresh", 1), ("liquidate", KEEPER, A), ("silence", 6), ("fresh", 1), ("liquidate", KEEPER, A), ("wait", 1),
          ("liquidate", KEEPER, A)])
@example([LEVERED, ("price", -850, 0), ("pause", OWNER, 2), ("wait", 1), ("unpause", OWNER, 2), ("behind", 40),
          ("silence", 31), ("fresh", 1), ("liquidate", KEEPER, A), ("behind", 0), ("wait", 1), ("fresh", 1),
          ("liquidate", KEEPER, A), ("bid", KEEPER, A)])
# Rounds from before a trade, from its second, and from after it; the same of a withdrawal, and of who took positions.
@example([("wait", 3), ("wait", 3), LEVERED, ("pull", -500, 3, A), ("pull", -600, 2, A)])
@example([("wait", 3), LEVERED, ("pull", -500, 2, A), ("pull", -600, 1, A), ("wait", 3), ("drain", KEEPER, 0),
          ("liquidate", KEEPER, A)])
@example([("trade", A, MAKER, FUTURE, 8 * W, 0, 0), ("wait", 3), ("wait", 3), ("drain", A, 0), ("pull", -600, 3, A),
          ("deposit", A, 1), ("pull", -700, 1, A)])
@given(st.lists(step, min_size=5, max_size=28))
def test_contracts_and_model_agree_on_every_state_and_every_refusal(both: Duel, steps: list[Step]) -> None:
    """A6 and every guard of RULES.md at once, under prices from a wei to a billionfold, signed ones below zero."""
    live(both, steps)


def test_the_lives_reached_what_they_are_for(both: Duel) -> None:
    """Runs after them: every operation was accepted by both sides and, where rules refuse any, refused by both."""
    if not both.accepted.get("liquidate"):
        pytest.skip("the lives were not played in this process")
    reached = ("trade", "withdraw", "liquidate", "bid", "cancel", "cover", "haircut", "insure", "finalize", "settle")
    for what in (*reached, "price", "resolve", "override", "pause", "unpause", "announce", "enact"):
        assert both.accepted.get(what, 0) > 0, (what, both.accepted)
    assert {"trade", "withdraw", "liquidate", "bid", "cancel", "cover", "haircut"} <= both.refused.keys()
    assert {"finalize", "resolve", "override"} <= both.refused.keys()
    assert {"pause", "unpause", "announce", "enact", "set up again"} <= both.refused.keys()
    assert {"SequencerGrace", "PauseGrace", "PriceBeforeMove"} <= both.errors
    assert LATER in SERIES
