"""Settlements at the wrong time, price or amount, twice, or not at all."""

from __future__ import annotations

import pytest

from harness.checks.results import CheckResult, Verdict
from tests.checks.builder import Run, address
from tests.checks.stories import market


def expired() -> Run:
    """Alice long 5 futures, bob long 2 puts; both expire 20 s after listing; the open block is past it."""
    run = market(expires_in=20).trade("alice", "maker", 5, 100).trade("bob", "writer", 2, 5, series=3)
    return run.blocks(20, price=97).block()


def settled() -> Run:
    run = expired().finalize(1).finalize(3)
    return run.settle("alice").settle("maker").settle("bob", 3).settle("writer", 3)


def violated(result: CheckResult) -> bool:
    return result.verdict is Verdict.VIOLATED


def test_a_position_settled_twice_is_found() -> None:
    run = settled()
    event = next(args for name, _, args in run._events if name == "Settled")
    result = run.block().raw("Settled", **event).judge("S1")
    assert violated(result)
    assert result.evidence[0]["first_block"] == 22


def test_settling_nothing_is_found() -> None:
    run = expired().finalize(1)
    run.raw("Settled", account=address("keeper"), seriesId=1, size=0, price=97 * 10**18, cashDelta=0)
    assert violated(run.judge("S1"))


@pytest.mark.parametrize("wrong", [{"cashDelta": -15 * 10**18 + 1}, {"size": 1}, {"price": 97 * 10**18 + 1}])
def test_a_settlement_off_by_a_wei_is_found(wrong: dict[str, int]) -> None:
    assert settled().judge("S2").verdict is Verdict.HOLDS
    assert violated(expired().finalize(1).settle("alice", **wrong).judge("S2"))


def test_a_short_rounded_toward_zero_is_found() -> None:
    """The truncating division of Solidity pays a short one wei too much; the model floors."""
    run = market(expires_in=20).trade("alice", "maker", 0, 100, size_wad=1)
    run.blocks(20, price=97).block().finalize(1)
    exact = run.settle("maker")._events[-1][2]["cashDelta"]
    result = market(expires_in=20).trade("alice", "maker", 0, 100, size_wad=1).blocks(20, price=97).block().finalize(
        1).settle("maker", cashDelta=exact + 1).judge("S2")
    assert violated(result)


@pytest.mark.parametrize(
    ("did", "seconds", "ok"),
    [("trade", 19, True), ("trade", 20, False), ("liquidate", 19, True), ("liquidate", 20, False),
     ("finalize", 19, False), ("finalize", 20, True), ("settle", 19, False), ("settle", 20, True)],
)
def test_expiry_belongs_to_the_settled_side_to_the_second(did: str, seconds: int, ok: bool) -> None:
    """t == T settles; t == T − 1 trades."""
    run = market(expires_in=20).trade("alice", "maker", 5, 100).blocks(seconds, price=80)
    if did == "trade":
        run.trade("bob", "maker", 1, 80)
    elif did == "liquidate":
        run.liquidate("alice")
    elif did == "finalize":
        run.finalize(1, price=80 * 10**18)
    else:
        run.raw("SeriesFinalized", seriesId=1, price=80 * 10**18)
        run.raw("Settled", account=address("alice"), seriesId=1, size=5 * 10**18, price=80 * 10**18,
                cashDelta=-100 * 10**18)
    result = run.blocks(2, price=80).judge("S3")
    assert (result.verdict is Verdict.HOLDS) is ok, result
    assert result.verdict is not Verdict.UNKNOWN


def test_before_any_expiry_the_boundary_is_unknown() -> None:
    assert market().trade("alice", "maker", 5, 100).judge("S3").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("off", [1, -1])
def test_a_settlement_price_that_is_not_the_average_is_found(off: int) -> None:
    assert violated(expired().finalize(1, price=97 * 10**18 + off).judge("S4"))


def test_a_price_before_the_feed_reached_expiry_is_found() -> None:
    run = market(expires_in=20).trade("alice", "maker", 5, 100).blocks(19, price=97).block().raw(
        "SeriesFinalized", seriesId=1, price=97 * 10**18)
    assert violated(run.judge("S4"))


def test_a_second_settlement_price_is_found() -> None:
    run = expired().finalize(1).block().raw("SeriesFinalized", seriesId=1, price=97 * 10**18)
    assert violated(run.judge("S4"))


def test_a_settlement_at_another_price_than_the_final_one_is_found() -> None:
    assert violated(expired().finalize(1).settle("alice", price=98 * 10**18).judge("S4"))


def test_storage_that_changes_its_mind_about_the_price_is_found() -> None:
    run = expired().finalize(1).state().block()
    assert run.judge("S4").verdict is Verdict.HOLDS
    assert violated(expired().finalize(1).state().block().state(corrupt={"series.1.price": 1}).judge("S4"))


def test_a_position_left_open_after_expiry_is_found() -> None:
    run = expired().finalize(1).finalize(3).settle("alice").settle("bob", 3).settle("writer", 3).blocks(10)
    result = run.judge("S6")
    assert violated(result)
    assert result.evidence[0]["open_accounts"] == [address("maker")]


def test_a_series_never_finalized_is_found() -> None:
    assert violated(expired().blocks(10).judge("S6"))


def test_everything_settled_holds_and_a_series_just_expired_is_not_judged() -> None:
    assert settled().blocks(10).judge("S6").verdict is Verdict.HOLDS
    assert expired().judge("S6").verdict is Verdict.UNKNOWN


def test_a_series_that_paid_out_more_than_it_took_in_is_found() -> None:
    run = expired().finalize(1).finalize(3).settle("alice", cashDelta=-15 * 10**18 + 1).settle("maker")
    assert violated(run.settle("bob", 3).settle("writer", 3).blocks(10).judge("S6"))


def test_a_negative_clearing_balance_of_a_settled_series_is_found() -> None:
    assert violated(settled().blocks(10).block().state(corrupt={"series.1.clearing": -1}).judge("S6"))


def half_settled() -> Run:
    """Alice's future loses her 150 of 100 while the put she holds on it pays 150; only the future is settled yet."""
    run = market(expires_in=20).trade("maker", "alice", -5, 100).trade("maker", "alice", -5, 2, series=3)
    return run.blocks(20, price=70).block().finalize(1).finalize(3).settle("alice", 1)


def test_negative_cash_backed_by_an_open_position_is_not_the_insurances_business() -> None:
    run = half_settled()
    assert run.venue.book.account(address("alice")).cash < 0
    run.state().block().settle("alice", 3).state()
    assert run.venue.book.account(address("alice")).cash > 0
    for check in ("A6", "C1", "C3"):
        assert run.judge(check).verdict is Verdict.HOLDS, check


@pytest.mark.parametrize("check", ["A6", "C3"])
def test_insurance_paid_to_an_account_that_still_holds_a_position_is_found(check: str) -> None:
    """The old rule: the leg settled first drew on the fund, and the other leg's profit was the account's to keep."""
    run = half_settled().raw("BadDebt", account=address("alice"), covered=50 * 10**18, remaining=10 * 10**18)
    run.state(corrupt={"totals.insurance": -50 * 10**18, f"accounts.{address('alice')}.cash": 50 * 10**18})
    result = run.judge(check)
    assert violated(result)
    assert run.judge("C1").verdict is Verdict.HOLDS


@pytest.mark.parametrize(("wrong", "holds"), [({}, True), ({"covered": 1}, False), ({"remaining": 1}, False)])
def test_the_debt_of_an_account_left_with_nothing_is_covered_to_the_wei(wrong: dict[str, int], holds: bool) -> None:
    """Long 5 from 100 with 100 of cash, settled at 60: −100; of the fund of 50 a block may draw half."""
    run = market(expires_in=20).trade("maker", "alice", -5, 100).blocks(20, price=60).block().finalize(1)
    run.settle("alice", 1)
    name, tx, args = run._events[-1]
    assert (name, args["covered"], args["remaining"]) == ("BadDebt", 25 * 10**18, 75 * 10**18)
    run._events[-1] = (name, tx, {**args, **{key: args[key] + off for key, off in wrong.items()}})
    assert (run.state().judge("A6").verdict is Verdict.HOLDS) is holds


def test_a_debt_nobody_announced_is_found() -> None:
    run = market(expires_in=20).trade("maker", "alice", -5, 100).blocks(20, price=60).block().finalize(1)
    run.settle("alice", 1)._events.pop()
    result = run.state().judge("A6")
    assert violated(result)
    assert result.evidence[0]["what"] == "BadDebt missing"


def test_the_boundary_counts_what_happened_to_series_that_got_there() -> None:
    """Two trades, two finalizations and four settlements; a trade counts once its series has reached expiry."""
    assert settled().judge("S3").guarded == 8
    run = market(expires_in=20).trade("alice", "maker", 9, 100).block().price(94).block().liquidate("alice")
    assert run.blocks(17).judge("S3").guarded == 0
    assert run.block().judge("S3").guarded == 2


def test_settlement_is_demanded_from_the_recovery_bound_on() -> None:
    """Expired at second 20; the bound is 10: one block earlier nothing is demanded yet."""
    run = market(expires_in=20).trade("alice", "maker", 5, 100).blocks(29, price=97)
    assert run.judge("S6").verdict is Verdict.UNKNOWN
    assert violated(run.block().judge("S6"))


@pytest.mark.parametrize("did", ["trade", "finalize"])
def test_the_worst_breach_of_the_boundary_is_the_farthest_from_it(did: str) -> None:
    run = market(expires_in=20).trade("alice", "maker", 5, 100).blocks(7, price=97)
    if did == "finalize":
        run.block().finalize(3).blocks(4).finalize(2).blocks(2).finalize(1)
        assert [case["series"] for case in run.judge("S3").evidence] == [3, 3, 1]
    else:
        run.blocks(14).trade("alice", "maker", 1, 97).blocks(7).trade("alice", "maker", 2, 97)
        run.list_series(0, expires_in=1).block().trade("alice", "maker", 3, 97, series=4)
        assert [case["series"] for case in run.judge("S3").evidence] == [1, 1, 4]
        assert run.judge("S3").evidence[1]["block"] == 29


def test_the_worst_wrong_amount_is_shown() -> None:
    run = expired().finalize(1).finalize(3)
    run.settle("alice", cashDelta=-15 * 10**18 + 1).settle("maker", cashDelta=15 * 10**18 - 9)
    run.settle("bob", 3, cashDelta=6 * 10**18 + 2)
    assert [case["account"] for case in run.judge("S2").evidence] == [
        address("alice"), address("maker"), address("bob")]
    assert run.judge("S2").guarded == 3


@pytest.mark.parametrize("order", ["before", "after"])
def test_what_moves_to_a_pool_in_the_block_of_a_settlement_is_not_an_order_of_settlements(order: str) -> None:
    """A8 compares storage at the block's end only for accounts to which nothing else happened."""
    run = expired().finalize(1).finalize(3)
    if order == "before":
        run.move("alice", 50, to=1)
    run.settle("alice").settle("maker")
    if order == "after":
        run.move("alice", 50, to=1)
    assert run.state().judge("A8").verdict is Verdict.HOLDS
