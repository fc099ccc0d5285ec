"""A Docker engine of the test's own, to be killed: apart in data, state and socket from the one that everybody uses."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
from tenacity import Retrying, stop_after_delay, wait_fixed

from harness.runtimes.compose.base import base_image

START_SECONDS_MAX = 60


class OwnEngine:
    """`start` and `kill` as often as wanted; `close` leaves no process, mount or file."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="own-engine-"))  # short: a socket's path has 107 bytes at most
        self.host = f"unix://{self._folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None
        # In a network namespace of its own: two engines in one would take each other's bridges and firewall rules.
        self._namespace = f"own-engine-{os.getpid()}"
        subprocess.run(["ip", "netns", "add", self._namespace], check=True, capture_output=True)
        subprocess.run(["ip", "-n", self._namespace, "link", "set", "lo", "up"], check=True, capture_output=True)

    @property
    def prefix(self) -> list[str]:
        """Of a command that is to reach ports that this engine publishes; it replaces itself by the command."""
        return ["nsenter", f"--net=/run/netns/{self._namespace}"]

    def start(self) -> None:
        (self._folder / "pid").unlink(missing_ok=True)
        log = (self._folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*self.prefix, "dockerd", "--data-root", self._folder / "data", "--exec-root", self._folder / "exec",
                 "--pidfile", self._folder / "pid", "--host", self.host, "--log-level", "warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        for attempt in Retrying(stop=stop_after_delay(START_SECONDS_MAX), wait=wait_fixed(0.2), reraise=True):
            with attempt:
                subprocess.run(["docker", "-H", self.host, "version"], check=True, capture_output=True, timeout=10)

    def end(self, number: int) -> None:
        """Signal dockerd itself and see it gone; its containers live on after SIGKILL, as they would anywhere."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(60)

    def load(self, image: str) -> None:
        """Give it an image, and its base, of the engine that everybody uses."""
        with contextlib.closing(docker.from_env()) as client:
            base = base_image(client).tags[0]
        saved = subprocess.Popen(["docker", "save", base, image], stdout=subprocess.PIPE)
        load = ["docker", "-H", self.host, "load"]
        subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True, timeout=300)
        assert saved.stdout is not None
        saved.stdout.close()
        assert saved.wait(10) == 0

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
        deadline = time.monotonic() + 20
        while (left := list(self._processes())) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(f"{self._folder}/"):
                subprocess.run(["umount", "-l", place], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self._namespace], check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _processes(self) -> Iterator[int]:
        """What names our folder on its command line: containerd, its shims, and what is below them."""
        roots = set()
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if str(self._folder).encode() in (entry / "cmdline").read_bytes():
                        roots.add(int(entry.name))
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        for pid in parents:
            above: int | None = pid
            while above:
                if above in roots and above != os.getpid():
                    yield pid
                    break
                above = parents.get(above)
