"""One Anvil process: started in a private folder, watched until it answers, and gone without a trace afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.anvil.rpc import ConnectionLost, IpcClient, RpcError
from harness.anvil.scratch import ScratchFolder
from harness.anvil.spec import ChainSpec
from harness.ports import EngineFailure
from harness.runtimes.shielded import uninterrupted

BOOT_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 3.0
_READY_POLL_S = 0.002
_SOCKET_PATH_MAX = 100  # sun_path is 104 bytes on macOS, 108 on Linux
_PR_SET_PDEATHSIG = 1


class AnvilProcess:
    """Owns the process, its socket and its folder. The kernel kills it when the *thread* that started it ends.

    Start it from a thread that lives as long as the node is needed: the main thread, or a worker that only drives it.
    """

    def __init__(self, spec: ChainSpec, *, name: str, binary: Path, home: Path | None = None) -> None:
        """`home` is a folder to work in (kept if it existed before); None makes a private temporary one.

        Raises:
            EngineFailure: there is no place for a temporary folder.
        """
        self._spec = spec
        self._name = name
        self._binary = binary
        self._owns_home = home is not None and not home.exists()
        self._scratch: ScratchFolder | None = None
        if home is None:
            try:
                self._scratch = ScratchFolder()
            except OSError as error:
                raise EngineFailure(f"node {name} could not be started: no temporary folder for it: "
                                    f"{error.strerror or error}; free some space there or set TMPDIR") from error
            home = self._scratch.path
        self._home = home.absolute()
        self.socket_path = self._home / "ipc"
        self.log_path = self._home / "anvil.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def home(self) -> Path:
        """Where its socket, its log and whatever it keeps are."""
        return self._home

    @property
    def pid(self) -> int | None:
        """Process id while it has not been reaped."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Spawn the process and return at once; `wait_until_ready` waits for its answer.

        Raises:
            EngineFailure: the binary cannot run, or another live node has this folder's socket.
        """
        assert self._process is None, "an AnvilProcess is started once per stop"
        self._home.mkdir(parents=True, exist_ok=True)
        self._clear_socket()
        command = [
            str(self._binary), "--ipc", str(self.socket_path), "--host", "127.0.0.1", "--port", "0",
            "--cache-path", str(self._home / "cache"), *_chain_flags(self._spec),
        ]
        environment = {"HOME": str(self._home), "PATH": os.defpath, "TMPDIR": str(self._home), "RUST_BACKTRACE": "1"}
        self._started = time.monotonic()
        try:
            with self.log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._home, env=environment,
                    start_new_session=True, preexec_fn=_dying_with(os.getpid()),
                )
        except (OSError, subprocess.SubprocessError) as error:
            why = (isinstance(error, OSError) and error.strerror) or error
            raise EngineFailure(f"node {self._name} could not be started: {self._binary}: {why}; "
                                "`harness doctor` shows which Anvil is used") from error

    def wait_until_ready(self, client: IpcClient) -> None:
        """Return once the node answers `eth_chainId` with its spec's chain id.

        Raises:
            EngineFailure: it exited, answered another chain id, or did not answer within `BOOT_TIMEOUT_S`.
        """
        assert self._process is not None, "start it first"
        while True:
            code = self._process.poll()
            if code is not None:
                raise self._failure(f"exited with code {code} before answering eth_chainId")
            if self.socket_path.exists():
                try:
                    answer = client.call("eth_chainId")
                except (ConnectionLost, RpcError):
                    answer = None  # it exists before it listens
                if answer is not None:
                    if answer != hex(self._spec.chain_id):
                        raise self._failure(f"answered chain id {answer}, not {hex(self._spec.chain_id)}")
                    return
            if time.monotonic() - self._started > BOOT_TIMEOUT_S:
                raise self._failure("did not answer eth_chainId")
            time.sleep(_READY_POLL_S)

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def how_it_died(self) -> str:
        """For messages: exit code or signal, and the last line of its log."""
        code = None if self._process is None else self._process.poll()
        state = "is running" if code is None else f"ended with code {code}"
        return f"node {self._name} {state}; last log line: {self.last_log_line()!r}"

    def last_log_line(self) -> str:
        """The newest non-empty line it wrote, cut to a readable length; empty if none."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(log.tell() - 4096, 0))
                lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        except OSError:
            return ""
        return lines[-1].strip()[:200] if lines else ""

    def http_port(self) -> int:
        """TCP port its HTTP and WebSocket server listens on, read back from the kernel (Linux only).

        Raises:
            EngineFailure: it is not running or listens nowhere.
        """
        sockets = listening([self._process.pid]) if self._process is not None and sys.platform == "linux" else []
        if not sockets:
            raise EngineFailure(f"the TCP port of node {self._name} is not known: {self.how_it_died()}")
        return sockets[0][1]

    def stop(self) -> None:
        """End the process for certain: wake it, ask it, and after `STOP_TIMEOUT_S` kill it. Idempotent.

        Keeps the folder for another `start`.
        """
        with uninterrupted():
            process, self._process = self._process, None
            if process is None:
                return
            if process.poll() is None:
                _signal_group(process.pid, signal.SIGCONT)  # a paused process would not hear SIGTERM
                _signal_group(process.pid, signal.SIGTERM)
                try:
                    process.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    _signal_group(process.pid, signal.SIGKILL)
                    process.wait()
            self.socket_path.unlink(missing_ok=True)

    def close(self) -> None:
        """`stop`, and remove what it wrote: the folder if it made it, else socket and caches (the log stays)."""
        with uninterrupted():
            self.stop()
            if self._scratch is not None:
                self._scratch.remove()
            elif self._owns_home:
                shutil.rmtree(self._home, ignore_errors=True)
            else:
                shutil.rmtree(self._home / "cache", ignore_errors=True)

    def _clear_socket(self) -> None:
        if len(str(self.socket_path)) > _SOCKET_PATH_MAX:
            raise EngineFailure(f"node {self._name} cannot have its socket at {self.socket_path}: the path has "
                                f"{len(str(self.socket_path))} characters of {_SOCKET_PATH_MAX}; use a shorter folder")
        if not self.socket_path.exists():
            return
        # A second node on the same path hijacks it unnoticed (anvil.md §6): only a dead one's socket is removed.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self.socket_path))
            except OSError:
                self.socket_path.unlink()
                return
        raise EngineFailure(f"node {self._name} was not started: another process listens at {self.socket_path}; "
                            "is another run still up?")

    def _failure(self, what: str) -> EngineFailure:
        waited = time.monotonic() - self._started
        return EngineFailure(f"node {self._name} {what} ({waited:.1f} s of {BOOT_TIMEOUT_S:g} s); last log line: "
                             f"{self.last_log_line()!r}; its genesis file or flags may not suit this Anvil")


def _chain_flags(spec: ChainSpec) -> list[str]:
    """Flags that must be equal on all nodes of a chain (anvil.md, rule 1).

    Base fee 0 stays 0 for ever, so that no rollback can leave another one behind; L1 sets its own before each block.
    """
    flags = [
        "--no-mining", "--order", "fifo", "--hardfork", "cancun", "--base-fee", "0",
        "--prune-history", str(spec.history), "--gas-limit", str(spec.gas_limit),
        "--timestamp", str(spec.genesis_timestamp), "--chain-id", str(spec.chain_id), "--accounts", "0", "--quiet",
    ]
    return flags if spec.genesis_file is None else [*flags, "--init", str(spec.genesis_file.absolute())]


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before any fork


def _dying_with(parent: int) -> Callable[[], None] | None:
    """Runs in the child before exec: a harness that is SIGKILLed must not leave nodes behind."""
    if _libc is None:
        return None
    prctl = _libc.prctl

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return arrange


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def listening(pids: Iterable[int]) -> list[tuple[str, int]]:
    """(IPv4 address, TCP port) of every socket these processes listen on, each once, as the kernel lists them.

    Linux only. A descriptor that a running process closes while it is looked at is passed over.
    """
    inodes: dict[str, None] = {}
    for entry in (entry for pid in pids for entry in Path(f"/proc/{pid}/fd").iterdir()):
        with contextlib.suppress(OSError):
            target = os.readlink(entry)
            if target.startswith("socket:["):
                inodes[target[8:-1]] = None
    found: list[tuple[str, int]] = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:  # LISTEN
            host, _, port = fields[1].partition(":")
            found.append((socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)))
    return found
