"""A compiler that stays: most of a compilation by the npm package is loading it, and its second one is warm."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Any, Final

import orjson

from harness.solidity.compile import CompilationFailed, compile_with_solcx, readable
from harness.solidity.solc import has_native_solc, serving_command
from harness.toolchain.commands import ask_line

ANSWER_TIMEOUT_S: Final = 180.0
REQUESTS_MAX: Final = 24
"""Answered by one process before another takes its place: WebAssembly's memory only grows."""


class WarmCompiler:
    """Use it as a context manager; its process ends with the block. One thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = 0

    def __enter__(self) -> WarmCompiler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """The compiler's standard JSON, answered.

        Raises:
            CompilationFailed: the sources have errors, or the compiler died or did not answer in time.
        """
        if has_native_solc():
            return compile_with_solcx(request)
        if self._answered >= REQUESTS_MAX:
            self._end()
        answer = self._ask(orjson.dumps(request) + b"\n")
        output: dict[str, Any] = orjson.loads(answer)
        errors = [item for item in output.get("errors", ()) if item["severity"] == "error"]
        if errors:
            raise CompilationFailed(
                readable(errors, {name: item["content"] for name, item in request["sources"].items()})
            )
        return output

    def _ask(self, line: bytes) -> bytes:
        process = self._process
        if process is None:
            process = self._process = subprocess.Popen(
                serving_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                process_group=0,   # Ctrl-C is for whoever asked, who then ends it
            )
        self._answered += 1
        answer = ask_line(process, line, timeout_s=ANSWER_TIMEOUT_S)
        if answer is None:
            self._end()
            raise CompilationFailed(f"the compiler ended without an answer (limit {ANSWER_TIMEOUT_S:g} s)")
        return answer

    def _end(self) -> None:
        process, self._process, self._answered = self._process, None, 0
        if process is None:
            return
        process.kill()
        process.communicate()
