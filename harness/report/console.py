"""A run on a terminal: what it will do, how far it is, and the closing lines a person needs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from harness.plan import Plan
from harness.report.decisions import step_text
from harness.report.exit_code import is_idle

MILESTONES = 10           # without a terminal: so many lines for a whole run
EVIDENCE_LINES_MAX = 6
_STYLE = {"holds": "bold green", "violated": "bold red", "unknown": "bold yellow", "failed": "bold magenta"}


class _PatientConsole(Console):
    """Goes quiet when its reader goes away. Rich would end the process with code 1, which to us is a violation."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence(self.file)


def silence(stream: IO[str]) -> None:
    """Let a stream lead nowhere, or Python would complain at exit about what it could not write."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor, as in tests, has no exit to spoil
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def make_console(stream: TextIO) -> Console:
    """Colour and cursor movement only on a terminal, and never under NO_COLOR or TERM=dumb."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return _PatientConsole(
        file=stream, no_color=plain, highlight=False, soft_wrap=True,
        force_terminal=False if plain or not stream.isatty() else None,
    )  # fmt: skip


class Narration:
    """The command line's narrator (`scenario.narration.Narrator`): a bar on a terminal, a line per milestone elsewhere.

    Use it as a context manager, so that the bar is gone when the run ends in whatever way.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._passed = 0

    def __enter__(self) -> Narration:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:>12}"), BarColumn(bar_width=32), TaskProgressColumn(),
                TextColumn("{task.fields[clock]}"), TimeElapsedColumn(), TextColumn("{task.fields[note]}"),
                console=self._console, transient=True,
            )  # fmt: skip
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def milestone(self, text: str) -> None:
        self._console.print(Text(text))

    __call__ = milestone

    def progress(self, done_ns: int, total_ns: int, note: str = "") -> None:
        clock = f"{done_ns / 1e9:.0f} of {total_ns / 1e9:.0f} s"
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("storm", total=total_ns, clock=clock, note=escape(note))
            self._bar.update(self._task, completed=min(done_ns, total_ns), clock=clock, note=escape(note))
        elif (passed := done_ns * MILESTONES // max(total_ns, 1)) > self._passed:
            self._passed = passed
            self._console.print(Text(f"{clock}{'; ' + note if note else ''}"))


def announce(console: Console, plan: Plan, *, runtime: str | None) -> None:
    """Seed, knobs and what will happen, before the first fault; without a runtime, what would."""
    kinds: dict[str, int] = {}
    for role in plan.roles:
        kinds[role.kind] = kinds.get(role.kind, 0) + 1
    operations = sum(len(script) for _, script in plan.operations)
    knobs = f"  seed {plan.seed}, profile {plan.profile.name}" + (f", runtime {runtime}" if runtime else "")
    console.print(Text.assemble((plan.scenario, "bold"), knobs))
    if plan.about:
        console.print(Text(f"  {plan.about}"))
    console.print(Text("  " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())))
    console.print(Text(f"  {len(plan.products)} products, {operations} operations, storm {plan.storm_ns / 1e9:g} s,"
                       f" then {plan.liveness_ns / 1e9:g} s to recover"))  # fmt: skip
    for fault in plan.faults:
        console.print(Text(f"  {fault.id}  {fault.text}"))
    for step in plan.governance:
        console.print(Text(f"  governance  {step_text(step, plan.venue.timelock_delay_s)}"))


def close(console: Console, result: Mapping[str, Any], folder: Path) -> None:
    """The last lines: what did not hold, the verdict, where the evidence is, how to run it again."""
    for check in result["checks"]:
        if check["verdict"] != "holds" and not is_idle(check):
            style = _STYLE[check["verdict"]]
            line = f"  {check['id']} {check['name']}: {check['summary']}"
            console.print(Text.assemble((f"{check['verdict']:>9}", style), line))
            for case in check["evidence"][:EVIDENCE_LINES_MAX]:
                console.print(Text("           " + ", ".join(f"{key} {value}" for key, value in case.items())))
    for fault in result["faults"]:
        if not (fault["bit"] and fault["healed"]):
            state = "did not bite" if not fault["bit"] else "was not healed"
            line = f"  {fault['id']} {state}: {fault['text']}"
            console.print(Text.assemble((f"{'fault':>9}", _STYLE["unknown"]), line))
    for problem in result["problems"]:
        if problem["fatal"]:
            detail = f": {problem['detail']}" if problem["detail"] else ""
            line = f"  {problem['node']} at {problem['t'] / 1e9:.1f} s: {problem['what']}{detail}"
            console.print(Text.assemble((f"{'failed':>9}", _STYLE["failed"]), line))
    stats = result["stats"]
    held = sum(check["verdict"] == "holds" for check in result["checks"])
    idle = sum(is_idle(check) for check in result["checks"])
    judged = len(result["checks"]) - idle
    bit = sum(fault["bit"] and fault["healed"] for fault in result["faults"])
    word = "failed" if result["exit_code"] == 4 else result["verdict"]
    console.print(Text.assemble(
        (f"{word.upper()}", _STYLE[word]),
        f"  {held} of {judged} checks hold, {bit} of {len(result['faults'])} faults bit and healed, "
        f"{stats.get('liquidations', 0)} liquidations, {stats.get('settlements', 0)} settlements"
        + (f"; {idle} more checks met nothing to judge" if idle else ""),
    ))  # fmt: skip
    console.print(Text(f"report  {folder / 'report.html'}"))
    console.print(Text(f"replay  {result['replay']}"))
