"""report.html: one page that opens offline and is read in a minute; verdict first, then the timeline, then tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from harness.history.reader import History
from harness.plan import Plan
from harness.report.story import Story, tell
from harness.report.timeline import Band, timeline_html
from harness.report.verdicts import is_idle

ROWS_MAX = 500            # per table; the history has the rest
EVIDENCE_CHARACTERS_MAX = 4_000

_VERDICT_WORDS = {
    "holds": "Every check held",
    "violated": "A property was violated",
    "unknown": "Not enough was seen to judge",
}


def report_html(plan: Plan, history: History, result: Mapping[str, Any], story: Story | None = None) -> str:
    """The whole page. Everything taken from the run is escaped."""
    story = story or tell(plan, history)
    outcomes = {fault["id"]: fault for fault in result["faults"]}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["evidence"] = _evidence
    environment.filters["idle"] = is_idle
    failed = result["exit_code"] == 4
    return environment.get_template("report.html.j2").render(
        result=result,
        plan=plan,
        headline="The harness or a tool failed" if failed else _VERDICT_WORDS[result["verdict"]],
        tone="failed" if failed else result["verdict"],
        tally=_tally(result),
        checks=sorted(result["checks"], key=lambda check: ("violated", "unknown", "holds").index(check["verdict"])),
        timeline=Markup(timeline_html(story, _bands(plan, history, outcomes, story))),
        liquidations=story.liquidations[:ROWS_MAX],
        settlements=story.settlements[:ROWS_MAX],
        decisions=story.decisions[:ROWS_MAX],
        story=story,
        rows_max=ROWS_MAX,
    )


def _tally(result: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """The few numbers a reader wants before anything else: (figure, what it counts)."""
    stats, checks, faults = result["stats"], result["checks"], result["faults"]
    held = sum(check["verdict"] == "holds" for check in checks)
    judged = sum(not is_idle(check) for check in checks)
    bit = sum(fault["bit"] and fault["healed"] for fault in faults)
    compared = stats.get("compared_at_the_wei") or {}
    at_the_wei = (
        (_agreeing(compared, "all", "differing"), "events agree with the model to the wei"),
        (_agreeing(compared, "storage_fields", "storage_fields_differing"), "fields of storage, too"),
    ) if compared else ()
    return (
        (f"{held}/{judged}", "checks hold"),
        (f"{bit}/{len(faults)}", "faults bit and healed"),
        (str(stats.get("liquidations", 0)), "liquidations"),
        (str(stats.get("settlements", 0)), "settlements"),
        (str(stats.get("trades", 0)), "trades"),
        (str(stats.get("blocks", 0)), "L2 blocks"),
        *at_the_wei,
    )


def _agreeing(compared: Mapping[str, int], all_: str, differing: str) -> str:
    """`331/332`; results of former versions count no fields."""
    count = compared.get(all_, 0)
    return f"{count - compared.get(differing, 0)}/{count}"


def _bands(
    plan: Plan, history: History, outcomes: Mapping[str, Mapping[str, Any]], story: Story
) -> list[Band]:
    words = {fault.id: fault.text for fault in plan.faults}
    bands = []
    for window in history.fault_windows():
        outcome = outcomes.get(window.id, {})
        bands.append(Band(
            window.id, window.fault, words.get(window.id) or f"{window.fault} {outcome.get('target', '')}",
            start_s=window.start_ns / 1e9,
            end_s=story.end_s if window.end_ns is None else window.end_ns / 1e9,
            bit=bool(outcome.get("bit", True)),
        ))  # fmt: skip
    return sorted(bands, key=lambda band: (band.start_s, band.id))


def _evidence(value: Any) -> str:
    """Evidence as text: short values on one line, longer ones indented."""
    if value in (None, "", [], {}, ()):
        return ""
    if isinstance(value, str):
        return value[:EVIDENCE_CHARACTERS_MAX]
    line = json.dumps(value, ensure_ascii=False, default=str)
    text = line if len(line) <= 110 else json.dumps(value, ensure_ascii=False, indent=1, default=str)
    return text if len(text) <= EVIDENCE_CHARACTERS_MAX else text[:EVIDENCE_CHARACTERS_MAX] + "\n…"
