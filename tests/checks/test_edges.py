"""Edges of checks of which cases.py shows one plain case: to the unit, on the other side, and what is no violation."""

from __future__ import annotations

import pytest

from harness.checks.results import Verdict
from tests.checks.builder import BOUNDS, Run, W, address
from tests.checks.cases import came_back, capped, lent, sick
from tests.checks.stories import market

ALICE, BOB, MAKER = (address(name) for name in ("alice", "bob", "maker"))
VIOLATED, HOLDS, UNKNOWN = Verdict.VIOLATED, Verdict.HOLDS, Verdict.UNKNOWN


# -- A1: positions cancel -------------------------------------------------------------------------------------------


def half_settled(path: str, off: int) -> Run:
    """Alice has settled her 5 of a future against the maker, who has not."""
    run = market(expires_in=20).trade("alice", "maker", 5, 100).blocks(20, price=97).block().finalize(1)
    return run.settle("alice").state(corrupt={path: off} if path else {})


@pytest.mark.parametrize("off", [-1, 1, 5 * W])
def test_what_one_side_has_settled_must_still_cancel_what_the_other_holds(off: int) -> None:
    """Five of hers are gone, so his are five short: a unit more or less, or none at all, cancels nothing."""
    assert half_settled("", 0).judge("A1").verdict is HOLDS
    assert half_settled(f"accounts.{MAKER}.positions.0.size", off).judge("A1").verdict is VIOLATED


# -- M4: adding collateral ------------------------------------------------------------------------------------------


def test_a_deposit_that_takes_is_found_without_any_reading() -> None:
    run = market().trade("alice", "maker", 9, 100).block().deposit("alice", -60)
    assert run.judge("M4").verdict is VIOLATED


def coins(off: int) -> Run:
    """Alice long 1 000 dollars of inverse futures with 2 coins tops up by another; her equity as read is off."""
    run = market().coin_pool().list_series(4, expires_in=60).terms(pool=1).deposit_coin("alice", 2 * W)
    run.deposit_coin("maker", 90 * W).trade("alice@1", "maker@1", 1_000, 100, series=4).state()
    return run.block().deposit_coin("alice", W).state(corrupt={f"accounts.{address('alice@1')}.equity": off})


@pytest.mark.parametrize(("off", "verdict"), [(0, HOLDS), (-2 * W, HOLDS), (-5 * W // 2, VIOLATED)])
def test_coins_added_turn_nobody_liquidatable(off: int, verdict: Verdict) -> None:
    """She has 3, less the fee, and needs 0.625: only what is read as less than that is."""
    assert coins(off).judge("M4").verdict is verdict


def test_who_was_liquidatable_before_a_top_up_may_still_be() -> None:
    run = sick(93).state().block().deposit("alice", 1).state()
    assert run.venue.margin(ALICE).is_liquidatable
    assert run.judge("M4").verdict is HOLDS


# -- M7, T8: what a series' terms lend and let in ------------------------------------------------------------------


@pytest.mark.parametrize(("size", "verdict"), [(5, HOLDS), (6, VIOLATED)])
def test_the_last_unit_that_a_capped_profit_margins(size: int, verdict: Verdict) -> None:
    """Of 10 at 110 the margin is 110 and he has 119 and some; of 11 it is 121."""
    assert lent(size).judge("M7").verdict is verdict


def beside(size_wad: int, price: int) -> Run:
    """Bob, under margin without his profit, trades with alice as the taker; he is the maker of it."""
    run = market().list_series(0, expires_in=60).terms(profit_cap=20).trade("bob", "maker", 9, 100, series=4)
    run.deposit("alice", 1_000).block().price(130).block()
    return run.trade("alice", "bob", 0, price, series=4, size_wad=size_wad)


@pytest.mark.parametrize(
    ("size_wad", "price", "verdict"),
    [(-W, 130, VIOLATED), (W // 10, 130, HOLDS), (W // 10, 117, HOLDS)],
)
def test_the_makers_profit_is_capped_as_the_takers(size_wad: int, price: int, verdict: Verdict) -> None:
    """He has 100 + 20 against 117 at 130: he may take from what he holds, and open no more."""
    assert beside(size_wad, price).judge("M7").verdict is verdict


@pytest.mark.parametrize(("price", "verdict"), [(110, HOLDS), (80, VIOLATED)])
def test_who_holds_more_than_a_market_lends_may_not_reduce_into_a_worse_ratio(price: int, verdict: Verdict) -> None:
    """Rule 3.9 for who is under margin without the profit: half a unit sold below the index, or far below it."""
    run = market().list_series(0, expires_in=60).terms(profit_cap=5).trade("bob", "maker", 9, 100, series=4)
    run.block().withdraw("bob", 9).price(120).block().trade("bob", "maker", 0, price, series=4, size_wad=-W // 2)
    fact = run.venue.facts.trades[-1].taker
    assert fact.after.excess > 0
    assert fact.after.credited < fact.after.im
    assert fact.after.mm < fact.before.mm
    assert run.judge("M7").verdict is verdict


@pytest.mark.parametrize(("size", "verdict"), [(5, HOLDS), (6, VIOLATED), (-5, HOLDS), (-6, VIOLATED)])
def test_the_last_unit_within_a_cap_on_open_interest(size: int, verdict: Verdict) -> None:
    """At its cap is within it; who is long and who is short makes no difference."""
    assert capped(size).judge("T8").verdict is verdict


def test_a_price_that_lifts_interest_over_its_cap_stops_only_what_raises_it() -> None:
    """Five at 100 are 550 at 110: they may be handed on, or taken from, and not added to by a wei."""
    def story(taker: str, maker: str, size_wad: int) -> Verdict:
        run = capped(5).block().price(110).block()
        return run.trade(taker, maker, 0, 110, series=4, size_wad=size_wad).judge("T8").verdict

    assert story("writer", "maker", -W) is HOLDS
    assert story("keeper", "writer", W) is HOLDS
    assert story("keeper", "maker", 1) is VIOLATED


# -- LL6, U5 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gas", "verdict"), [(7_500_000, HOLDS), (7_500_001, VIOLATED)])
@pytest.mark.parametrize("price", [94, 91, 84], ids=["partial", "bid", "deleveraged"])
def test_a_liquidation_may_take_a_quarter_of_a_block_to_the_unit(gas: int, verdict: Verdict, price: int) -> None:
    run = market(expires_in=500, insurance=10).trade("alice", "maker", 9, 100).block().price(price).block()
    assert run.liquidate("alice", gas=gas).judge("LL6", BOUNDS).verdict is verdict


def killed(target: str, *, label: str, node: str, fork: int, before: bool = False) -> Run:
    """Those nodes are killed and come back; then, or while they were away, one of them labels a block."""
    run = Run().blocks(10).fault("inject", word="kill", target=target).wait(1)
    if before:
        run.head(node, label, 8, fork=fork)
    run.wait(1).fault("heal", word="kill", target=target).wait(1)
    return run if before else run.head(node, label, 8, fork=fork)


@pytest.mark.parametrize("label", ["committed", "safe", "finalized"])
def test_each_of_several_that_come_back_is_held_to_the_states_of_all(label: str) -> None:
    assert killed("replica-0, replica-1", label=label, node="replica-1", fork=1).judge("U5").verdict is VIOLATED
    assert killed("replica-0, replica-1", label=label, node="replica-1", fork=0).judge("U5").verdict is HOLDS


def test_what_is_not_promised_or_not_theirs_is_no_state_they_came_back_to() -> None:
    """An unsafe head may be on a fork; another node was never away; what was said before the return is not judged."""
    assert killed("replica-0", label="unsafe", node="replica-0", fork=1).judge("U5").verdict is UNKNOWN
    assert killed("replica-0", label="committed", node="replica-1", fork=1).judge("U5").verdict is UNKNOWN
    assert killed("replica-0", label="committed", node="replica-0", fork=1, before=True).judge("U5").verdict is UNKNOWN
    assert came_back().judge("U5").verdict is HOLDS
