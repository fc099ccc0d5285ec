"""The forty-odd steps every client takes, in order, and what all of them must find alike."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import rlp
from eth_hash.auto import keccak

T = TypeVar("T")

PROBE = json.loads((Path(__file__).parents[1] / "probe.json").read_text())

FOUND: dict[str, str | None] = {
    "chain id": "901", "client version": None, "blocks come": None, "latest": None, "safe": None, "finalized": None,
    "by hash and number": None, "earliest": None, "balance": None, "nonce": None, "fees": None, "fee history": None,
    "estimate": "21000", "transfer": None, "transferred": None, "nonce used": None, "transaction": None,
    "receipt": None, "deploy": None, "code": "712", "call": "0", "write": None, "read": "42", "read before": "0",
    "storage": "42", "logs": "42", "no logs": "0", "subscribed heads": None, "subscribed pending": None,
    "subscribed logs": None, "reason": "no way", "custom error": "7", "estimate of a revert": "no way",
    "failed transaction": "0", "override": "99", "nonce gap": None, "gap filled": None,
    "underpriced": "replacement_underpriced", "replacement": None, "insufficient funds": "insufficient_funds",
    "nonce too low": "nonce_expired", "account proof": None, "storage proof": "43", "read at safe": "true",
    "read at finalized": "true",
}  # fmt: skip


@dataclass(slots=True)
class Steps:
    """What a session in Python reports; one in JavaScript prints the same."""

    taken: list[tuple[str, str | None]] = field(default_factory=list)

    def step(self, name: str, value: Any = None) -> None:
        self.taken.append((name, _plain(value)))


def printed_steps(output: str) -> list[tuple[str, str | None]]:
    """The steps a JavaScript session printed."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [(line["step"], _plain(line["value"])) for line in lines]


def _plain(value: Any) -> str | None:
    """Numbers come as one type or another, by library."""
    return None if value is None else str(value).lower()


def until(condition: Callable[[], T], what: str, *, seconds: float = 60) -> T:
    """A bounded poll; a library over HTTP has nothing else."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


def proven(root: bytes, key: bytes, proof: list[bytes]) -> Any:
    """What a Merkle-Patricia proof leads to, decoded; None where it proves an absence."""
    nibbles = [int(digit, 16) for digit in keccak(key).hex()]
    expected = root
    for encoded in proof:
        assert len(encoded) < 32 or keccak(encoded) == expected, "a node of the proof has another hash"
        node = rlp.decode(encoded)
        if len(node) == 17:
            if not nibbles:
                return rlp.decode(node[16])
            expected = node[nibbles.pop(0)]
            if not expected:
                return None
            continue
        path = [int(digit, 16) for digit in node[0].hex()]
        rest = path[1:] if path[0] & 1 else path[2:]
        if nibbles[: len(rest)] != rest:
            return None
        nibbles = nibbles[len(rest) :]
        if path[0] >= 2:
            return rlp.decode(node[1]) if not nibbles else None
        expected = node[1]
    raise AssertionError("the proof ends before its key")
