"""Reports made again from what a finished run's folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from harness.history.reader import read
from harness.report.html import report_html
from harness.report.junit import junit_xml
from harness.report.result import RESULT_VERSION
from harness.scenario.errors import ScenarioError
from harness.scenario.folder import RunFolder
from harness.scenario.plan_file import read_plan

HISTORY, RESULT, JUNIT, REPORT = "history.jsonl", "result.json", "junit.xml", "report.html"


def rewrite_report(folder: Path) -> Path:
    """Write junit.xml and report.html again from what the folder holds; returns the report's path.

    Raises:
        ScenarioError: the folder is no finished run.
        HistoryError: its history cannot be read.
    """
    plan = read_plan(folder)
    result = _read_result(folder / RESULT)
    history = read(folder / HISTORY)
    rewritten = RunFolder(folder)
    rewritten.write(JUNIT, junit_xml(result))
    rewritten.write(REPORT, report_html(plan, history, result).encode())
    return folder / REPORT


def _read_result(file: Path) -> dict[str, Any]:
    try:
        result = orjson.loads(file.read_bytes())
    except OSError as error:
        what = f"cannot be read: {error.strerror}; a run that did not finish has no result"
        raise ScenarioError.at("", what, file=str(file)) from None
    except orjson.JSONDecodeError as error:
        raise ScenarioError.at("", f"not JSON: {error.msg}", file=str(file)) from None
    if not isinstance(result, dict) or result.get("version") != RESULT_VERSION:
        raise ScenarioError.at("", f"not a result of version {RESULT_VERSION}", file=str(file))
    return result
