"""The runtime hears what happens to its containers, and that the engine has stopped to say anything."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.runtimes.compose.vigil import Vigil

DEADLINE_S = 20.0
DEATH = (
    b'{"Type":"container","Action":"die","Actor":{"ID":"x","Attributes":'
    b'{"com.docker.compose.service":"replica-0","exitCode":"137"}},"time":1}\n'
)


class Engine:
    """The little of an engine that a vigil needs: it answers pings, streams one event, and dies when told."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._open: list[socket.socket] = [self._server]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        pending = b""
        try:
            while data := connection.recv(65536):
                pending += data
                while b"\r\n\r\n" in pending:
                    head, _, pending = pending.partition(b"\r\n\r\n")
                    if b"/events" in head.split(b"\r\n")[0]:
                        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                        connection.sendall(b"%x\r\n%b\r\n" % (len(DEATH), DEATH))
                    else:
                        body = b'{"ApiVersion":"1.45","MinAPIVersion":"1.24"}'
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except OSError:
            return

    def die(self) -> None:
        for each in self._open:
            with each:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        self._thread.join(DEADLINE_S)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    made = Engine(path)
    yield made
    made.die()


def test_deaths_are_heard_and_so_is_the_engines_own(engine: Engine) -> None:
    async def check() -> None:
        heard: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        lost = asyncio.Event()
        vigil = Vigil(
            asyncio.get_running_loop(), "p",
            on_event=lambda service, what, more: heard.put_nowait((service, what, more["exitCode"])),
            on_engine_lost=lost.set,
        )  # fmt: skip
        async with asyncio.timeout(DEADLINE_S):
            assert await heard.get() == ("replica-0", "die", "137")
            assert not lost.is_set()
            engine.die()
            await lost.wait()
        vigil.close()

    asyncio.run(check())


def test_a_vigil_that_was_ended_reports_no_loss(engine: Engine) -> None:
    async def check() -> None:
        lost = asyncio.Event()
        vigil = Vigil(
            asyncio.get_running_loop(), "p", on_event=lambda *_: None, on_engine_lost=lost.set
        )
        vigil.close()
        vigil._thread.join(DEADLINE_S)
        assert not vigil._thread.is_alive()
        await asyncio.sleep(0)
        assert not lost.is_set()

    asyncio.run(check())
