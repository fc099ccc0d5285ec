"""junit.xml: each check and each fault as a test case, so that any CI shows what failed and why."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from harness.report.verdicts import is_idle

# What XML 1.0 cannot carry at all, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(result: Mapping[str, Any]) -> bytes:
    """A `testsuites` document. Violated is a failure; unknown is an error, since nobody may take it for a pass."""
    root = ElementTree.Element("testsuites", {"name": "harness"})
    name = f"{result['scenario']} seed {result['seed']} on {result['runtime']}"
    checks = _suite(root, f"{name}: checks", len(result["checks"]))
    for check in result["checks"]:
        case = _case(checks, f"harness.{result['scenario']}.checks", f"{check['id']} {check['name']}")
        if check["verdict"] == "violated":
            _add(case, "failure", check["summary"], check["evidence"])
        elif is_idle(check):
            _add(case, "skipped", check["summary"], [])
        elif check["verdict"] != "holds":
            _add(case, "error", f"unknown: {check['summary']}", check["evidence"])
        _out(case, f"guarded {check['guarded']} times; {check['summary']}")
    faults = _suite(root, f"{name}: faults", len(result["faults"]))
    for fault in result["faults"]:
        case = _case(faults, f"harness.{result['scenario']}.faults", f"{fault['id']} {fault['text'] or fault['kind']}")
        missing = [word for word, happened in (("bite", fault["bit"]), ("heal", fault["healed"])) if not happened]
        if missing:
            _add(case, "error", f"did not {' or '.join(missing)}", fault["evidence"])
    harness = _suite(root, f"{name}: harness", 1)
    case = _case(harness, f"harness.{result['scenario']}", "no fatal problem")
    fatal = [problem for problem in result["problems"] if problem["fatal"]]
    if fatal:
        _add(case, "error", fatal[0]["what"], fatal)
    for suite in root:
        for tag, attribute in (("failure", "failures"), ("error", "errors")):
            suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    ElementTree.indent(root)
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _suite(root: ElementTree.Element, name: str, tests: int) -> ElementTree.Element:
    return ElementTree.SubElement(root, "testsuite", {"name": _clean(name), "tests": str(tests)})


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {"classname": _clean(group), "name": _clean(name), "time": "0"})


def _add(case: ElementTree.Element, tag: str, message: str, detail: Any) -> None:
    element = ElementTree.SubElement(case, tag, {"message": _clean(message)})
    element.text = _clean(json.dumps(detail, indent=1, ensure_ascii=False, default=str))


def _out(case: ElementTree.Element, text: str) -> None:
    ElementTree.SubElement(case, "system-out").text = _clean(text)
