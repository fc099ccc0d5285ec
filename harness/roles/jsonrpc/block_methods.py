"""Methods about blocks, transactions, receipts and logs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from harness.ports import Json, RpcSession
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.canonical import Place
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.faults import invalid, limited, refused
from harness.roles.jsonrpc.logs import LogQuery, log_query, matching_logs, wants_system_logs
from harness.roles.jsonrpc.pending import pending_block, pending_to_json
from harness.roles.jsonrpc.rich_blocks import RichBlock
from harness.roles.jsonrpc.values import Params
from harness.rollup.blocks import Hash

LOG_BLOCKS_MAX: Final = 10_000
LOGS_MAX: Final = 10_000
LOG_BLOCKS_AT_ONCE: Final = 200
"""Blocks searched before whoever else waits gets the loop."""


async def block_number(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return hex(desk.chain.height)


async def get_block_by_number(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("block", values.anything)
    full = params.optional("full", values.boolean) or False
    params.done()
    if name == "pending":
        return pending_block(desk, await _rich_tip(desk, session), full=full)
    rich = await _rich(desk, session, desk.number_named(name, "block"))
    return None if rich is None else rich.to_json(full=full)


async def get_block_by_hash(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("hash", values.hash32)
    full = params.optional("full", values.boolean) or False
    params.done()
    rich = await _rich(desk, session, desk.chain.number_of(name))
    return None if rich is None else rich.to_json(full=full)


async def get_block_receipts(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("block", values.anything)
    params.done()
    rich = await _rich(desk, session, desk.number_named(name, "block"))
    return None if rich is None else rich.receipts


async def count_by_number(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("block", values.anything)
    params.done()
    rich = await _rich(desk, session, desk.number_named(name, "block"))
    return None if rich is None else hex(len(rich.transactions))


async def count_by_hash(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("hash", values.hash32)
    params.done()
    rich = await _rich(desk, session, desk.chain.number_of(name))
    return None if rich is None else hex(len(rich.transactions))


async def transaction_by_number_and_index(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("block", values.anything)
    index = params.take("index", values.small)
    params.done()
    rich = await _rich(desk, session, desk.number_named(name, "block"))
    return None if rich is None or index >= len(rich.transactions) else rich.transactions[index]


async def transaction_by_hash_and_index(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("hash", values.hash32)
    index = params.take("index", values.small)
    params.done()
    rich = await _rich(desk, session, desk.chain.number_of(name))
    return None if rich is None or index >= len(rich.transactions) else rich.transactions[index]


async def uncle_count(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.take("block", values.anything)
    params.done()
    return "0x0"


async def no_uncle(desk: Desk, params: Params, session: RpcSession) -> Json:
    return None


async def get_transaction(desk: Desk, params: Params, session: RpcSession) -> Json:
    """Also while it is pending; null for what neither the chain nor the pool of this node has."""
    name = params.take("hash", values.hash32)
    params.done()
    place = desk.chain.place_of(name)
    if place is None:
        raw = desk.source.pool.raw(name)
        return None if raw is None else pending_to_json(raw)
    return (await desk.rich(session, place.block.hash)).transactions[place.position]


async def get_raw_transaction(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("hash", values.hash32)
    params.done()
    place = desk.chain.place_of(name)
    raw = desk.source.pool.raw(name) if place is None else place.block.inputs.transactions[place.index]
    return None if raw is None else f"0x{raw.hex()}"


async def get_receipt(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("hash", values.hash32)
    params.done()
    place = desk.chain.place_of(name)
    return None if place is None else await receipt_at(desk, session, place)


async def receipt_at(desk: Desk, session: RpcSession, place: Place) -> Json:
    return (await desk.rich(session, place.block.hash)).receipts[place.position]


async def get_logs(desk: Desk, params: Params, session: RpcSession) -> Json:
    wanted = params.take("filter", log_query)
    params.done()
    return await logs_of(desk, session, wanted)


async def logs_of(desk: Desk, session: RpcSession, wanted: LogQuery) -> list[dict[str, Any]]:
    """The logs a query finds on the canonical chain. Raises `RpcFault` where it asks for too much."""
    found: list[dict[str, Any]] = []
    names = _searched(desk, wanted)
    for at, name in enumerate(names):
        number = desk.chain.number_of(name)
        block = None if number is None else desk.chain.block_at(number)
        if block is None:
            continue  # genesis has no logs; what a reorg took away meanwhile neither
        system_hash = ""
        if wants_system_logs(block, wanted.filter):
            system_hash = (await desk.rich(session, name)).transactions[0]["hash"]
        found += matching_logs(block, wanted.filter, system_hash=system_hash)
        if len(found) > LOGS_MAX:
            raise limited(f"query returned more than {LOGS_MAX} results; ask for fewer blocks at a time, or one event")
        if at % LOG_BLOCKS_AT_ONCE == LOG_BLOCKS_AT_ONCE - 1:
            await asyncio.sleep(0)
    return found


def _searched(desk: Desk, wanted: LogQuery) -> Sequence[Hash]:
    if wanted.block_hash is not None:
        if desk.chain.number_of(wanted.block_hash) is None:
            raise refused(f"unknown block: {wanted.block_hash} is not on this node's chain")
        return (wanted.block_hash,)
    start, end = desk.number_named(wanted.start, "fromBlock"), desk.number_named(wanted.end, "toBlock")
    if start is None:
        return ()
    end = desk.chain.height if end is None else end
    if start > end:
        if wanted.end is None or wanted.start is None:
            return ()
        raise invalid(f"invalid block range: fromBlock {start} is after toBlock {end}")
    if end - start >= LOG_BLOCKS_MAX:
        raise limited(f"a range of {end - start + 1} blocks is too large; at most {LOG_BLOCKS_MAX} are searched")
    names = (desk.chain.hash_at(number) for number in range(start, end + 1))
    return [name for name in names if name is not None]


async def _rich(desk: Desk, session: RpcSession, number: int | None) -> RichBlock | None:
    name = None if number is None else desk.chain.hash_at(number)
    return None if name is None else await desk.rich(session, name)


async def _rich_tip(desk: Desk, session: RpcSession) -> RichBlock:
    return await desk.rich(session, desk.chain.tip)
