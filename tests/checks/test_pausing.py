"""The boundaries of pauses: clocks to the second, the grace after, and what may be refused meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.results import Verdict
from harness.checks.stopwatch import Stopwatch
from harness.model.pauses import LIQUIDATION, TRADING
from tests.checks.builder import Run, W, address
from tests.checks.cases import after_outage, resumed, tightened, two_pools
from tests.checks.stories import market

VIOLATED, HOLDS, UNKNOWN = Verdict.VIOLATED, Verdict.HOLDS, Verdict.UNKNOWN
ALICE = address("alice")


# -- clocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "counted"),
    [(0, 10, 10), (0, 12, 10), (10, 12, 0), (11, 25, 5), (20, 25, 5), (0, 40, 20), (35, 40, 0)],
)
def test_seconds_of_overlapping_and_touching_stretches_count_once(since: int, until: int, counted: int) -> None:
    """Down from 10 to 15, paused from 12 to 18 and from 18 to 20; then away from 30 on."""
    watch = Stopwatch([(12, 18), (10, 15), (18, 20), (30, 1 << 40)])
    assert watch.seconds(since, until) == counted


step = st.one_of(
    st.tuples(st.just("wait"), st.integers(1, 3)), st.tuples(st.just("gap"), st.integers(4, 40)),
    st.tuples(st.just("mask"), st.integers(0, 7)), st.tuples(st.just("down"), st.integers(1, 9)),
)


@given(st.lists(step, max_size=25))
def test_the_models_clocks_are_the_seconds_no_stretch_covers(steps: list[tuple[str, int]]) -> None:
    """Two ways to the same number: sums kept at each change, and the union of what was said to be stopped."""
    run = Run().block()
    book = run.venue.book
    began, funding, auction = run.timestamp, book.funding_clock, book.auction_clock
    for word, number in steps:
        if word == "mask":
            run.block()
            if number != book.pauses.paused:
                run._pause(number, {})
        elif word == "down":
            run.block().system("UptimeChanged", up=False, startedAt=run.timestamp)
            run.block(number)
            since = book.down_since
            run.system("OutageEnded", since=since, until=run.timestamp, downTime=book.down_time + run.timestamp - since)
            run.system("UptimeChanged", up=True, startedAt=run.timestamp)
        else:
            run.block(number)
    chain = run.history().chain
    assert book.funding_clock - funding == Stopwatch.of(chain, TRADING).seconds(began, run.timestamp)
    assert book.auction_clock - auction == Stopwatch.of(chain, LIQUIDATION).seconds(began, run.timestamp)


# -- the grace, and the promise to liquidate ------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0, 1, 12])
@pytest.mark.parametrize(("seconds", "verdict"), [(29, VIOLATED), (30, HOLDS)])
def test_the_grace_after_a_pause_ends_with_its_last_second_by_l1s_clock(
    seconds: int, verdict: Verdict, lag: int
) -> None:
    run = resumed(seconds + lag, lag=lag).liquidate("alice")
    assert run.judge("G2").verdict is verdict
    assert run.judge("LS2").verdict is UNKNOWN


@pytest.mark.parametrize(("seconds", "count"), [(34, 1), (35, 0)])
@pytest.mark.parametrize("paused", [True, False])
def test_a_call_stands_in_a_grace_until_the_clock_of_l1_has_ended_it(seconds: int, count: int, paused: bool) -> None:
    run = resumed(seconds, lag=5) if paused else after_outage(seconds - 1, lag=5)
    result = refused(run, "deposit", "ERC20InsufficientBalance(1,2,3)").judge("G1")
    assert (result.guarded, result.verdict) == (count, HOLDS if count else UNKNOWN)
    assert not count or f"1 in grace after a {'pause' if paused else 'restart'}" in result.summary


def test_a_pause_of_trading_alone_holds_up_no_liquidation() -> None:
    run = market(expires_in=500).trade("alice", "maker", 9, 100).block().price(94).pause(TRADING).block()
    assert run.liquidate("alice").judge("G2").verdict is UNKNOWN
    assert run.judge("LS1").verdict is HOLDS


def test_paused_time_stops_the_promise_to_liquidate_without_resetting_it() -> None:
    """Bound 3: two blocks before the pause, none of 10 in it nor of 30 in the grace, then the third and the fourth."""
    run = market(expires_in=500).trade("alice", "maker", 9, 100).blocks(2, price=94).block().price(94).pause(2)
    run.blocks(9, price=94).block().price(94).unpause(2).blocks(29, price=94)
    assert run.block().price(94).judge("LL1").verdict is UNKNOWN
    assert run.block().price(94).judge("LL1").verdict is VIOLATED


def test_a_change_is_announced_long_enough_to_the_second() -> None:
    assert tightened(19).judge("G3").verdict is VIOLATED
    assert tightened(20).judge("G3").verdict is HOLDS


def test_who_a_change_of_factors_made_liquidatable_is_told() -> None:
    """Alice long 9 at 95: 54.55 of equity, 53.44 of maintenance margin before and 102.6 after."""
    run = market(expires_in=500).trade("alice", "maker", 9, 100).announce(2_000, 1_200, 1_500, 1_000, 750)
    run.blocks(20, price=95).block().price(95).set_factors(2_000, 1_200, 1_500, 1_000, 750)
    (fact,) = run.venue.facts.factors
    assert fact.made_due == (ALICE,)
    assert "they made 1 accounts liquidatable" in run.judge("G3").summary


# -- what may be refused --------------------------------------------------------------------------------------------


def refused(run: Run, action: str, error: str | None, *, sender: str = "alice", **detail: Any) -> Run:
    args = detail.pop("args", {})
    run.op("trader-0/1", "invoke", action=action, args=args)
    return run.op("trader-0/1", "fail", run.transaction(ok=False, error=error, sender=sender), action=action, **detail)


def paused() -> Run:
    """Alice long 5 of the future, trading paused since the block before."""
    return market().trade("alice", "maker", 5, 100).block().price(100).pause(1).block()


@pytest.mark.parametrize(
    ("size", "verdict"), [(-5 * W, VIOLATED), (-W, VIOLATED), (-5 * W - 1, HOLDS), (W, HOLDS)],
)
def test_a_close_that_would_turn_the_position_over_may_be_refused_while_trading_is_paused(
    size: int, verdict: Verdict
) -> None:
    """Another trade came between the reading and the close: it opens then, and only then."""
    assert refused(paused(), "close", "TradingPaused()", series=1, size=str(size)).judge("G1").verdict is verdict


def test_a_close_in_an_isolated_pool_is_of_the_account_there() -> None:
    """The caller is the owner; what it holds in the pool is what the close takes from."""
    run = two_pools().block().pause(1).block()
    assert refused(run, "close", "TradingPaused()", series=4, size=str(-3 * W)).judge("G1").verdict is VIOLATED
    run = two_pools().block().pause(1).block()
    assert refused(run, "close", "TradingPaused()", series=4, size=str(-4 * W)).judge("G1").verdict is HOLDS


def test_a_keeper_without_an_account_in_the_pool_is_no_able_keeper_there() -> None:
    """Bound 3: alice falls in the pool, in which the only keeper has nothing until it moves collateral there."""
    def fallen() -> Run:
        run = two_pools()
        run.lines[0]["accounts"] = {"keeper-0": address("keeper")}
        return run.block().price(84)

    assert fallen().blocks(5, price=84).judge("LL1").verdict is UNKNOWN
    assert fallen().move("keeper", 400, to=1).blocks(5, price=84).judge("LL1").verdict is VIOLATED


def test_a_close_whose_size_nobody_recorded_is_not_held_against_the_chain() -> None:
    assert refused(paused(), "close", "TradingPaused()").judge("G1").verdict is HOLDS


@pytest.mark.parametrize(("age", "verdict"), [(20, VIOLATED), (21, HOLDS)])
def test_a_price_is_stale_past_the_limit_and_not_at_it(age: int, verdict: Verdict) -> None:
    run = market().trade("alice", "maker", 5, 100).pause(1).blocks(age - 1).block()
    assert refused(run, "close", "StalePrice(asset=ETH)").judge("G1").verdict is verdict


def test_the_model_stands_where_the_call_stood_in_its_block() -> None:
    """Refused as not final before the very transaction that made it final; wrong right after it."""
    def due() -> Run:
        run = market(expires_in=20).trade("alice", "maker", 5, 100).pause(1)
        return run.blocks(20, price=97).block()

    whose = {"account": ALICE, "series": 1}
    assert refused(due(), "settle", "NotFinal(id=1)", args=whose).finalize(1).judge("S10").verdict is HOLDS
    assert refused(due().finalize(1), "settle", "NotFinal(id=1)", args=whose).judge("S10").verdict is VIOLATED


def test_a_withdrawal_is_refused_for_margin_to_the_native_unit() -> None:
    """Alice has 100 less a fee of 0.25 and needs 50 for her position: 49.75 may go."""
    def withdrawal(native: int) -> Verdict:
        return refused(paused(), "withdraw", "InsufficientMargin(equity=1)", args={"amount": str(native)}).judge(
            "G1").verdict

    assert withdrawal(49_750_000) is VIOLATED
    assert withdrawal(49_750_001) is HOLDS


def test_going_back_to_code_that_was_set_up_leaves_nothing_open() -> None:
    """U2: version 1 was set up long ago; nobody can do it again, so its upgrade need not."""
    run = market().announce(2).blocks(20, price=100).block().upgrade()
    assert run.block().upgrade(1, is_set_up=False).judge("U2").verdict is Verdict.HOLDS
