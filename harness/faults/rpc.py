"""Lies of a node to those who ask it: which requests a rule meets, by seeded draws; no transport, no clock.

A rule stands at the node that is asked. What it does to a request it meets:

- `drop-reply`: the request is carried out, and its answer never arrives.
- `error`: it is carried out, and the answer is an error.
- `delay`: the answer comes later; of a receipt asked for over JSON-RPC, the answer is "none yet" for that long.
- `stale`: a read of the newest state is answered as it was some blocks ago.
- `duplicate`: it is carried out twice.

Every draw is keyed by (fault, node, asker, kind, n-th request met); healing one fault leaves the others' draws alone.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.faults.rules import RpcCounters, RpcRule
from harness.ports import Random

CLIENT_KINDS = (
    "tx", "call", "nonce", "receipt", "heads", "blocks", "l1_submit", "l1_nonce", "l1_fee", "l1_blocks",
)  # fmt: skip
"""What roles ask nodes as clients; consensus and gossip are no client's and are never lied about."""
KIND_OF_METHOD: Mapping[str, str] = {
    "eth_sendRawTransaction": "tx",
    "eth_sendRawTransactionSync": "tx",
    "eth_sendTransaction": "tx",
    "eth_call": "call",
    "eth_getTransactionCount": "nonce",
    "eth_getTransactionReceipt": "receipt",
}
"""The kind that a method of the public JSON-RPC is called by as well."""
LIE = "injected fault: internal error"
"""What an `error` says."""


@dataclass(frozen=True, slots=True)
class Lies:
    """What becomes of one request."""

    drop_reply: bool = False
    error: bool = False
    delay_ms: float = 0.0
    stale_blocks: int = 0
    duplicate: bool = False


HONEST = Lies()


class RpcPolicy:
    """The rules of one node, and what they have done."""

    def __init__(self, node: str, random: Random) -> None:
        self._node = node
        self._random = random
        self._rules: dict[str, RpcRule] = {}
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._counters: dict[str, list[int]] = {}

    @property
    def is_honest(self) -> bool:
        return not self._rules

    def set_rules(self, rules: Mapping[str, RpcRule]) -> None:
        """Replace the rules (fault id → rule)."""
        self._rules = dict(sorted(rules.items()))

    def lies(self, sender: str, method: str) -> Lies:
        """Decide about the request that has come now. Counts it."""
        lies = HONEST
        for fault, rule in self._rules.items():
            if not _meets(rule, sender, method):
                continue
            key = (fault, sender, method)
            number = self._numbers[key] = self._numbers.get(key, 0) + 1
            counters = self._counters.setdefault(fault, [0, 0])
            counters[0] += 1
            if self._random.unit("rpc", fault, self._node, sender, method, number) < rule.probability:
                counters[1] += 1
                lies = _with(lies, rule)
        return lies

    def counters(self) -> dict[str, RpcCounters]:
        """By fault, since this incarnation of the node began."""
        return {fault: RpcCounters(met, lied) for fault, (met, lied) in self._counters.items()}


def _meets(rule: RpcRule, sender: str, method: str) -> bool:
    if rule.senders and sender not in rule.senders:
        return False
    names = (method, KIND_OF_METHOD.get(method, method))
    return any(fnmatch.fnmatchcase(name, glob) for glob in rule.methods for name in names)


def _with(lies: Lies, rule: RpcRule) -> Lies:
    return Lies(
        drop_reply=lies.drop_reply or rule.action == "drop-reply",
        error=lies.error or rule.action == "error",
        delay_ms=lies.delay_ms + (rule.delay_ms if rule.action == "delay" else 0.0),
        stale_blocks=max(lies.stale_blocks, rule.blocks if rule.action == "stale" else 0),
        duplicate=lies.duplicate or rule.action == "duplicate",
    )


def rpc_rules_to_json(rules: Mapping[str, RpcRule]) -> dict[str, Any]:
    return {fault: asdict(rule) for fault, rule in rules.items()}


def rpc_rules_from_json(value: Mapping[str, Mapping[str, Any]]) -> dict[str, RpcRule]:
    return {
        fault: RpcRule(**{**rule, "senders": tuple(rule["senders"]), "methods": tuple(rule["methods"])})
        for fault, rule in value.items()
    }
