"""The README's tour of a dev network works, line by line, in a shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.network.network_file import network_plan

pytestmark = [pytest.mark.node, pytest.mark.local]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINE_TIMEOUT_S = 120


def tour() -> list[str]:
    shown = re.search(r"<!-- tour -->\n```sh\n(.*?)```\n<!-- /tour -->", README, re.DOTALL)
    assert shown is not None, "the README shows no tour"
    return shown[1].splitlines()


def test_every_line_of_the_tour_works(state: Path, tmp_path: Path) -> None:
    """As one script, so that what a line exports is there for the next; a line that fails ends it."""
    lines = tour()
    assert lines[0].startswith("harness up --detach")
    assert lines[-1] == "harness down"
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "harness").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness.cli "$@"\n')
    (bin_ / "harness").chmod(0o755)
    # The machine that runs tests may have the usual ports in use.
    lines[0] = lines[0].replace("harness up --detach", "harness up --detach --any-port")
    if shutil.which("curl") is None:
        lines = [line for line in lines if not line.startswith("curl")]
    script = "set -e\ntrap 'code=$?; [ $code = 0 ] || harness down --all >&2' EXIT\n"
    script += "".join(f"echo '== {number}'\n{line}\n" for number, line in enumerate(lines))
    environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=LINE_TIMEOUT_S * len(lines), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(zip(lines, re.split(r"== \d+\n", done.stdout)[1:], strict=True))
    for start, words in (
        ("harness up", "dev is up after"),
        ("curl", '"result":"0x'),
        ("harness fault partition", "no answer"),
        ("harness fault latency", "user→sequencer-0"),
        ("harness heal", "it bit"),
        ("harness restart", "batcher-0 is up again"),
        ("harness status", "dev  ready  local"),
        ("harness snapshot load", "back at fresh"),
        ("harness down", "dev is down"),
    ):
        for line in (line for line in lines if line.startswith(start)):
            assert words in said[line], f"{line}: {said[line]}"


def test_the_network_file_shown_is_one(tmp_path: Path) -> None:
    shown = re.search(r"^```yml\n# network.yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert shown is not None
    file = tmp_path / "network.yaml"
    file.write_text(shown[1], encoding="utf-8")
    plan = network_plan(file)
    assert len(plan.of_kind("trader")) == 6
    assert plan.market_period_ns == 120 * 10**9
    assert len(dict(plan.operations)) == 6
