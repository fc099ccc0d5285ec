"""What a test gets: the handle on its network, and the same few things more on every runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from harness.network.handle import Network
from harness.plan import Plan
from harness.testing.committed import SeenEvent

T = TypeVar("T")


class NetworkUnderTest(Network, Protocol):
    """A network under test. Times are the network's: virtual in the simulator, real elsewhere."""

    @property
    def plan(self) -> Plan: ...

    @property
    def now(self) -> float:
        """Seconds since genesis."""
        ...

    @property
    def height(self) -> int:
        """Number of the newest committed L2 block."""
        ...

    @property
    def is_worn(self) -> bool:
        """Whether a new network is better than going on with this one."""
        ...

    def advance(self, seconds: float) -> None:
        """Let so much time pass. In the simulator that costs only what happens in it."""
        ...

    def jump(self, seconds: float) -> None:
        """Skip so much time at once, as an outage would; only in the simulator."""
        ...

    def wait_until(self, condition: Callable[[], T], *, within: float) -> T | None:
        """Let time pass until the condition is true, and return what it returned; None when `within` s are over."""
        ...

    def events(self, name: str | None = None, *, above: int = 0) -> list[SeenEvent]:
        """Events of committed blocks above a height: all, those called `Name`, or those of `contract.Name`."""
        ...

    def web3(self, role: str | None = None) -> Any:
        """A `web3.Web3` on one node; without a name on one that follows the quorum."""
        ...

    def history(self) -> Path:
        """What was recorded so far, as history/FORMAT.md says. Raises NetworkMisuse where none is kept."""
        ...

    def remove(self) -> None:
        """Stop, and leave nothing behind."""
        ...
