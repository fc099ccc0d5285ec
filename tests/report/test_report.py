"""The report says what the run says, escapes what it is given, and opens without a network."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import plotly.graph_objects
import pytest

from harness.checks.results import CheckResult, Verdict
from harness.history.reader import History
from harness.history.records import ProblemRecord
from harness.plan import Plan
from harness.report.console import Narration, announce, close, make_console
from harness.report.folder import rewrite_report
from harness.report.html import report_html
from harness.report.junit import junit_xml
from harness.report.result import result_bytes
from harness.report.story import behind, highest, least, tell
from harness.report.timeline import Band, figure_json
from harness.report.verdicts import exit_code_of, verdict_of
from harness.scenario.errors import ScenarioError
from harness.scenario.plan_file import plan_bytes

MakeResult = Callable[..., dict[str, Any]]
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Loads(HTMLParser):
    """Every address a page would load by itself, and the names of its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.elements: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_the_page_loads_nothing_from_anywhere(plan: Plan, history: History, make_result: MakeResult) -> None:
    page = report_html(plan, history, make_result())
    parser = Loads()
    parser.feed(page)
    assert parser.addresses == []
    styles = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles


def test_the_figure_says_nothing_that_plotly_does_not_know(plan: Plan, history: History) -> None:
    """It is written as JSON, which a browser would take whatever its keys; Plotly's own classes refuse a wrong one."""
    band = Band("f1", "kill", "kill batcher-0, at 55s", start_s=55, end_s=65, bit=True)
    figure = figure_json(tell(plan, history), [band])
    assert {trace["type"] for trace in figure["data"]} == {"scatter", "bar"}
    plotly.graph_objects.Figure(figure)
    figure["layout"]["xaxis"]["tikcsuffix"] = " s"
    with pytest.raises(ValueError, match="tikcsuffix"):
        plotly.graph_objects.Figure(figure)


def test_the_page_says_the_verdict_first(plan: Plan, history: History, make_result: MakeResult) -> None:
    page = report_html(plan, history, make_result())
    body = page[page.index("<body>") :]
    assert body.index("violated") < body.index("Timeline") < body.index("settled at another price")
    assert "harness replay runs/black-thursday-7" in body
    assert "did not bite" in body


def test_the_page_says_what_agreed_with_the_model_and_what_did_not(
    plan: Plan, history: History, make_result: MakeResult
) -> None:
    """A run in which little was compared proves little, so how much it was stands beside the verdict."""
    compared = {"all": 332, "differing": 1, "storage_fields": 60_405, "storage_fields_differing": 0}
    page = report_html(plan, history, make_result(stats={"wall_s": 6.1, "compared_at_the_wei": compared}))
    assert "<b>331/332</b>" in page
    assert "<b>60405/60405</b>" in page
    assert "to the wei" not in report_html(plan, history, make_result())


def test_whatever_the_run_says_is_escaped(plan: Plan, history: History, make_result: MakeResult, faults: Any) -> None:
    """A scenario, a revert reason or a node's last words must not become part of the page."""
    nasty_plan = replace(plan, about=NASTY, faults=tuple(replace(fault, text=NASTY) for fault in plan.faults))
    checks = [CheckResult("C1", NASTY, Verdict.VIOLATED, 1, NASTY, ({"case": NASTY},))]
    nasty_faults = [replace(fault, target=NASTY, evidence={NASTY: NASTY}) for fault in faults]
    problem = ProblemRecord(1, NASTY, NASTY, NASTY, fatal=True)
    nasty_history = replace(history, problems=(problem,))
    result = make_result(checks=checks, faults=nasty_faults, history=nasty_history)
    for fault in result["faults"]:
        fault["text"] = NASTY
    plain, page = Loads(), report_html(nasty_plan, nasty_history, {**result, "about": NASTY})
    plain.feed(page)
    assert "img" not in plain.elements
    assert page.count("<script") == report_html(plan, history, make_result()).count("<script")


def test_counts_are_those_of_the_history(plan: Plan, history: History) -> None:
    story = tell(plan, history)
    assert story.counts["liquidations"] == len(story.liquidations) == 12
    assert story.counts["settlements"] == len(story.settlements) == 20
    assert story.counts["settlements_future"] == 10
    assert story.counts["settlements_call"] == story.counts["settlements_put"] == 5
    assert {moment.account for moment in story.settlements} == {f"trader-{i}" for i in range(5)}


def test_a_node_that_stops_lags_behind_those_that_go_on() -> None:
    front = highest([[(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)], [(0.0, 1.0)]])
    assert front == ((0.0, 1.0), (1.0, 2.0), (2.0, 3.0))
    assert behind([(0.0, 1.0)], front, 3.0) == ((0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 2.0))


def test_a_lag_of_a_moment_is_not_drawn_and_one_that_lasts_is() -> None:
    flicker = [(0.0, 0.0), (0.4, 1.0), (0.5, 0.0), (4.0, 3.0), (8.0, 3.0)]
    assert least(flicker, 1.0)[:5] == ((0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (4.0, 3.0))
    assert least([], 1.0) == ()


def test_a_fault_that_did_not_bite_makes_a_run_unknown_at_best(faults: Any) -> None:
    """The storm it should have survived did not happen."""
    holds = [CheckResult("C1", "conservation", Verdict.HOLDS, 5, "")]
    bit = [fault for fault in faults if fault.bit]
    assert verdict_of(holds, bit) is Verdict.HOLDS
    assert verdict_of(holds, [*bit, replace(bit[0], bit=False)]) is Verdict.UNKNOWN
    assert verdict_of(holds, [*bit, replace(bit[0], healed=False)]) is Verdict.UNKNOWN


def test_a_fault_that_did_not_bite_hides_no_violation(faults: Any) -> None:
    violated = [CheckResult("C1", "conservation", Verdict.VIOLATED, 5, "")]
    assert verdict_of(violated, faults) is Verdict.VIOLATED


def test_no_check_at_all_is_unknown() -> None:
    assert verdict_of([], []) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("verdict", "fatal", "code"),
    [
        (Verdict.HOLDS, None, 0), (Verdict.VIOLATED, None, 1), (Verdict.UNKNOWN, None, 3), (Verdict.HOLDS, False, 0),
        (Verdict.HOLDS, True, 4), (Verdict.VIOLATED, True, 4),
    ],
)  # fmt: skip
def test_exit_codes(verdict: Verdict, fatal: bool | None, code: int) -> None:
    problems = [] if fatal is None else [ProblemRecord(0, "run", "x", None, fatal=fatal)]
    assert exit_code_of(verdict, problems) == code


def test_result_has_what_the_design_promises(make_result: MakeResult) -> None:
    result = make_result()
    assert {"scenario", "seed", "runtime", "verdict", "checks", "faults", "stats", "versions"} <= set(result)
    assert {"name", "verdict", "guarded", "summary", "evidence"} <= set(result["checks"][0])
    assert {"kind", "target", "bit", "healed"} <= set(result["faults"][0])
    assert result["stats"]["settlements_put"] == 5
    assert result_bytes(result) == result_bytes(make_result())


def test_junit_counts_unknown_as_error_and_violated_as_failure(make_result: MakeResult) -> None:
    root = ElementTree.fromstring(junit_xml(make_result()))
    checks, faults, harness = root
    assert (checks.get("tests"), checks.get("failures"), checks.get("errors")) == ("5", "1", "1")
    assert (faults.get("tests"), faults.get("errors")) == ("6", "1")
    assert (harness.get("tests"), harness.get("errors")) == ("1", "0")


def test_junit_survives_text_xml_cannot_carry(make_result: MakeResult) -> None:
    checks = [CheckResult("C1", "a\x00b", Verdict.VIOLATED, 1, "\x1b[31m]]>\ud800", ({"case": "\x07"},))]
    root = ElementTree.fromstring(junit_xml(make_result(checks=checks)))
    assert root.find("testsuite/testcase/failure") is not None


def test_a_report_can_be_made_again_from_its_folder(tmp_path: Path, plan: Plan, make_result: MakeResult) -> None:
    (tmp_path / "plan.json").write_bytes(plan_bytes(plan))
    (tmp_path / "result.json").write_bytes(result_bytes(make_result()))
    (tmp_path / "history.jsonl").write_bytes(b'{"t":0,"node":"run","kind":"phase","name":"boot"}\n')
    page = rewrite_report(tmp_path)
    assert "violated" in page.read_text(encoding="utf-8")
    assert (tmp_path / "junit.xml").exists()


def test_a_folder_without_a_result_is_refused(tmp_path: Path, plan: Plan) -> None:
    (tmp_path / "plan.json").write_bytes(plan_bytes(plan))
    with pytest.raises(ScenarioError, match=r"did not finish"):
        rewrite_report(tmp_path)


def said(act: Callable[..., None], *arguments: Any, **named: Any) -> str:
    stream = io.StringIO()
    act(make_console(stream), *arguments, **named)
    return stream.getvalue()


def test_closing_lines_are_verdict_evidence_and_replay(make_result: MakeResult, tmp_path: Path) -> None:
    lines = said(close, make_result(), tmp_path).splitlines()
    assert lines[-3].startswith("VIOLATED  3 of 5 checks hold, 5 of 6 faults bit and healed, 12 liquidations")
    assert lines[-2] == f"report  {tmp_path / 'report.html'}"
    assert lines[-1].startswith("replay  harness replay ")
    assert any("S1 settlement price" in line for line in lines)
    assert any("did not bite" in line for line in lines)


def test_seed_knobs_and_faults_are_said_before_the_run(plan: Plan) -> None:
    text = said(announce, plan, runtime="sim")
    assert "seed 7, profile fast, runtime sim" in text
    assert all(fault.text in text for fault in plan.faults)


def test_without_a_terminal_progress_is_a_line_for_each_tenth() -> None:
    stream = io.StringIO()
    with Narration(make_console(stream)) as narration:
        for done in range(1001):
            narration.progress(done * 10**8, 10**11, "head [1]")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[4] == "50 of 100 s; head [1]"
    assert "\x1b" not in stream.getvalue()
