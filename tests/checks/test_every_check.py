"""What is asked of every check alike: it accepts what is right, and says unknown where it saw nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checks.catalogue import CHECKS, run_checks
from harness.checks.registry import Check, Chosen, UnknownCheck, run_each, select
from harness.checks.results import CheckResult, Finding, Verdict, combine
from harness.checks.subject import Subject
from harness.history.reader import from_lines
from tests.checks.builder import BOUNDS, Run
from tests.checks.cases import CASES, Case, Story, verdicts_missing
from tests.checks.crossings import crossed
from tests.checks.stories import booked, coined, doubt, forced, full, governed, market, pooled, ruin, swapped, termed

IDS = [check.id for check in CHECKS]


@pytest.fixture(scope="module")
def good() -> list[dict[str, CheckResult]]:
    stories = (full, ruin, booked, termed, doubt, governed, pooled, swapped, coined, forced, crossed)
    return [{result.id: result for result in run_checks(story().history(), ["all"], BOUNDS)} for story in stories]


@pytest.mark.parametrize("id_", IDS)
def test_right_runs_hold_and_were_guarded(good: list[dict[str, CheckResult]], id_: str) -> None:
    """A check that rejects what is right is worse than none; of the runs one at least shows what it guards."""
    results = [run[id_] for run in good]
    for result in results:
        assert (result.verdict is not Verdict.VIOLATED, result.crashed) == (True, False), result
        assert result.evidence == ()
        assert (result.verdict is Verdict.HOLDS) is (result.guarded > 0)
    assert max(result.guarded for result in results) > 0, results


def test_every_check_has_a_history_it_rejects_and_one_it_cannot_judge() -> None:
    """A check nobody has seen fail is not yet a check: a new one needs its entry in cases.py."""
    assert verdicts_missing(IDS, CASES) == []


def test_a_check_without_cases_is_named() -> None:
    """The table's own guard is seen to fail, for a new check, an emptied entry and a leftover."""
    assert verdicts_missing([*IDS, "X1"], CASES) == ["X1: no violated and unknown history"]
    assert verdicts_missing(IDS, {**CASES, "C1": Case(CASES["C1"].unknown, {})}) == ["C1: no violated history"]
    assert verdicts_missing(IDS[1:], CASES) == ["C1: no such check"]


@pytest.mark.parametrize(
    ("id_", "story"),
    [pytest.param(id_, story, id=f"{id_} {wrong}") for id_, case in CASES.items() for wrong, story in case.bad.items()],
)
def test_a_wrong_run_is_violated_with_its_first_worst_and_last_case(id_: str, story: Story) -> None:
    result = story().judge(id_)
    assert (result.verdict, result.crashed) == (Verdict.VIOLATED, False), result
    assert [case["case"] for case in result.evidence] == ["first", "worst", "last"]
    assert all(len(case) > 1 for case in result.evidence)


@pytest.mark.parametrize("id_", CASES)
def test_a_run_without_what_a_check_guards_is_unknown(id_: str) -> None:
    """Something happened; still there was nothing to judge this by, and the check itself says so."""
    history = CASES[id_].unknown().history()
    (result,) = run_checks(history, [id_], BOUNDS)
    assert history.blocks
    assert (result.verdict, result.guarded, result.crashed) == (Verdict.UNKNOWN, 0, False), result
    assert "no whole canonical chain" not in result.summary


@pytest.mark.parametrize("id_", IDS)
def test_an_empty_history_is_unknown(id_: str) -> None:
    """Nothing seen is not the same as nothing wrong."""
    (result,) = run_checks(from_lines([]), [id_], BOUNDS)
    assert (result.verdict, result.guarded, result.crashed) == (Verdict.UNKNOWN, 0, False), result


@pytest.mark.parametrize("id_", [id_ for id_ in IDS if id_[0] != "H" and id_ != "R2"])
def test_blocks_without_events_are_unknown(id_: str) -> None:
    """A chain on which nothing happened gives no verdict about what would have."""
    result = Run().blocks(5).state().judge(id_)
    assert (result.verdict, result.guarded, result.crashed) == (Verdict.UNKNOWN, 0, False), result


@pytest.mark.parametrize("id_", [id_ for id_ in IDS if not id_.startswith("H")])
def test_a_hole_in_the_chain_is_unknown(id_: str) -> None:
    """What cannot be replayed from the start cannot be judged."""
    run = full()
    run.lines = [line for line in run.lines if not (line["kind"] == "block" and line["number"] == 4)]
    result = run.judge(id_)
    assert result.verdict is Verdict.UNKNOWN
    assert "never recorded" in result.summary
    assert not result.crashed


def test_ids_are_unique_and_described() -> None:
    assert len(set(IDS)) == len(IDS)
    assert all(check.name and check.about for check in CHECKS)


def test_a_crashing_check_says_unknown_with_the_exception_and_the_rest_go_on() -> None:
    def crash(subject: Subject) -> Finding:
        raise ZeroDivisionError("of my own making")

    broken = Check("X1", "broken", "fails", crash)
    results = run_each([Chosen(broken, True), Chosen(CHECKS[0], True)], full().history(), BOUNDS)
    assert (results[0].verdict, results[0].crashed) == (Verdict.UNKNOWN, True)
    assert "ZeroDivisionError: of my own making" in results[0].summary
    assert results[1].verdict is Verdict.HOLDS


def test_a_crashing_replay_fails_once_and_alike_for_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def boom(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("model broke")

    monkeypatch.setattr("harness.checks.subject.replay", boom)
    results = run_checks(full().history(), ["C1", "LS1"], BOUNDS)
    assert [(r.verdict, r.crashed, "model broke" in r.summary) for r in results] == [(Verdict.UNKNOWN, True, True)] * 2
    assert calls == 1


def test_selection_keeps_the_catalogues_order_and_ignores_case() -> None:
    assert [chosen.check.id for chosen in select(["ll1", "C1", "c1"], CHECKS)] == ["C1", "LL1"]
    assert tuple(chosen.check for chosen in select(["all"], CHECKS)) == CHECKS


def test_all_demands_every_check_but_those_that_wait_for_an_occasion() -> None:
    """A run need not meet a settlement below zero; one that asks for it by name must."""
    demanded = {chosen.check.id: chosen.demanded for chosen in select(["all"], CHECKS)}
    assert demanded == {check.id: not check.occasion for check in CHECKS}
    assert not demanded["S7"]
    for words in (["S7"], ["all", "S7"], ["S7", "all"], ["s7?", "S7"]):
        assert {c.check.id: c.demanded for c in select(words, CHECKS)}["S7"], words
    assert [str(chosen) for chosen in select(["S7?"], CHECKS)] == ["S7?"]


def test_a_check_that_met_no_occasion_says_unknown_and_does_not_count() -> None:
    """Not *holds*, for nothing was seen; and no shadow on the run, for nothing was promised. A crash does count."""
    history = market().history()
    (idle,) = run_checks(history, ["S7?"], BOUNDS)
    (asked,) = run_checks(history, ["S7"], BOUNDS)
    (held,) = run_checks(full().history(), ["C1"], BOUNDS)
    assert (idle.verdict, idle.is_idle, asked.is_idle) == (Verdict.UNKNOWN, True, False)
    assert combine([held, idle]) is Verdict.HOLDS
    assert combine([held, asked]) is Verdict.UNKNOWN
    assert combine([idle]) is Verdict.UNKNOWN
    assert combine([held, replace(idle, crashed=True)]) is Verdict.UNKNOWN


def test_a_violation_counts_although_nobody_demanded_the_check() -> None:
    (result,) = run_checks(CASES["S7"].bad["the sign dropped"]().history(), ["S7?"], BOUNDS)
    assert combine([result]) is Verdict.VIOLATED


def test_an_unknown_check_is_refused_with_near_names() -> None:
    with pytest.raises(UnknownCheck, match=r"no check is called 'LS9'; near: .*LS8"):
        run_checks(from_lines([]), ["LS9"], BOUNDS)


@pytest.mark.parametrize(
    ("verdicts", "combined"),
    [("", "unknown"), ("h", "holds"), ("hh", "holds"), ("hu", "unknown"), ("huv", "violated"), ("uv", "violated")],
)
def test_violated_outranks_unknown_outranks_holds(verdicts: str, combined: str) -> None:
    letters = {"h": Verdict.HOLDS, "u": Verdict.UNKNOWN, "v": Verdict.VIOLATED}
    assert combine(CheckResult("X", "x", letters[letter], 1, "") for letter in verdicts) == combined


def test_what_a_cached_genesis_already_holds_is_told_by_block_zero() -> None:
    """A venue deployed and funded before block 1 is replayed from the events of the genesis record."""
    run = full()
    run.close()
    first = next(line for line in run.lines if line["kind"] == "block")
    genesis = {**first, "number": 0, "hash": first["parent"], "parent": "0x" + "00" * 31 + "ff", "transactions": [],
               "timestamp": first["timestamp"] - 1,
               "events": [{**event, "tx": -1} for event in first["events"] if event["name"] == "SeriesListed"]}
    first["events"] = [event for event in first["events"] if event["name"] != "SeriesListed"]
    run.lines.append({**genesis, "t": 0})
    assert run.judge("A6").verdict is Verdict.HOLDS
