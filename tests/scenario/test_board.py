"""A board of options from a recorded chain: which become products, and what a damaged file is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.scenario.errors import ScenarioError
from harness.scenario.planning import plan_from_file

HEADER = "instrument_name,expiry_utc_iso,strike,option_type,underlying_price_usd,mark_iv_derived\n"
BOARD = "board: {csv: chain.csv, underlying: ETH, expires: [12s, 18s], strikes: 2}\n"
WAD = 10**18


def chain(*, without: str = "") -> str:
    """Three expiries of five strikes around 205; of the second, one put is missing."""
    rows = [
        f"ETH-{day}JAN24-{strike}-{letter},2024-01-0{day}T08:00:00Z,{strike},{letter},205.25,0.8"
        for day in (9, 8, 7) for strike in (180, 190, 200, 210, 220) for letter in "CP"
    ]
    return HEADER + "\n".join(row for row in rows if not without or without not in row) + "\n"


def planned(
    write: Callable[[str], Path], minimal: str, file: str, board: str = BOARD
) -> list[tuple[str, str, int, int]]:
    path = write(minimal + board)
    (path.parent / "chain.csv").write_text(file, encoding="utf-8")
    plan = plan_from_file(path)
    assert plan.products[0].id == "ETH-F1"
    return [(p.id, p.kind, p.strike_wad // WAD, p.expires_s) for p in plan.products[1:]]


def test_the_strikes_at_the_money_of_the_first_expiries_become_calls_and_puts(
    write: Callable[[str], Path], minimal: str
) -> None:
    """200 and 210 are nearest to 205.25; the file's order does not matter."""
    assert planned(write, minimal, chain()) == [
        (f"ETH-{day}JAN24-{strike}-{letter}", kind, strike, expires)
        for day, expires in ((7, 12), (8, 18))
        for strike in (200, 210)
        for letter, kind in (("C", "call"), ("P", "put"))
    ]


def test_a_strike_without_its_put_is_passed_over_and_expiries_can_be_skipped(
    write: Callable[[str], Path], minimal: str
) -> None:
    board = "board: {csv: chain.csv, underlying: ETH, expires: [12s], strikes: 2, skip: 1}\n"
    found = planned(write, minimal, chain(without="8JAN24-210-P"), board)
    assert [name for name, *_ in found] == [f"ETH-8JAN24-{strike}-{letter}" for strike in (200, 220) for letter in "CP"]


@pytest.mark.parametrize(
    ("file", "board", "told"),
    [
        ("a,b\n1,2\n", BOARD, "board.csv: chain.csv has no column instrument_name"),
        (HEADER + "X,2024-01-09,abc,C,200,1\n", BOARD, "chain.csv:2: strike is 'abc', not a price"),
        (HEADER + "X,2024-01-09,NaN,C,200,1\n", BOARD, "chain.csv:2: strike is 'NaN', not a price"),
        (HEADER + "X,2024-01-09,100,Q,200,1\n", BOARD, "chain.csv:2: option_type is 'Q', not C or P"),
        (HEADER + "X,2024-01-09\n", BOARD, "chain.csv:2: option_type is 'None', not C or P"),
        (HEADER, BOARD, "board.expires: chain.csv has 0 expiries"),
        (chain(), BOARD.replace("12s, 18s", "1s, 2s, 3s, 4s"), "has 3 expiries with calls and puts"),
        (chain(), BOARD.replace("12s, 18s", "18s, 12s"), "expires must rise"),
        (chain(), BOARD.replace("ETH,", "BTC,"), 'board.underlying: no market "BTC"'),
        (chain(), BOARD.replace("chain.csv", "none.csv"), "none.csv: no such file"),
        (chain(), BOARD.replace("strikes: 2", "strikes: 5").replace("12s, 18s", "5s, 12s, 18s"), None),
    ],
)
def test_a_board_that_cannot_be_is_refused_with_the_place(
    write: Callable[[str], Path], minimal: str, file: str, board: str, told: str | None
) -> None:
    if told is None:
        assert len(planned(write, minimal, file, board)) == 30
        return
    with pytest.raises(ScenarioError) as caught:
        planned(write, minimal, file, board)
    assert told in str(caught.value)


def test_traders_with_a_strategy_need_the_book_and_a_place(write: Callable[[str], Path], minimal: str) -> None:
    workload = "workload: {traders: 3, rate: 2/s, leverage: [2, 8]}\n"
    for words, told in (("traders: 3, informed: 4", "raise traders"), ("traders: 3, informed: 1", "trade in the book")):
        with pytest.raises(ScenarioError, match=told):
            plan_from_file(write(minimal.replace(workload, f"workload: {{{words}}}\n")))


def test_a_real_chain_becomes_the_board_that_was_there(write: Callable[[str], Path], minimal: str) -> None:
    """Deribit's ETH options of 8 January 2024 at 11:19 UTC, with the index at 2222.19."""
    file = Path(__file__).parents[3] / "shared" / "data" / "deribit-eth-options-2024-01-08.csv"
    if not file.exists():
        pytest.skip("needs ../shared/data, the recorded chain of options, beside the repository")
    board = "board: {csv: chain.csv, underlying: ETH, expires: [12s, 18s], strikes: 3}\n"
    found = planned(write, minimal, file.read_text(encoding="utf-8"), board)
    assert [name for name, kind, *_ in found if kind == "put"] == [
        f"ETH-{day}JAN24-{strike}-P" for day in (9, 10) for strike in (2200, 2225, 2250)
    ]
