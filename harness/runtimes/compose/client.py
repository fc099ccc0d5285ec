"""A client of the Docker engine, or a sentence on why there is none and how to get one."""

from __future__ import annotations

import os
import socket

import docker
from docker import DockerClient
from docker.errors import DockerException

from harness.toolchain.errors import ToolError

CALL_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0
DEFAULT_HOST = "unix:///var/run/docker.sock"
_HOW = "start Docker Engine 20.10 or newer, or point DOCKER_HOST to it; on Debian, as root: compose/engine start"


def engine_client(*, timeout_s: float = CALL_TIMEOUT_S) -> DockerClient:
    """A client of the engine at `$DOCKER_HOST` or the default socket; `timeout_s` bounds each call. Close it.

    Raises:
        ToolError: none answers.
    """
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if host.startswith("unix://"):
        # The SDK leaks the socket of a connection that fails, so see first whether anybody listens.
        with socket.socket(socket.AF_UNIX) as trial:
            trial.settimeout(CONNECT_TIMEOUT_S)
            try:
                trial.connect(host.removeprefix("unix://"))
            except OSError as error:
                raise ToolError("no Docker engine answers", found=f"{host}: {error.strerror or error}",
                                remedy=_HOW) from error
    try:
        client = docker.from_env(timeout=round(timeout_s))
    except DockerException as error:
        raise ToolError("no Docker engine answers", found=f"{host}: {str(error)[:200]}", remedy=_HOW) from error
    return client


def nobody_listens(error: BaseException) -> bool:
    """Whether the engine is not there at all, rather than busy: its socket is gone, or refuses."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError | FileNotFoundError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
