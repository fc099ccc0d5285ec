"""From what went wrong to an exit code and a message; the one place where exceptions end."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TextIO

import typer

from harness.cli import interruption
from harness.report.exit_code import ExitCode

P = ParamSpec("P")
DEBUG = "HARNESS_DEBUG"


def print_json(document: Mapping[str, Any]) -> None:
    """The one document a `--json` verb writes to stdout; a reader that has gone away has seen enough."""
    import orjson

    try:
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2, default=str) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _silence(sys.stdout)


def verb(function: Callable[P, int | None]) -> Callable[P, None]:
    """Make a function a verb: what it returns is its exit code, and what it raises becomes one, with a message.

    A verb with a true `json` parameter also gets its error as a document on stdout. From here on there may be something
    to clean up, so an interrupt is an exception.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        interruption.raise_from_now_on()
        try:
            code = int(function(*args, **kwargs) or 0)
        except (typer.Exit, typer.Abort, SystemExit):
            raise
        except BaseException as error:
            code = report_error(error, as_json=bool(kwargs.get("json")))
        raise typer.Exit(code)

    return run


def report_error(error: BaseException, *, as_json: bool = False) -> int:
    """Print what a person needs to know about an error to stderr and return its exit code."""
    interruption.ignore_from_now_on()
    code, message = explain(error)
    message = "; ".join([message, *getattr(error, "__notes__", ())])
    if os.environ.get(DEBUG) == "1":
        traceback.print_exception(error)
    if as_json:
        from harness.scenario.errors import ScenarioError

        document: dict[str, Any] = {"error": message, "exit_code": int(code)}
        if isinstance(error, ScenarioError):
            document["problems"] = [
                {"where": problem.where, "what": problem.what, "line": problem.line} for problem in error.problems
            ]
        _quietly(sys.stdout, lambda: print_json(document))
    _quietly(sys.stdout, sys.stdout.flush)
    _quietly(sys.stderr, lambda: print(message, file=sys.stderr, flush=True))
    return int(code)


def explain(error: BaseException) -> tuple[ExitCode, str]:
    """The exit code and the message of an error."""
    # Imported when something went wrong: a verb that succeeds has no use for them.
    from harness.history.errors import HistoryError
    from harness.network.values import NetworkFailure, NetworkMisuse
    from harness.ports import PortError
    from harness.rollup.profile import ProfileError
    from harness.runtimes.failure import RuntimeFailure
    from harness.scenario.errors import ScenarioError
    from harness.toolchain.errors import ToolError

    if interruption.is_terminated():   # whatever became of the exception on its way here
        return ExitCode.TERMINATED, "terminated"
    if isinstance(error, BaseExceptionGroup):   # several tasks failed together; the first tells most
        return explain(_leading(error))
    if isinstance(error, ScenarioError | ProfileError | NetworkMisuse):
        return ExitCode.USAGE, str(error)
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED, "interrupted"
    if isinstance(error, ToolError | PortError | HistoryError | RuntimeFailure | NetworkFailure):
        return ExitCode.FAILED, str(error)
    if isinstance(error, BrokenPipeError):
        return ExitCode.FAILED, "the reader of the output went away"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return ExitCode.FAILED, f"{where}{error.strerror or error}"
    if isinstance(error, MemoryError):
        return ExitCode.FAILED, "out of memory"
    name = type(error).__name__
    return ExitCode.FAILED, f"{name}: {error}\nthis is a fault of the harness; {DEBUG}=1 shows where it happened"


def _leading(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """An interrupt if there is one, else the first error that is not itself a group."""
    leaves: list[BaseException] = []
    open_groups: list[BaseException] = [group]
    while open_groups:
        error = open_groups.pop(0)
        if isinstance(error, BaseExceptionGroup):
            open_groups.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((leaf for leaf in leaves if isinstance(leaf, KeyboardInterrupt)), leaves[0])


def _quietly(stream: TextIO, write: Callable[[], None]) -> None:
    """Write where the reader may be gone or the disk full, without a second error on top of the first."""
    try:
        write()
    except OSError:
        _silence(stream)


def _silence(stream: TextIO) -> None:
    from harness.report.console import silence

    silence(stream)
