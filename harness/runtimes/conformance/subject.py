"""What a runtime hands to the conformance checks: its ports, and a world of idle or echoing roles to try them in."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from harness.ports import Clock, FaultControl, LinkCounters, LinkRule, Network, Random, Store


class Links(Protocol):
    """The part of `FaultControl` that concerns links."""

    async def set_link(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None: ...

    async def link_counters(self, src: str, dst: str) -> LinkCounters: ...


@dataclass(frozen=True, slots=True)
class Peers:
    """Networks of roles that serve nothing yet, connected by links without latency or faults."""

    networks: Mapping[str, Network]
    links: Links


class RuntimeUnderTest(Protocol):
    """One runtime, as the checks see it."""

    name: str

    def execute(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a check to its end on this runtime's event loop, with a deadline of wall time; raise what it raises."""
        ...

    def clock(self) -> Clock:
        """An unskewed clock. Called inside `execute`, like everything below."""
        ...

    def random(self, seed: int) -> Random: ...

    def store(self) -> Store:
        """A new, empty store."""
        ...

    def crash_and_reopen(self, store: Store) -> Store:
        """What the next process finds after this one lost power without another word."""
        ...

    def peers(self, names: Sequence[str]) -> AbstractAsyncContextManager[Peers]:
        """Networks of that many roles, for the checks to serve and send with."""
        ...

    def world(self, names: Sequence[str]) -> AbstractAsyncContextManager[FaultControl]:
        """A booted run of `echo.EchoRole`s of those names, answering probes."""
        ...


Check = Callable[[RuntimeUnderTest], Coroutine[Any, Any, None]]
