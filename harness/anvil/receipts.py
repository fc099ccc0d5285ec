"""Anvil's receipts as our values."""

from __future__ import annotations

from typing import Any

from harness.rollup.blocks import Hash, Log, Receipt


def receipt_from_json(receipt: dict[str, Any], *, revert_data: bytes = b"") -> Receipt:
    """A receipt of `eth_getBlockReceipts`."""
    return Receipt(
        transaction_hash=Hash(receipt["transactionHash"]),
        sender=receipt["from"],
        to=receipt["to"],
        succeeded=receipt["status"] == "0x1",
        gas_used=int(receipt["gasUsed"], 16),
        logs=logs_from_json(receipt["logs"]),
        revert_data=revert_data,
    )


def logs_from_json(logs: list[dict[str, Any]]) -> tuple[Log, ...]:
    """The logs of one receipt, in order."""
    return tuple(
        Log(address=log["address"], topics=tuple(map(Hash, log["topics"])), data=bytes.fromhex(log["data"][2:]))
        for log in logs
    )


def revert_data_from_trace(trace: object) -> bytes:
    """What a failed transaction returned, from `trace_transaction`; empty where the node does not tell."""
    match trace:
        case [{"result": {"output": str(output)}}, *_]:
            return bytes.fromhex(output[2:])
    return b""
