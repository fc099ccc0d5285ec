"""A path from a CSV is the file's column, exactly, or a message with the file's line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.plan import Knot
from harness.scenario.errors import ScenarioError
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]
CSV = "{csv: path.csv, column: close, compress: 60}"
HEADER = "timestamp_utc_iso,open,close\n"


def scenario(minimal: str, csv: str = CSV) -> str:
    return minimal.replace("{knots: {0s: 200, 20s: 150}}", csv)


def test_rows_become_knots_with_time_compressed(write: Write, minimal: str, tmp_path: Path) -> None:
    rows = (
        "2020-03-12T00:00:00Z,1,195.43\n2020-03-12T00:10:00Z,1,194.52\n2020-03-12T00:20:00Z,1,\n1583974800,1,101.01\n"
    )
    (tmp_path / "path.csv").write_text(HEADER + rows)
    plan = plan_from_file(write(scenario(minimal)))
    assert plan.markets == (
        ("ETH", (Knot(0, 195_430000000000000000), Knot(10 * 10**9, 194_520000000000000000),
                 Knot(60 * 10**9, 101_010000000000000000))),
    )  # fmt: skip


def test_start_and_end_narrow_the_window(write: Write, minimal: str, tmp_path: Path) -> None:
    rows = "".join(f"2020-03-12T0{hour}:00:00Z,1,{200 - hour}\n" for hour in range(6))
    (tmp_path / "path.csv").write_text(HEADER + rows)
    csv = CSV.replace("60}", "3600, start: '2020-03-12T02:00:00Z', end: '2020-03-12T04:00:00Z'}")
    path = plan_from_file(write(scenario(minimal, csv))).markets[0][1]
    assert [(knot.at_ns, knot.value // 10**18) for knot in path] == [(0, 198), (10**9, 197), (2 * 10**9, 196)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEADER.replace("close", "last") + "2020-03-12T00:00:00Z,1,5\n", 'path.csv has no column "close"'),
        ("time,open,close\n2020-03-12T00:00:00Z,1,5\n", 'path.csv has no column "timestamp_utc_iso"'),
        ("", "its columns are none: the file is empty"),
        (HEADER, "has no value of close"),
        (HEADER + "2020-03-12T00:00:00Z,1,nan\n", "path.csv:2: close: not a finite number: 'nan'"),
        (HEADER + "2020-03-12T00:00:00Z,1,5\n2020-03-12T00:10:00Z,1,-5\n", "path.csv:3: close: negative"),
        (HEADER + "2020-03-12T00:00:00Z,1,0\n", "path.csv:2: close: a price must be above 0"),
        (HEADER + "2020-03-12T00:00:00Z,1,5\n2020-03-12T00:00:00Z,1,5\n", "path.csv:3: timestamp_utc_iso"),
        (HEADER + "yesterday,1,5\n", "path.csv:2: timestamp_utc_iso: not a time: 'yesterday'"),
        (HEADER + "2020-03-12T00:00:00Z,5\n", "path.csv:2: 2 fields where the header has 3"),
        (HEADER + '2020-03-12T00:00:00Z,1,"5\n', "path.csv:"),
        (HEADER + "# padding\n" * 900_000, "larger than"),
    ],
)
def test_a_damaged_csv_is_refused_with_its_line(
    write: Write, minimal: str, tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "path.csv").write_text(content)
    with pytest.raises(ScenarioError) as caught:
        plan_from_file(write(scenario(minimal)))
    assert words in str(caught.value)
    assert "market.ETH." in caught.value.problems[0].where


def test_a_csv_that_is_not_text_is_refused(write: Write, minimal: str, tmp_path: Path) -> None:
    (tmp_path / "path.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        plan_from_file(write(scenario(minimal)))


def test_base_fees_are_gwei_and_may_be_a_csv(write: Write, minimal: str, tmp_path: Path) -> None:
    (tmp_path / "gas.csv").write_text("t,p60\n0,3.4\n60,\n120,300\n")
    text = minimal + "l1_base_fee: {csv: gas.csv, column: p60, time: t, compress: 10}\n"
    assert plan_from_file(write(text)).l1_base_fee == (Knot(0, 3_400_000_000), Knot(12 * 10**9, 300 * 10**9))
