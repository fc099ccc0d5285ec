"""A process that runs one storm after the other for somebody else: a line of JSON in, a line out, until its input ends.

What takes time is done once: the imports, and loading the compiler.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

import orjson

from harness.hunt.jobs import JOBS
from harness.solidity.warm_compiler import WarmCompiler

INTERRUPTED = 130


def main() -> int:
    """Answers until nobody asks any more. What goes wrong with one job is its answer."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)   # a run takes this for Ctrl-C: it ends what it started
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)                                   # whatever else is printed goes where it spoils no answer
    try:
        with WarmCompiler() as compiler:
            for line in sys.stdin.buffer:
                job = orjson.loads(line)
                answers.write(orjson.dumps(_answer(job, compiler), default=str) + b"\n")
                answers.flush()
    except (KeyboardInterrupt, BrokenPipeError):
        return INTERRUPTED
    return 0


def _answer(job: dict[str, Any], compiler: WarmCompiler) -> dict[str, Any]:
    try:
        return {"done": JOBS[job["job"]](job, compiler)}
    except Exception as error:  # whoever asked has the rest to do, and names the job
        return {"failed": f"{type(error).__name__}: {error}"}


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
