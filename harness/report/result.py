"""result.json: the run's verdict as one stable document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from harness.checks.results import CheckResult
from harness.history.reader import History
from harness.plan import Plan
from harness.report.story import Story
from harness.report.verdicts import FaultLike, exit_code_of, verdict_of

RESULT_VERSION = 1
PROBLEMS_KEPT_MAX = 50


def build_result(
    plan: Plan,
    *,
    runtime: str,
    checks: Sequence[CheckResult],
    faults: Sequence[FaultLike],
    history: History,
    history_sha256: str,
    story: Story,
    stats: Mapping[str, Any],
    versions: Mapping[str, str],
    replay: str,
    market: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The document of DESIGN §4; `stats` joins the counts of the story, `replay` is the command that runs it again,
    `market` how well the market worked (`market_quality`)."""
    verdict = verdict_of(checks, faults)
    words = {fault.id: fault.text for fault in plan.faults}
    return {
        "version": RESULT_VERSION,
        "scenario": plan.scenario,
        "about": plan.about,
        "seed": plan.seed,
        "runtime": runtime,
        "verdict": str(verdict),
        "exit_code": int(exit_code_of(verdict, history.problems)),
        "checks": [check.to_json() for check in checks],
        "faults": [
            {
                "id": fault.id, "kind": fault.kind, "target": fault.target, "bit": fault.bit, "healed": fault.healed,
                "text": words.get(fault.id, ""), "evidence": fault.evidence,
            }
            for fault in faults
        ],
        "problems": [
            {
                "t": problem.t, "node": problem.node, "what": problem.what, "detail": problem.detail,
                "fatal": problem.fatal,
            }
            for problem in sorted(history.problems, key=lambda item: not item.fatal)[:PROBLEMS_KEPT_MAX]
        ],
        "stats": {**story.counts, **stats},
        **({} if market is None else {"market": market}),
        "versions": dict(versions),
        "history_sha256": history_sha256,
        "replay": replay,
    }  # fmt: skip


def result_bytes(result: Mapping[str, Any]) -> bytes:
    """Canonical JSON: equal results give equal bytes."""
    return orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS, default=str) + b"\n"
