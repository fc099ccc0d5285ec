"""A container with just NET_ADMIN in another's network namespace, and a shell inside it that carries out commands.

The nodes themselves have no capability. The helper sees their interfaces because it shares their namespace, and nothing
else of them. One shell per helper is kept open: a command costs some milliseconds instead of an exec of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import struct
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException, ImageNotFound

from harness.runtimes.compose.probe import ask_image

if TYPE_CHECKING:
    from docker import DockerClient

RUN_TIMEOUT_S = 10.0
BUILD_TIMEOUT_S = 180
TOOLS_REPOSITORY = "harness-faults"
_FRAME = struct.Struct(">BxxxL")  # of a multiplexed stream: which stream, how many bytes


class HelperFailure(Exception):
    """A command in the helper failed, or there is no helper."""


class Helper:
    """Blocking and thread-safe: one command at a time. Close it, or remove it by its labels."""

    def __init__(self, client: DockerClient, *, image: str, target: str, labels: Mapping[str, str]) -> None:
        """Starts it in the namespace of the running container `target`. Raises `HelperFailure`."""
        self._lock = threading.Lock()
        self._unread = b""
        self._container: Any = None
        self._socket: Any = None
        try:
            self._container = client.containers.create(
                image, ["sleep", "infinity"], network_mode=f"container:{target}", cap_drop=["ALL"],
                cap_add=["NET_ADMIN"], user="0", read_only=True, tmpfs={"/run": "size=1m"}, pids_limit=32,
                mem_limit="64m", security_opt=["no-new-privileges"], labels={**labels, "harness.kind": "helper"},
            )
            self._container.start()
            shell = client.api.exec_create(self._container.id, ["sh"], stdin=True)["Id"]
            # Over a Unix socket it is wrapped in a file object, over TCP it is not.
            self._stream: Any = client.api.exec_start(shell, socket=True)
            self._socket = getattr(self._stream, "_sock", self._stream)
        except (DockerException, OSError) as error:
            self.close()
            raise HelperFailure(f"no helper in the namespace of {target}: {error}") from error

    def run(self, script: str, *, timeout_s: float = RUN_TIMEOUT_S) -> str:
        """Run shell commands and return what they print. Raises `HelperFailure` when the last of them fails."""
        marker = secrets.token_hex(8)
        deadline = time.monotonic() + timeout_s
        with self._lock:
            try:
                if self._socket is None:
                    raise EOFError("it has been closed")
                self._socket.settimeout(timeout_s)
                self._socket.sendall(f"{{ {script}\n}} 2>&1 </dev/null; echo {marker} $?\n".encode())
                output = ""
                while f"{marker} " not in output or not output.endswith("\n"):
                    output += self._read(deadline).decode(errors="replace")
            except (OSError, EOFError) as error:
                self.close()  # what its shell says from here on would be an answer to this command
                raise HelperFailure(f"the helper did not answer within {timeout_s:g} s: {error}") from error
        said, _, code = output.rpartition(f"{marker} ")
        if code.strip() != "0":
            raise HelperFailure(f"a command in the helper ended with {code.strip()}: {said.strip()[-300:]}")
        return said

    @property
    def is_closed(self) -> bool:
        return self._container is None

    def close(self) -> None:
        """Remove the container; idempotent, and quiet where it is gone already."""
        if self._socket is not None:
            # Several of the SDK's objects hold the socket, and none of them ends it: so the descriptor itself.
            with contextlib.suppress(OSError):
                os.close(self._socket.detach())
            self._socket = None
        if self._container is not None:
            with contextlib.suppress(DockerException, OSError):
                self._container.remove(force=True)
            self._container = None

    def _read(self, deadline: float) -> bytes:
        """The next frame's content."""
        _, size = _FRAME.unpack(self._exactly(_FRAME.size, deadline))
        return self._exactly(size, deadline)

    def _exactly(self, size: int, deadline: float) -> bytes:
        while len(self._unread) < size:
            left = deadline - time.monotonic()
            if left <= 0.0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
            part = self._socket.recv(1 << 16)
            if not part:
                raise EOFError("its shell has ended")
            self._unread += part
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken


def run_in(client: DockerClient, container: str, command: list[str]) -> str:
    """Run one command in a container that is not ours to keep a shell in, as its own user. Blocks.

    The SDK's `exec_run` leaves its socket to the garbage collector. Raises `HelperFailure` when it fails.
    """
    made = client.api.exec_create(container, command)["Id"]
    opened: Any = client.api.exec_start(made, socket=True)
    raw = getattr(opened, "_sock", opened)
    try:
        raw.settimeout(RUN_TIMEOUT_S)
        data = b""
        while part := raw.recv(1 << 16):
            data += part
    finally:
        with contextlib.suppress(OSError):
            os.close(raw.detach())
    said = ""
    while data:
        size = _FRAME.unpack(data[: _FRAME.size])[1]
        said += data[_FRAME.size : _FRAME.size + size].decode(errors="replace")
        data = data[_FRAME.size + size :]
    if (code := client.api.exec_inspect(made)["ExitCode"]) != 0:
        raise HelperFailure(f"a command in {container[:12]} ended with {code}: {said.strip()[-300:]}")
    return said


def helper_image(client: DockerClient, image: str) -> str:
    """An image with iptables and tc: the harness's own where its base has them, else one with Debian's packages added.

    Raises `HelperFailure` when they can not be had: the base has none, and no package source answers.
    """
    if _has_tools(client, image):
        return image
    base = str(client.images.get(image).id)
    tag = f"{TOOLS_REPOSITORY}:{hashlib.sha256(base.encode()).hexdigest()[:12]}"
    try:
        client.images.get(tag)
    except ImageNotFound:
        dockerfile = (
            f"FROM {image}\nUSER 0\nRUN apt-get update -qq && apt-get install -yqq --no-install-recommends iptables "
            "iproute2 && rm -rf /var/lib/apt/lists/*\n"
        )
        try:
            _build(client, dockerfile, tag)
        except (DockerException, OSError) as error:
            raise HelperFailure(
                f"the base image has no iptables and tc, and they can not be added ({str(error)[:200]}); "
                "build on compose/base-image, which has them"
            ) from error
    return tag


def _build(client: DockerClient, dockerfile: str, tag: str) -> None:
    from io import BytesIO

    for step in client.api.build(fileobj=BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True, decode=True,
                                 timeout=BUILD_TIMEOUT_S):
        if "error" in step:
            raise OSError(str(step["error"]))



def _has_tools(client: DockerClient, image: str) -> bool:
    """Asked once per image: an id is a hash of what is in it."""
    if (content := str(client.images.get(image).id)) not in _known_to_have:
        code, _ = ask_image(client, content, "sh", "-c", "command -v iptables && command -v tc", user="0")
        _known_to_have[content] = code == 0
    return _known_to_have[content]


_known_to_have = dict[str, bool]()
