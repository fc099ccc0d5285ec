"""The `harness` command: collects the verbs and turns the end of a verb into the process's exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli import interruption

if TYPE_CHECKING:  # imported where it is used: an interrupt during the imports is to be a quiet end too
    import typer

_HELP = """Example: harness run black-thursday

A storm laboratory for on-chain derivatives: boots a rollup of real Anvil nodes, breaks it, and judges every settlement
and liquidation to the wei.
"""


def make_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line, ready to be called with these arguments: what they do not name need not be read."""
    import typer

    from harness.cli import files, hand_faults, mutants, networks, projects, running, snapshots, tools

    app = typer.Typer(
        name="harness", help=_HELP, add_completion=False, no_args_is_help=True, rich_markup_mode=None,
        pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    running.add_to(app)
    files.add_to(app)
    networks.add_to(app)
    hand_faults.add_to(app, with_words="fault" in arguments)
    snapshots.add_to(app)
    mutants.add_to(app)
    tools.add_to(app)
    projects.add_to(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code.

    0 holds, 1 violated, 2 bad usage, 3 unknown, 4 failed, 130 interrupted (SIGINT), 143 terminated (SIGTERM).
    """
    _open_closed_streams()
    with interruption.handled(is_whole_process=arguments is None):
        try:
            given = sys.argv[1:] if arguments is None else list(arguments)
            make_app(given)(args=given, prog_name="harness")
        except SystemExit as ended:   # how typer ends, in success too
            return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 2
        except BaseException as error:
            from harness.cli.exits import report_error

            return report_error(error)
        return 0


def _open_closed_streams() -> None:
    """Started as `harness … >&-`, Python has no stream there and whoever writes would fail in a way of its own."""
    # A name that stays: the stream lives as long as the process.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
