"""Calls to the Docker engine: off the loop, each with a timeout, and retried a bounded number of times."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import requests.exceptions
import tenacity
from docker import APIClient, DockerClient
from docker.errors import APIError, DockerException

from harness.runtimes.compose.client import engine_client, nobody_listens
from harness.runtimes.failure import RuntimeFailure
from harness.toolchain.errors import ToolError

CALLS_AT_ONCE = 8
CALL_TIMEOUT_S = 60
TRIES_MAX = 5
WAIT_S_MAX = 2.0
HINT = "see `docker version`; on Debian `compose/engine start` installs and starts one"

P = ParamSpec("P")
T = TypeVar("T")


class EngineGone(RuntimeFailure):
    """The Docker engine does not answer, or stopped to."""


class EngineRefused(RuntimeFailure):
    """The engine answered, and its answer is no."""


class DockerEngine:
    """One engine, as `$DOCKER_HOST` and its siblings name it. Use it as a context: it owns connections and threads."""

    def __init__(self, *, timeout_s: int = CALL_TIMEOUT_S) -> None:
        """Raises `EngineGone` when none answers."""
        try:
            self.client: DockerClient = engine_client(timeout_s=timeout_s)
        except ToolError as error:
            raise EngineGone(str(error)) from error
        self.api: APIClient = self.client.api
        self._running: set[Future[Any]] = set()
        self._threads = ThreadPoolExecutor(max_workers=CALLS_AT_ONCE, thread_name_prefix="docker")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    async def call(self, what: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One call that must be safe to repeat; `what` names it in messages.

        Raises:
            EngineGone: no answer, also not on a later try.
            EngineRefused: it says no; its words are in the message.
        """
        return await self._call(TRIES_MAX, what, functools.partial(function, *args, **kwargs))

    async def call_once(self, what: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call` for what has patience of its own."""
        return await self._call(1, what, functools.partial(function, *args, **kwargs))

    async def _call(self, tries_max: int, what: str, function: Callable[[], T]) -> T:
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(tries_max),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=WAIT_S_MAX),
            retry=tenacity.retry_if_exception(_is_passing),
            reraise=True,
        )
        try:
            return await retrying(self._once, function)
        except APIError as error:
            raise EngineRefused(f"the Docker engine would not {what}: {_said(error)}") from error
        except (DockerException, requests.exceptions.RequestException, OSError) as error:
            raise EngineGone(f"the Docker engine did not {what}: {_said(error)}; {HINT}") from error

    async def _once(self, function: Callable[[], T]) -> T:
        running = self._threads.submit(function)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.wrap_future(running)

    async def settle(self) -> None:
        """Wait for calls whose callers were cancelled: what they make can be removed once it is there. Bounded."""
        while left := [asyncio.wrap_future(call) for call in list(self._running) if not call.done()]:
            await asyncio.wait(left)


def _is_passing(error: BaseException) -> bool:
    """Whether another try may go better: the engine was busy with something else, or a connection broke."""
    if isinstance(error, APIError):
        words = str(error.explanation or "").lower()
        return (bool(error.is_server_error()) and any(
            part in words for part in ("has active endpoints", "timeout", "timed out", "resource busy", "try again")
        )) or (error.status_code == 409 and "in progress" in words)
    return isinstance(error, requests.exceptions.ConnectionError) and not nobody_listens(error)


def _said(error: BaseException) -> str:
    """The part of an error that a person needs, without the client's wrapping."""
    text = str(error.explanation) if isinstance(error, APIError) and error.explanation else str(error)
    return " ".join(text.split())[:300]
