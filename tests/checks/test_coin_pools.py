"""Histories of coin pools that are wrong, each by one thing, and the check that must say so."""

from __future__ import annotations

import pytest

from harness.checks.catalogue import CHECKS, run_checks
from harness.checks.results import Verdict
from tests.checks.builder import BOUNDS, Run, W, address
from tests.checks.cases import Story
from tests.checks.stories import coined, market

ALICE = address("alice@1")


def coins(*, expires_in: int = 60) -> Run:
    """ETH at 100; an inverse future (4) in a coin pool: alice, with 2 coins, is 1 001 USD long of maker."""
    run = market().coin_pool().list_series(4, expires_in=expires_in).terms(pool=1).insure(1, pool=1)
    for name, wad in (("alice", 2 * W), ("maker", 90 * W), ("keeper", 50 * W)):
        run.deposit_coin(name, wad)
    return run.trade("alice@1", "maker@1", 1_001, 100, series=4)


def shown(path: str, off: int | str = 1) -> Story:
    """One field of storage is off, a block after."""
    return lambda: coins().state().block().price(101).state(corrupt={path: off})


def sick() -> Run:
    return coins().block().price(88).block()


def due(price: int = 90) -> Run:
    return coins(expires_in=20).blocks(20, price=price).block().price(price).finalize(4)


def wei(run: Run, name: str, more: int, field: str = "cash") -> Run:
    return run.state(corrupt={f"accounts.{address(name)}.{field}": more})


WRONG: dict[str, dict[str, Story]] = {
    "C1": {
        "a coin in custody that is nobody's": shown("pools.1.custody"),
        "a balance beyond its coins": shown("pools.1.balance"),
        "coins from nowhere": lambda: wei(coins(), "alice@1", 1),
        "coins made up for in dollars": lambda: coins().state(corrupt={"pools.1.dust": -1, "totals.dust": 1}),
    },
    "C2": {
        "coins taken without a withdrawal": shown("pools.1.custody", -W),
        "coins nobody deposited": shown("pools.1.custody", W),
    },
    "C3": {"insurance in coin that moved without a reason": shown("pools.1.insurance")},
    "C5": {
        "coins that became the cross pool's": shown("pools.0.balance", W),
        "a coin pool's balance gone": shown("pools.1.balance", -W),
        "a deposit into another's account": lambda: coins().block().raw(
            "CoinDeposited", account=address("bob"), pool=1, amount=str(W)).state(),
        "its insurance paid for another pool": shown("pools.1.insurance", -W // 4),
    },
    "C6": {"a deficit in coin out of nowhere": shown("pools.1.deficit")},
    "C7": {
        "coins short of what may be withdrawn": shown("pools.1.custody", -60 * W),
        "storage lets somebody take what others put in": shown(f"accounts.{ALICE}.cash", 500 * W),
    },
    "A1": {"contracts that do not cancel": shown(f"accounts.{ALICE}.positions.0.size")},
    "A2": {"open interest is not the longs": shown("series.4.open_interest")},
    "A3": {
        "dust in coin fell": lambda: coins().trade("alice@1", "maker@1", 7, 99, series=4).state().block().state(
            corrupt={"pools.1.dust": -1}),
        "more than a wei a rounding": shown("pools.1.dust", 100),
    },
    "A4": {
        "a trade made coin": lambda: wei(coins().state().block().trade("alice@1", "maker@1", 7, 99, series=4),
                                         "alice@1", W),
        "coin made, and dollars lost in the same blocks": lambda: coins().state().block().trade(
            "alice@1", "maker@1", 7, 99, series=4).trade("alice", "maker", 1, 100).state(
            corrupt={f"accounts.{ALICE}.cash": W, f"accounts.{address('alice')}.cash": -2 * W}),
    },
    "A5": {
        "a deposit scaled like dollars": lambda: wei(coins().state().block().deposit_coin("keeper", 7), "keeper@1",
                                                     7 * 10**12 - 7),
        "a withdrawal debited a wei less": lambda: wei(coins().state().block().withdraw_coin("keeper", 7),
                                                       "keeper@1", 1),
    },
    "A6": {
        "another coin": shown("pools.1.coin", "BTC"),
        "a fee in dollars": lambda: coins().trade("alice@1", "maker@1", 7, 100, series=4, fee=7 * 5 * W // 10_000),
        "an inverse future among dollars": lambda: market().list_series(4, expires_in=60).state(),
        "an inverse future in a pool of dollars": lambda: market().list_series(4, expires_in=60).terms(pool=1).state(),
        "a call in a coin pool": lambda: coins().list_series(1, strike=100, expires_in=60).terms(pool=1).state(),
        "another asset's future in a coin pool": lambda: coins().list_series(4, asset="BTC", expires_in=60).terms(
            pool=1).state(),
        "a coin whose price may fall below zero": lambda: market().coin_pool("OIL").state(),
        "a coin of two pools": lambda: market().coin_pool().coin_pool().state(),
        "a coin pool that skips a number": lambda: market().coin_pool(pool=2).state(),
        "coins moved into the cross pool": lambda: coins().move("alice", 0, to=0, source=1).state(),
        "coins paid into a pool of dollars": lambda: market().list_series(0, expires_in=60).terms(pool=1)
        .deposit_coin("alice", W).state(),
        "more withdrawn than the pool has": lambda: coins().withdraw_coin("maker", 500 * W).state(),
        "an auction's price by another notional": lambda: sick().start_auction("alice@1", equity=5).state(),
    },
    "A7": {
        "a wei above the exact sum": lambda: wei(coins(), "alice@1", 1),
        "more lost than the roundings": lambda: wei(coins(), "alice@1", -4),
        "a fee that was never told": lambda: coins().trade("alice@1", "maker@1", 7, 99, series=4, fee=0).state(),
        "settled by a linear profit": lambda: due().settle("alice@1", 4).state(
            corrupt={f"accounts.{ALICE}.cash": W // 9}),
    },
    "A8": {"the first to come got more": lambda: due().settle("alice@1", 4).settle("maker@1", 4).state(
        corrupt={f"accounts.{ALICE}.cash": 1})},
    "M1": {
        "more contracts than the coin margins": lambda: coins().trade("maker@1", "alice@1", -1_000, 100, series=4),
        "a keeper without coin": lambda: sick().deposit_coin("poor", 1).liquidate("alice@1", "poor@1"),
    },
    "M2": {"margin withdrawn": lambda: coins().block().withdraw_coin("alice", W)},
    "M3": {"MM above IM": shown(f"accounts.{ALICE}.mm", W)},
    "M4": {"a top-up that lowered the equity": lambda: wei(coins().state().block().deposit_coin("alice", 1),
                                                           "alice@1", -9 * W, "equity")},
    "T1": {"outside the band": lambda: coins().trade("alice@1", "maker@1", 1, 111, series=4)},
    "LS1": {"a healthy account": lambda: coins().block().price(95).block().liquidate("alice@1", "keeper@1")},
    "LS4": {
        "a penalty above its rate": lambda: sick().liquidate("alice@1", "keeper@1", toKeeper=W, toInsurance=W),
        "taken below the index": lambda: sick().liquidate("alice@1", "keeper@1", transfer={"price": 87 * W}),
    },
    "LS5": {
        "all of it closed": lambda: sick().liquidate("alice@1", "keeper@1", transfer={"size": 1_001 * W}),
        "a dollar too little": lambda: sick().liquidate("alice@1", "keeper@1", transfer={"size": W}),
    },
    "LL3": {
        "the reward forgotten": lambda: sick().liquidate("alice@1", "keeper@1", toKeeper=0),
        "gas beyond the reward": lambda: sick().liquidate("alice@1", "keeper@1", gas=90_000_000),
    },
    "S1": {"settled twice": lambda: due().settle("alice@1", 4).raw(
        "Settled", account=ALICE, seriesId=4, size="0", price=str(90 * W), cashDelta="0")},
    "S2": {
        "a wei too much": lambda: due().settle("alice@1", 4, cashDelta=1),
        "a linear profit, at the settlement price": lambda: due().settle(
            "alice@1", 4, cashDelta=-1_001 * W // 100 * 10 // 90 + 1),
    },
    "S6": {"paid out more than was taken in": lambda: due().settle("alice@1", 4).settle("maker@1", 4, cashDelta=2 * W)
           .blocks(14).state()},
    "S7": {
        "settled at zero": lambda: due().raw("Settled", account=ALICE, seriesId=4, size="1", price="0", cashDelta="0"),
        "a price below zero": lambda: due(-5).settle("alice@1", 4),
    },
}
"""Check → what is wrong → a history with just that wrong."""


@pytest.mark.parametrize(
    ("id_", "story"),
    [pytest.param(id_, story, id=f"{id_} {wrong}") for id_, bad in WRONG.items() for wrong, story in bad.items()],
)
def test_what_is_wrong_in_a_coin_pool_is_violated(id_: str, story: Story) -> None:
    result = story().judge(id_)
    assert (result.verdict, result.crashed) == (Verdict.VIOLATED, False), result
    assert [case["case"] for case in result.evidence] == ["first", "worst", "last"]


@pytest.mark.parametrize("story", [
    lambda: coins().state().block().price(101).state(),
    lambda: coins().state().block().trade("alice@1", "maker@1", 7, 99, series=4).trade("alice", "maker", 1, 100).state()
    .block().withdraw_coin("keeper", 7).state().block().deposit_coin("alice", 7).state(),
    lambda: coins().block().price(88).state().block().liquidate("alice@1", "keeper@1").state(),
    lambda: due().settle("alice@1", 4).settle("maker@1", 4).state().blocks(14).state(),
])
def test_the_same_histories_with_nothing_wrong_are_not_accused(story: Story) -> None:
    """What makes the histories above wrong is the one thing said."""
    results = run_checks(story().history(), sorted(WRONG), BOUNDS)
    assert [result.id for result in results if result.verdict is Verdict.VIOLATED or result.crashed] == []


def pleaded(error: str, sender: str, **args: str) -> Verdict:
    """A withdrawal refused for that while trading is paused."""
    run = coins().pause(1).block()
    run.op("trader-0/1", "invoke", action="withdraw", args=args)
    refusal = run.transaction(ok=False, error=error, sender=sender)
    return run.op("trader-0/1", "fail", refusal, action="withdraw").judge("G1").verdict


def test_a_withdrawal_of_coin_is_refused_for_margin_to_the_wei() -> None:
    """Alice has 2 coins less a fee of 0.005005 and needs 1.001: 0.993995 may go. Her dollars have no say in it."""
    free, error = 993_995 * 10**12, "InsufficientMargin(equity=1)"
    assert pleaded(error, "alice", pool="1", amount=str(free)) is Verdict.VIOLATED
    assert pleaded(error, "alice", pool="1", amount=str(free + 1)) is Verdict.HOLDS
    assert pleaded(error, "alice", amount=str(100 * 10**6)) is Verdict.VIOLATED


def test_who_has_no_account_in_the_pool_may_be_told_so() -> None:
    error = "AccountNotOpen(owner=1, pool=1)"
    assert pleaded(error, "alice", pool="1", amount="1") is Verdict.VIOLATED
    assert pleaded(error, "bob", pool="1", amount="1") is Verdict.HOLDS


def test_a_deficit_of_another_pool_is_no_reason() -> None:
    assert pleaded("DeficitUncovered(deficit=1)", "alice", pool="1", amount="1") is Verdict.VIOLATED
    assert pleaded("DeficitUncovered(deficit=1)", "alice", pool="9", amount="1") is Verdict.VIOLATED


def test_a_coin_pools_life_is_accused_of_nothing_and_shows_every_step() -> None:
    """Every end of a liquidation, a loss that nobody bore and its haircut, both coins settled: all of it holds."""
    run = coined()
    assert {fact.stage for fact in run.venue.facts.liquidations} == {1, 2, 3}
    assert any(fact.counterparties for fact in run.venue.facts.liquidations)
    assert [cut.deficit > 0 for cut in run.venue.facts.haircuts] == [True]
    results = {result.id: result for result in run_checks(run.history(), ["all"], BOUNDS)}
    assert not [id_ for id_, result in results.items() if result.verdict is Verdict.VIOLATED or result.crashed]
    guarded = {id_ for id_, result in results.items() if result.guarded}
    assert set(WRONG) - {"M4", "S7", "A8"} <= guarded | {check.id for check in CHECKS if check.occasion}
