"""Judged while it runs: the same violations as at the end, at the block they happened in, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.online import WHOLE_BLOCKS, Alarm, OnlineJudge
from harness.checks.results import Verdict
from tests.checks.builder import BOUNDS, Run
from tests.checks.cases import CASES, Story
from tests.checks.stories import full, market


def told(run: Run) -> tuple[OnlineJudge, list[tuple[int, Alarm]]]:
    """The judge after all records of a run, and each alarm with the number of the block whose record raised it."""
    run.close()
    judge = OnlineJudge(BOUNDS)
    alarms: list[tuple[int, Alarm]] = []
    for line in sorted(run.lines, key=lambda line: int(line["t"])):
        fields: dict[str, Any] = {key: value for key, value in line.items() if key not in ("t", "node", "kind")}
        alarms += [(fields["number"], alarm) for alarm in judge.see(line["node"], line["kind"], fields)]
    return judge, alarms


def test_a_right_run_raises_no_alarm_and_every_block_is_judged() -> None:
    judge, alarms = told(full())
    assert (alarms, judge.stopped) == ([], None)
    assert judge.judged == full().number


@pytest.mark.parametrize(
    ("id_", "story"),
    [pytest.param(id_, story, id=f"{id_} {wrong}") for id_ in sorted(WHOLE_BLOCKS)
     for wrong, story in CASES[id_].bad.items()],
)
def test_what_the_end_finds_is_told_at_the_block_it_happened_in(id_: str, story: Story) -> None:
    """Each bad history of each check that is judged online, with storage read a block later where it never was."""
    run = story()
    run.block().state()
    at_the_end = run.judge(id_)
    judge, alarms = told(run)
    assert at_the_end.verdict is Verdict.VIOLATED
    mine = [(seen, alarm) for seen, alarm in alarms if alarm.check == id_]
    assert len(mine) == 1, (judge.stopped, alarms)
    seen, alarm = mine[0]
    assert alarm.block == at_the_end.evidence[0]["block"]
    assert alarm.evidence == at_the_end.evidence[0]
    assert seen >= alarm.block


def test_an_alarm_comes_with_the_state_record_of_its_own_block() -> None:
    """Within a block of happening: here in it."""
    run = market().state().block().trade("alice", "maker", 5, 100, fee=1).state()
    run.blocks(3, price=100).block().state()
    assert [(seen, alarm.check, alarm.block) for seen, alarm in told(run)[1] if alarm.check == "A6"] == [(2, "A6", 2)]


def test_blocks_of_a_branch_that_lost_are_not_judged() -> None:
    """What was made and never committed is no part of the chain; a state record says which branch is."""
    run = market().state().block().price(99).state()
    run.close()
    made = next(line for line in run.lines if line["kind"] == "block" and line["number"] == 2)
    lost = {**made, "hash": "0x" + "ab" * 32, "events": [{"name": "Withdrawn", "contract": "Vault", "tx": 0, "args": {
        "account": "0x" + "11" * 20, "amount": "5"}}]}
    run.lines.insert(run.lines.index(made), lost)
    judge, alarms = told(run)
    assert (alarms, judge.judged, judge.stopped) == ([], 2, None)


def test_a_missing_block_stops_the_judging_and_says_so() -> None:
    """A hole is a hole: nothing after it can be replayed, and nothing is made up."""
    run = full().close()
    run.lines = [line for line in run.lines if not (line["kind"] == "block" and line["number"] == 4)]
    judge, alarms = told(run)
    assert alarms == []
    assert judge.judged == 3
    assert judge.stopped is not None
    assert "does not reach down" in judge.stopped


def test_a_block_that_says_it_is_its_own_parent_stops_the_judging() -> None:
    """A record like that must not be followed for ever."""
    run = market().block().state().close()
    for line in run.lines:
        if line["kind"] == "block" and line["number"] == 2:
            line["parent"] = line["hash"]
    judge, alarms = told(run)
    assert alarms == []
    assert judge.stopped is not None
    assert "does not reach down" in judge.stopped


@pytest.mark.parametrize(
    "fields", [{"number": 1, "hash": "0x" + "12" * 32}, {"number": "one", "hash": "x", "totals": 7}]
)
def test_a_record_that_cannot_be_read_stops_the_judging_and_not_the_run(fields: dict[str, Any]) -> None:
    judge = OnlineJudge(BOUNDS)
    assert judge.see("replica-0", "state", fields) == []
    assert judge.stopped is not None
    assert "could not be read" in judge.stopped


def test_without_checks_nothing_is_looked_at() -> None:
    """A project without our venue: its blocks are no business of the model."""
    judge = OnlineJudge(BOUNDS, ids=())
    assert judge.see("replica-0", "state", {"number": "nonsense"}) == []
    assert judge.stopped is None
