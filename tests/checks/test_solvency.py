"""Bad books that the custody and accounting checks must reject."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.results import Verdict
from tests.checks.builder import START, Run, address
from tests.checks.stories import full, market

ALICE = address("alice")


def traded() -> Run:
    return market().trade("alice", "maker", 5, 100)


@pytest.mark.parametrize(
    ("check", "path"),
    [
        ("C1", "totals.custody"), ("C1", "totals.dust"), ("C1", "totals.fees"), ("C1", "totals.insurance"),
        ("C1", f"accounts.{ALICE}.cash"), ("C1", f"accounts.{ALICE}.positions.0.notional"), ("C1", "series.1.clearing"),
        ("C2", "totals.custody"),
        ("C3", "totals.insurance"),
        ("A1", f"accounts.{ALICE}.positions.0.size"), ("A2", "series.1.open_interest"),
        *(("A6", path) for path in (
            "totals.custody", "totals.insurance", "totals.fees", "totals.dust", f"accounts.{ALICE}.cash",
            f"accounts.{ALICE}.equity", f"accounts.{ALICE}.im", f"accounts.{ALICE}.mm",
            f"accounts.{ALICE}.positions.0.size", f"accounts.{ALICE}.positions.0.notional", "series.1.clearing",
            "series.1.open_interest", "series.1.open_positions", "assets.ETH.round", "assets.ETH.timestamp",
            "assets.ETH.price", "assets.ETH.cumulative",
        )),
    ],
)
def test_one_wei_off_in_storage_is_found(check: str, path: str) -> None:
    """Exact means exact: the smallest possible error in any field turns the verdict."""
    good = traded().state().judge(check)
    bad = traded().state(corrupt={path: 1}).judge(check)
    assert good.verdict is Verdict.HOLDS, good
    assert bad.verdict is Verdict.VIOLATED
    assert bad.evidence[0]["block"] == 1


@pytest.mark.parametrize("path", ["series.1.final", "series.1.price"])
def test_a_wrong_final_state_is_found(path: str) -> None:
    """Finality and the settlement price are storage like any other."""
    run = traded().blocks(59, price=100).block().price(101).block().finalize(1)
    result = run.state(corrupt={path: -1}).judge("A6")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["what"] == path


def test_conservation_leaves_a_record_of_only_some_accounts_unjudged() -> None:
    """A sum over half the accounts says nothing about the whole."""
    result = traded().state(drop=("alice",)).judge("C1")
    assert result.verdict is Verdict.UNKNOWN
    assert "1 more list only some accounts" in result.summary


def test_a_withdrawal_that_no_event_tells_of_is_found() -> None:
    run = traded().state().block().state(corrupt={"totals.custody": -5_000_000})
    result = run.judge("C2")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[1]["block"] == 2


def test_negative_insurance_is_found() -> None:
    assert market(insurance=0).state(corrupt={"totals.insurance": -1}).judge("C3").verdict is Verdict.VIOLATED


def dusty() -> Run:
    """Third of a unit at an odd price: each side of the trade is floored, one wei goes to dust."""
    return market().trade("alice", "maker", 0, 0, size_wad=10**18 // 3, price_wad=100 * 10**18 + 1)


def test_dust_within_the_number_of_roundings_holds() -> None:
    run = dusty().state()
    assert run.history()
    assert run.venue.book.dust == 1
    assert run.judge("A3").verdict is Verdict.HOLDS


@pytest.mark.parametrize("corruption", [-2, 5])
def test_dust_below_zero_or_above_the_number_of_roundings_is_found(corruption: int) -> None:
    assert dusty().state(corrupt={"totals.dust": corruption}).judge("A3").verdict is Verdict.VIOLATED


def test_falling_dust_is_found() -> None:
    """Residue that disappears was paid to someone."""
    run = dusty().state().block().state(corrupt={"totals.dust": -1})
    result = run.judge("A3")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["block"] == 2


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (lambda: market().trade("alice", "maker", 5, 100, fee=1), "Traded.fee"),
        (lambda: market().trade("alice", "alice", 5, 100), "Traded.maker"),
        (lambda: market().trade("alice", "maker", 5, 100, seriesId=9), "Traded.seriesId"),
        (lambda: _liquidation(toKeeper=0), "Liquidated.toKeeper"),
        (lambda: _liquidation(toInsurance=0), "Liquidated.toInsurance"),
        (lambda: _liquidation(covered=1), "Liquidated.covered"),
        (lambda: _liquidation(badDebt=1), "Liquidated.badDebt"),
        (lambda: _liquidation(equityBefore=0), "Liquidated.equityBefore"),
        (lambda: _liquidation(maintenanceMargin=0), "Liquidated.maintenanceMargin"),
        (lambda: _status(up=True), "UptimeChanged without a gap"),
        (lambda: _status(up=False, off=1), "UptimeChanged.startedAt"),
        (lambda: _status(up=False).block().system("UptimeChanged", up=False, startedAt=0), "UptimeChanged while down"),
        (lambda: market().block().raw("UptimeChanged", up=False, startedAt=START + 2),
         "UptimeChanged outside the system transaction"),
        (lambda: market().raw("SeriesListed", id=9, kind=0, asset="ETH", strike=0, expiry=1), "SeriesListed.id"),
        (lambda: market().raw("BadDebt", account=ALICE, covered=1, remaining=0), "BadDebt"),
    ],
)
def test_an_amount_the_model_computes_differently_is_found(run: object, what: str) -> None:
    """Every derived field of every event is computed again."""
    result = run().state().judge("A6")  # type: ignore[operator]  # a table of stories
    assert result.verdict is Verdict.VIOLATED
    assert what in {case["what"] for case in result.evidence}


def _status(*, up: bool, off: int = 0) -> Run:
    run = traded().block()
    return run.system("UptimeChanged", up=up, startedAt=run.timestamp + off)


def _liquidation(**wrong: Any) -> Run:
    return traded().block().price(84).block().liquidate("alice", **wrong)


def test_a_restart_that_was_not_announced_is_found() -> None:
    """After a gap the first block says so, or the grace clock never starts."""
    run = market().state().block(dt=9)
    run._events = [event for event in run._events if event[0] != "UptimeChanged"]
    result = run.judge("A6")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["what"] == "UptimeChanged after a gap"


@pytest.mark.parametrize(
    ("wrong", "what"),
    [({"since": 1}, "OutageEnded.since"), ({"until": 1}, "OutageEnded.until"),
     ({"downTime": 8}, "OutageEnded.downTime"), (None, "OutageEnded after a gap")],
)
def test_an_outage_told_wrong_or_not_at_all_is_found(wrong: dict[str, int] | None, what: str) -> None:
    """The active clock rests on it, and with it funding."""
    run = market().state().block(dt=9)
    index = next(i for i, (name, _, _) in enumerate(run._events) if name == "OutageEnded")
    if wrong is None:
        del run._events[index]
    else:
        run._corrupt(index, wrong)
    result = run.judge("A6")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["what"] == what


def test_a_maintenance_margin_above_the_initial_is_found() -> None:
    result = traded().state(corrupt={f"accounts.{ALICE}.mm": 10**30}).judge("M3")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["account"] == ALICE


def test_a_state_of_a_block_that_was_dropped_is_not_judged() -> None:
    """An uncommitted block may show anything."""
    run = full()
    run.close()
    run.lines.append({**next(line for line in run.lines if line["kind"] == "state"), "t": run.t,
                      "hash": "0x" + "ab" * 32})
    assert run.judge("A6").verdict is Verdict.HOLDS


def test_books_with_every_kind_of_balance_at_once_hold() -> None:
    """Insurance, fees, dust and a half-settled series' clearing all count, each with its own sign."""
    run = market(expires_in=20).trade("alice", "maker", 0, 0, size_wad=10**18 // 3, price_wad=100 * 10**18 + 1)
    run.trade("bob", "writer", 2, 100).trade("bob", "writer", 2, 5, series=3).state().blocks(20, price=97).block()
    run.finalize(1).finalize(3).settle("alice").settle("bob").settle("writer", 3).state()
    book = run.venue.book
    assert min(book.insurance, book.fees, book.dust) > 0
    assert all((book.series[1].clearing, book.series[3].clearing, book.series[1].settled_size))
    for id_ in ("C1", "C2", "C3", "A1", "A3", "A6", "M3"):
        assert run.judge(id_).verdict is Verdict.HOLDS, id_


@pytest.mark.parametrize("side", ["model", "storage"])
def test_a_series_only_one_of_the_two_knows_is_found(side: str) -> None:
    run = traded().state()
    run.close()
    state = next(line for line in run.lines if line["kind"] == "state")
    if side == "model":
        del state["series"]["1"]
    else:
        state["series"]["7"] = dict(state["series"]["1"])
    result = run.judge("A6")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["what"].endswith(".exists")


def test_the_worst_gap_of_several_is_shown() -> None:
    run = traded().state(corrupt={"totals.fees": -3}).block().state(corrupt={"totals.fees": 9})
    result = run.block().state(corrupt={"totals.fees": 1}).judge("C1")
    assert [case["gap_wad"] for case in result.evidence] == [3, -9, -1]


@pytest.mark.parametrize("field", ["cash", "equity", "im", "mm"])
def test_an_account_the_model_never_heard_of_owns_and_owes_nothing(field: str) -> None:
    def run(value: int) -> Run:
        run = traded().state().close()
        state = next(line for line in run.lines if line["kind"] == "state")
        nothing = {"cash": "0", "equity": "0", "im": "0", "mm": "0", "positions": []}
        state["accounts"][address("stranger")] = {**nothing, field: str(value)}
        return run

    assert run(0).judge("A6").verdict is Verdict.HOLDS
    result = run(1).judge("A6")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["what"] == f"accounts.{address('stranger')}.{field}"
