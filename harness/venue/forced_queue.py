"""Calls to the forced queue on L1, and what its logs say joined it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.rollup.blocks import ExecutedBlock, Hash
from harness.rollup.forced import SIGNED_TRANSACTION, ForcedEntry
from harness.venue.deployment import interfaces

CONTRACT = "forced_queue"


def encode_enqueue(raw: bytes, gas: int) -> bytes:
    """An L1 call that has L2 execute a raw transaction of that gas limit; its value is the fee, the rest comes back."""
    return interfaces()[CONTRACT].encode_call("enqueue", SIGNED_TRANSACTION, gas, raw)


def forced_entries(block: ExecutedBlock, deployment: Mapping[str, Any]) -> tuple[ForcedEntry, ...]:
    """What joined the queue in an L1 block, in order."""
    address = deployment.get(CONTRACT)
    found: list[ForcedEntry] = []
    for receipt in block.receipts:
        for log in receipt.logs:
            decoded = interfaces()[CONTRACT].decode_event(log.topics, log.data) if log.address == address else None
            if decoded is not None and decoded[0] == "Enqueued":
                args = decoded[1]
                accumulator = Hash("0x" + bytes(args["accumulator"]).hex())
                found.append(ForcedEntry(args["index"], args["kind"], args["gas"], bytes(args["payload"]), accumulator))
    return tuple(found)
