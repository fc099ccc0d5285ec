"""A running network from outside the process that owns it: the `Network` handle over its control socket."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.network.claim import find, find_all, owner_of, remove_dead, wait_until_gone
from harness.network.places import DEFAULT
from harness.network.socket_path import SOCKET, short_path
from harness.network.values import (
    Contract,
    Description,
    Endpoint,
    HandFault,
    NamedAccount,
    NetworkFailure,
    NetworkMisuse,
    NetworkStatus,
    Snapshot,
)
from harness.scenario.errors import did_you_mean

ASK_TIMEOUT_S = 30.0
LONG_TIMEOUT_S = 180.0   # a network that restarts from a snapshot replays its chains
STOP_TIMEOUT_S = 200.0     # longer than any runtime gives its own ending
STOP_AGAIN_S = 2.0


class NetworkClient:
    """Satisfies `Network`. Usable from several threads; a connection of its own for every request."""

    def __init__(self, name: str, folder: Path, runtime: str, *, tie: int = -1) -> None:
        """`tie` is a descriptor that the network lives by: it ends when nobody has it open any more."""
        self._name = name
        self._tie = tie
        self._folder = folder
        self._runtime = runtime

    @property
    def name(self) -> str:
        return self._name

    @property
    def runtime(self) -> str:
        return self._runtime

    @property
    def folder(self) -> Path:
        return self._folder

    def status(self) -> NetworkStatus:
        return NetworkStatus.from_json(self._ask("status"))

    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(Endpoint.from_json(item) for item in self._ask("endpoints"))

    def accounts(self) -> tuple[NamedAccount, ...]:
        return tuple(NamedAccount.from_json(item) for item in self._ask("accounts"))

    def contracts(self) -> tuple[Contract, ...]:
        return tuple(Contract.from_json(item) for item in self._ask("contracts"))

    def description(self) -> Description:
        """Endpoints, accounts and contracts in one answer."""
        return Description.from_json(self._ask("description"))

    def fault(self, fault: Mapping[str, Any]) -> HandFault:
        return HandFault.from_json(self._ask("fault", fault=dict(fault)))

    def faults(self) -> tuple[HandFault, ...]:
        return tuple(HandFault.from_json(item) for item in self._ask("faults"))

    def heal(self, fault: str | None = None) -> tuple[HandFault, ...]:
        return tuple(HandFault.from_json(item) for item in self._ask("heal", timeout=LONG_TIMEOUT_S, fault=fault))

    def kill(self, role: str) -> None:
        self._ask("kill", role=role)

    def start(self, role: str) -> None:
        self._ask("start", timeout=LONG_TIMEOUT_S, role=role)

    def restart(self, role: str) -> None:
        self._ask("restart", timeout=LONG_TIMEOUT_S, role=role)

    def pause(self, role: str) -> None:
        self._ask("pause", role=role)

    def resume(self, role: str) -> None:
        self._ask("resume", role=role)

    def log(self, role: str) -> Path:
        return Path(self._ask("log", role=role))

    def save_snapshot(self, name: str) -> Snapshot:
        return Snapshot.from_json(self._ask("save-snapshot", timeout=LONG_TIMEOUT_S, name=name))

    def load_snapshot(self, name: str) -> Snapshot:
        return Snapshot.from_json(self._ask("load-snapshot", timeout=LONG_TIMEOUT_S, name=name))

    def snapshots(self) -> tuple[Snapshot, ...]:
        return tuple(Snapshot.from_json(item) for item in self._ask("snapshots"))

    def stop(self) -> None:
        """Raises `NetworkFailure` if it does not end in time, or leaves what can not be removed."""
        if self._tie >= 0:
            os.close(self._tie)
            self._tie = -1
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while True:
            owner = owner_of(self._name)
            with contextlib.suppress(NetworkFailure):   # it is gone, or going, or too young to be asked: then again
                self._ask("stop")
            if wait_until_gone(self._name, owner, timeout=STOP_AGAIN_S):
                if (found := find(self._name)) is not None and found.note.get("left"):
                    remove_dead(self._name)   # its engine was busy: once more
                return
            if time.monotonic() > deadline:
                raise NetworkFailure(
                    f"network {self._name} was asked to stop and is still up after {STOP_TIMEOUT_S:g} s"
                )

    def _ask(self, do: str, *, timeout: float = ASK_TIMEOUT_S, **fields: Any) -> Any:
        request = orjson.dumps({"do": do, **fields}) + b"\n"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(timeout)
                with short_path(self._folder / SOCKET) as path:
                    connection.connect(path)
                connection.sendall(request)
                with connection.makefile("rb") as answers:
                    line = answers.readline()
        except TimeoutError:
            raise NetworkFailure(f"network {self._name} did not {do} within {timeout:g} s") from None
        except OSError as error:
            raise NetworkFailure(f"network {self._name} does not answer: {error.strerror or error}") from error
        if not line:
            raise NetworkFailure(f"network {self._name} ended before it answered {do}")
        answer = orjson.loads(line)
        if "misuse" in answer:
            raise NetworkMisuse(answer["misuse"])
        if "failure" in answer:
            raise NetworkFailure(answer["failure"])
        return answer["value"]


def connect(name: str | None = None) -> NetworkClient:
    """The running network of that name; without one, the only one there is, or the one called `dev`.

    Raises `NetworkMisuse`: there is no such network, or its owner is dead.
    """
    networks = {network.name: network for network in find_all()}
    live = [network.name for network in networks.values() if network.is_live]
    if name is None:
        if len(live) > 1 and DEFAULT not in live:
            raise NetworkMisuse(f"several networks are up: {', '.join(live)}; say which with --name")
        name = live[0] if len(live) == 1 else DEFAULT
    found = networks.get(name) or find(name)
    if found is None:
        there = f"; up are {', '.join(live)}" if live else "; none is up: harness up starts one"
        raise NetworkMisuse(f'no network is called "{name}"{did_you_mean(name, live) or there}')
    if not found.is_live:
        raise NetworkMisuse(
            f"network {name} is dead: its owner, process {found.note.get('pid', 'unknown')}, was killed; "
            f"harness down {name} cleans up after it, and harness up starts it anew"
        )
    return NetworkClient(name, found.folder, str(found.note.get("runtime", "local")))
