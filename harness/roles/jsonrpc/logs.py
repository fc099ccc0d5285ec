"""Logs of executed blocks: which ones a filter wants, and how they look to a client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from harness.ports import Json
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.canonical import system_transactions
from harness.roles.jsonrpc.faults import invalid
from harness.rollup.blocks import ExecutedBlock, Hash, Log

ADDRESSES_MAX: Final = 1_000
TOPICS_MAX: Final = 4
ALTERNATIVES_MAX: Final = 1_000
_KEYS: Final = frozenset({"address", "topics", "fromBlock", "toBlock", "blockHash"})

_one_or_many_addresses = values.array(values.address, at_most=ADDRESSES_MAX)
_topics = values.array(values.anything, at_most=TOPICS_MAX)
_alternatives = values.array(values.anything, at_most=ALTERNATIVES_MAX)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs a client wants, wherever they are. None matches anything."""

    addresses: frozenset[str] | None
    topics: tuple[frozenset[str] | None, ...]

    def matches(self, log: Log) -> bool:
        if self.addresses is not None and log.address not in self.addresses:
            return False
        if len(log.topics) < len(self.topics):
            return False
        return all(wanted is None or topic in wanted for wanted, topic in zip(self.topics, log.topics, strict=False))


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A filter and where it looks: one block by hash, or a range of block names (None: latest)."""

    filter: LogFilter
    start: Json
    end: Json
    block_hash: Hash | None


def log_query(value: Json, name: str) -> LogQuery:
    """Parse a filter object. Raises `RpcFault`."""
    found = {key: each for key, each in values.mapping(value, name).items() if each is not None}
    values.known_keys(found, name, _KEYS)
    block_hash = values.hash32(found["blockHash"], f"{name}.blockHash") if "blockHash" in found else None
    if block_hash is not None and ("fromBlock" in found or "toBlock" in found):
        raise invalid(f"{name} has both blockHash and a range of blocks; give one")
    return LogQuery(
        LogFilter(
            _addresses(found.get("address"), f"{name}.address"),
            _topic_sets(found.get("topics"), f"{name}.topics"),
        ),
        found.get("fromBlock"),
        found.get("toBlock"),
        block_hash,
    )


def _addresses(value: Json, name: str) -> frozenset[str] | None:
    if value is None or value == []:
        return None
    return frozenset(_one_or_many_addresses(value if isinstance(value, list) else [value], name))


def _topic_sets(value: Json, name: str) -> tuple[frozenset[str] | None, ...]:
    sets: list[frozenset[str] | None] = []
    for index, each in enumerate([] if value is None else _topics(value, name)):
        place = f"{name}[{index}]"
        if each is None or each == []:
            sets.append(None)
            continue
        several = _alternatives(each, place) if isinstance(each, list) else [each]
        # A null among alternatives matches anything, as in geth.
        sets.append(None if None in several else frozenset(values.hash32(one, place) for one in several))
    return tuple(sets)


def matching_logs(
    block: ExecutedBlock, wanted: LogFilter, *, system_hash: str, removed: bool = False
) -> Iterator[dict[str, Any]]:
    """The block's logs a filter wants, in order. `system_hash` names the system transaction."""
    offset = system_transactions(block)
    index = 0
    for log in block.system_logs:
        if wanted.matches(log):
            yield _to_json(log, block, system_hash, position=0, index=index, removed=removed)
        index += 1
    for position, receipt in enumerate(block.receipts, start=offset):
        for log in receipt.logs:
            if wanted.matches(log):
                yield _to_json(
                    log, block, receipt.transaction_hash, position=position, index=index, removed=removed
                )
            index += 1


def wants_system_logs(block: ExecutedBlock, wanted: LogFilter) -> bool:
    """Whether the system transaction's hash is needed, which only the node knows."""
    return any(wanted.matches(log) for log in block.system_logs)


def _to_json(
    log: Log, block: ExecutedBlock, transaction: str, *, position: int, index: int, removed: bool
) -> dict[str, Any]:
    return {
        "address": log.address,
        "topics": list(log.topics),
        "data": f"0x{log.data.hex()}",
        "blockHash": block.hash,
        "blockNumber": hex(block.number),
        "blockTimestamp": hex(block.inputs.timestamp),
        "transactionHash": transaction,
        "transactionIndex": hex(position),
        "logIndex": hex(index),
        "removed": removed,
    }
