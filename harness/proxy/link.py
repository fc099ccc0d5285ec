"""A directed link as the proxy holds it: its policy, its port, its target, and the connections that feel it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.faults.link import Fate, LinkPolicy
from harness.ports import LinkRule, Random
from harness.proxy.toxics import Toxic

if TYPE_CHECKING:
    from harness.proxy.connection import Connection


class Link:
    """The policy decides, the connections obey; both directions of a connection hold one each."""

    __slots__ = (
        "accepted", "caller_speaks_first", "connections", "dst", "policy", "port", "random", "src", "target", "toxics",
    )

    def __init__(
        self, src: str, dst: str, random: Random, *, delay_ms: float = 0.0, jitter_ms: float = 0.0,
        caller_speaks_first: bool = False,
    ) -> None:
        """`delay_ms` and `jitter_ms` are the link's own latency, part of the world and no fault."""
        self.caller_speaks_first = caller_speaks_first
        """Whether the target is only reached once the caller has said something, or nothing for a while: whoever comes
        and goes without a word costs the target nothing then."""
        self.src = src
        self.dst = dst
        self.port: int | None = None
        """Where connections over this link are accepted; None for a link that only carries replies."""
        self.target: tuple[str, int] | None = None
        """Where `dst` listens; None while it does not."""
        self.random = random
        self.accepted = 0
        """Connections accepted so far; the number of the newest."""
        self.toxics: tuple[Toxic, ...] = ()
        """On connections that are opened over this link, in the order they act."""
        self.policy = LinkPolicy(src, dst, random, base_delay_ms=delay_ms, base_jitter_ms=jitter_ms)
        self.connections: dict[Connection, None] = {}

    @property
    def name(self) -> str:
        return f"{self.src}->{self.dst}"

    def offer(self, size: int, *, probe: bool = False) -> tuple[Fate, int]:
        """The fate of a message that is offered to the link now, and when now is (monotonic ns)."""
        now_ns = time.monotonic_ns()
        return self.policy.offer(size, now_ns, probe=probe), now_ns

    def set_rules(self, rules: Mapping[str, LinkRule]) -> None:
        """Replace the fault rules; every open connection feels it at once. Raises ValueError for a senseless rule."""
        self.policy.set_rules(rules)
        for connection in list(self.connections):
            connection.rules_changed()

    def set_toxics(self, toxics: Sequence[Toxic]) -> None:
        """Replace the toxics; every connection opened over this link feels it at once."""
        self.toxics = tuple(toxics)
        for connection in self.opened():
            connection.toxics_changed()

    def opened(self) -> list[Connection]:
        """The connections opened over this link, and not those whose replies it carries."""
        return [connection for connection in self.connections if connection.forward.link is self]
