"""Watches the engine's events: which of a project's containers have ended, and whether the engine is still there."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import requests.exceptions
from docker.errors import DockerException

from harness.runtimes.compose.client import engine_client
from harness.runtimes.compose.layout import PROJECT_LABEL

SERVICE_LABEL = "com.docker.compose.service"
DEATHS = ("die", "oom", "pause", "unpause")


class Vigil:
    """A thread over one long answer of the engine's; `close` ends it. The callbacks run on the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        project: str,
        *,
        on_event: Callable[[str, str, dict[str, str]], None],
        on_engine_lost: Callable[[], None],
    ) -> None:
        """`on_event(service, what, attributes)` for containers; `on_engine_lost()` once, unless closed before.

        Raises ToolError when no engine answers.
        """
        self._loop = loop
        self._on_event = on_event
        self._on_engine_lost = on_engine_lost
        self._closing = False
        self._client = engine_client()
        # From the engine's own now on; it is asked again for what happened between this call and its answer.
        self._stream: Any = self._client.api.events(
            since=int(time.time()) - 1, decode=True,
            filters={"label": f"{PROJECT_LABEL}={project}", "type": "container", "event": list(DEATHS)},
        )  # fmt: skip
        self._client.api.timeout = None  # type: ignore[assignment]  # events come when they come
        self._thread = threading.Thread(target=self._watch, name="docker-events", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        with contextlib.suppress(DockerException, requests.exceptions.RequestException, OSError, ValueError):
            for event in self._stream:
                actor = event.get("Actor", {}).get("Attributes", {})
                self._tell(self._on_event, str(actor.get(SERVICE_LABEL, "")), str(event.get("Action", "")), actor)
        if not self._closing:
            self._tell(self._on_engine_lost)

    def _tell(self, callback: Callable[..., None], *words: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(callback, *words)

    def close(self) -> None:
        """Idempotent; the thread ends soon after."""
        if not self._closing:
            self._closing = True
            with contextlib.suppress(Exception):  # the SDK closes sockets it finds by guessing
                self._stream.close()
            self._client.close()
