"""The `harness` command: collects the verbs and turns the end of a verb into the process's exit code."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from harness.cli import interruption

if TYPE_CHECKING:  # imported where it is used: an interrupt during the imports is to be a quiet end too
    import typer

ROOMS = {
    "running": ("run", "replay", "demo"),
    "files": ("validate", "report", "schema"),
    "networks": ("up", "status", "endpoints", "logs", "restart", "down"),
    "hand_faults": ("fault", "heal"),
    "snapshots": ("snapshot",),
    "mutants": ("mutants",),
    "sweeps": ("sweep",),
    "tools": ("doctor",),
    "projects": ("init",),
}
"""Module → its verbs, in the order of the help: a verb that is known costs the import of its own module only."""

_HELP = """Example: harness run black-thursday

A storm laboratory for on-chain derivatives: boots a rollup of real Anvil nodes, breaks it, and judges every settlement
and liquidation to the wei.
"""


def make_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line, ready to be called with these arguments: what they do not name need not be read."""
    import typer

    app = typer.Typer(
        name="harness", help=_HELP, add_completion=False, no_args_is_help=True, rich_markup_mode=None,
        pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    verb = arguments[0] if arguments else ""
    rooms = [room for room, verbs in ROOMS.items() if verb in verbs] or list(ROOMS)
    for room in rooms:
        add_to: Callable[..., None] = import_module(f"harness.cli.{room}").add_to
        if room == "hand_faults":
            add_to(app, with_words="fault" in arguments)
        else:
            add_to(app)
    version = typer.Option(False, "--version", callback=_tell_version, is_eager=True, help="Say which version this is.")

    @app.callback()   # an application of one verb would have no verbs at all without one
    def root(version: bool = version) -> None:
        pass

    return app


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        from importlib import metadata

        import typer

        from harness.toolchain import ACCEPTED_ANVIL

        typer.echo(f"harness {metadata.version('harness')}, for Anvil {ACCEPTED_ANVIL}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code.

    0 holds, 1 violated, 2 bad usage, 3 unknown, 4 failed, 130 interrupted (SIGINT), 143 terminated (SIGTERM).
    """
    _open_closed_streams()
    code = _run(arguments)
    if arguments is None:
        _end(code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    with interruption.handled(is_whole_process=arguments is None):
        given = sys.argv[1:] if arguments is None else list(arguments)
        try:
            if arguments is None:
                _start_ahead(given)
            make_app(given)(args=given, prog_name="harness")
        except SystemExit as ended:   # how typer ends, in success too
            return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 2
        except BaseException as error:
            from harness.cli.exits import report_error

            return report_error(error)
        finally:
            _drop_what_was_started()
        return 0


def _start_ahead(arguments: Sequence[str]) -> None:
    """What `harness up` will need imports beside the command line, and not after it."""
    elsewhere = {"-h", "--help", "compose", "swarm", "--runtime=compose", "--runtime=swarm"}
    if arguments[:1] == ["up"] and not elsewhere & set(arguments):
        from harness.runtimes.local import head_start

        gc.disable()   # until the network has an owner: what is imported stays, and collecting finds nothing
        # The default network has roles of ours alone; a file, or a changed key, may name a project.
        is_plain = not any("project" in argument or os.path.isfile(argument) for argument in arguments)
        head_start.begin(("harness.roles.registry",), with_user_code=not is_plain)


def _drop_what_was_started() -> None:
    if (head_start := sys.modules.get("harness.runtimes.local.head_start")) is not None:
        head_start.drop()


def _end(code: int) -> None:
    """End now: to take everything apart that was imported takes an interpreter a tenth of a second."""
    if threading.active_count() == 1:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _open_closed_streams() -> None:
    """Started as `harness … >&-`, Python has no stream there and whoever writes would fail in a way of its own."""
    # A name that stays: the stream lives as long as the process.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
