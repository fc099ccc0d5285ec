"""Blocks as the history writes them: transactions with their outcome, and decoded events of our contracts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.ports import Json
from harness.project_plan import ProjectCodec
from harness.rollup.blocks import ExecutedBlock, Log
from harness.venue.exchange import decode_log, explain_revert


def jsonable(value: Any) -> Json:
    """Event arguments as the history writes them: integers as decimal strings, bytes as 0x-hex."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    return [jsonable(item) for item in value]


def block_record(
    chain: str, block: ExecutedBlock, deployment: Mapping[str, str], project: ProjectCodec | None = None
) -> dict[str, Json]:
    """The fields of a `block` record (history/FORMAT.md)."""
    inputs = block.inputs
    events = _events(block.system_logs, -1, deployment)
    for index, receipt in enumerate(block.receipts):
        events += _events(receipt.logs, index, deployment)
    record: dict[str, Json] = {
        "chain": chain,
        "number": inputs.number,
        "hash": block.hash,
        "parent": inputs.parent,
        "timestamp": inputs.timestamp,
        "origin": None if inputs.origin is None else inputs.origin.number,
        "origin_time": None if inputs.origin is None else inputs.origin.timestamp,
        "base_fee": str(inputs.base_fee),
        "transactions": [
            {
                "hash": receipt.transaction_hash,
                "sender": receipt.sender,
                "to": receipt.to,
                "ok": receipt.succeeded,
                "gas": receipt.gas_used,
                "error": None if receipt.succeeded else explain(receipt.revert_data, project),
            }
            for receipt in block.receipts
        ],
        "events": events,
    }
    if project is not None and project.contracts:
        record["project_events"] = _project_events(block, project)
    return record


def explain(revert_data: bytes, project: ProjectCodec | None) -> str:
    """Revert data in words: one of the project's errors, or one of ours."""
    return (project.explain(revert_data) if project is not None else None) or explain_revert(revert_data)


def _project_events(block: ExecutedBlock, project: ProjectCodec) -> list[Json]:
    found: list[Json] = []
    for index, receipt in enumerate(block.receipts):
        for log in receipt.logs:
            event = project.event(log)
            if event is not None:
                found.append(
                    {
                        "name": event.name, "contract": event.contract, "tx": index, "args": jsonable(event.args),
                        "integers": list(event.integers),
                    }
                )  # fmt: skip
    return found


def _events(logs: tuple[Log, ...], transaction: int, deployment: Mapping[str, str]) -> list[Json]:
    found: list[Json] = []
    for log in logs:
        event = decode_log(log, deployment)
        if event is not None:
            found.append(
                {"name": event.name, "contract": event.contract, "tx": transaction, "args": jsonable(event.args)}
            )
    return found
