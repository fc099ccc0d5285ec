"""The lies a node can be made to tell, as values; `harness.faults.rpc` decides by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RpcAction = Literal["drop-reply", "error", "delay", "stale", "duplicate"]


@dataclass(frozen=True, slots=True)
class RpcRule:
    """One lie of a node to those who ask it something."""

    senders: tuple[str, ...]    # who is lied to: role names, or `user` for the public JSON-RPC; () is everybody
    methods: tuple[str, ...]    # globs over message kinds and JSON-RPC methods
    action: RpcAction
    probability: float = 1.0
    delay_ms: float = 0.0       # of `delay`
    blocks: int = 0             # of `stale`


@dataclass(frozen=True, slots=True)
class RpcCounters:
    """What a lie has done at one node since the node's process began; evidence that it bit."""

    met: int = 0    # requests that its rule meets
    lied: int = 0   # of those, how many the draw chose
