"""Methods about the node itself: who it is, its pool, and its heads."""

from __future__ import annotations

from typing import Any

from harness.evm.keccak import keccak
from harness.evm.wallet import DecodedTransaction as Transaction
from harness.ports import Json, RpcSession
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.pending import pending_to_json
from harness.roles.jsonrpc.values import Params
from harness.rollup.heads import Label


async def chain_id(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return hex(desk.source.chain_id)


async def net_version(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return str(desk.source.chain_id)


async def net_listening(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return True


async def net_peer_count(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return hex(desk.source.peers())


async def syncing(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return False


async def client_version(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return f"harness/{desk.source.layer}/anvil"


async def sha3(desk: Desk, params: Params, session: RpcSession) -> Json:
    text = params.take("data", values.data)
    params.done()
    return f"0x{keccak(text).hex()}"


async def txpool_status(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    ready, queued = _pool(desk)
    return {"pending": hex(sum(map(len, ready.values()))), "queued": hex(sum(map(len, queued.values())))}


async def txpool_content(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return {"pending": _shown(desk, _pool(desk)[0]), "queued": _shown(desk, _pool(desk)[1])}


async def txpool_inspect(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()

    def told(transactions: list[Transaction]) -> dict[str, str]:
        return {
            str(each.nonce): f"{each.to or 'contract creation'}: {each.value} wei + {each.gas_limit} gas × "
            f"{each.max_fee} wei"
            for each in transactions
        }

    ready, queued = _pool(desk)
    return {
        "pending": {sender: told(each) for sender, each in ready.items()},
        "queued": {sender: told(each) for sender, each in queued.items()},
    }


def _pool(desk: Desk) -> tuple[dict[str, list[Transaction]], dict[str, list[Transaction]]]:
    """(what could go into a block, what waits for an earlier nonce), by sender."""
    pool = desk.source.pool
    ready: dict[str, list[Transaction]] = {}
    queued: dict[str, list[Transaction]] = {}
    for sender in pool.senders():
        following = pool.next_nonce(sender)
        mine = sorted(pool.pending_of(sender).items())
        for chosen, is_ready in ((ready, True), (queued, False)):
            found = [transaction for nonce, transaction in mine if (nonce < following) is is_ready]
            if found:
                chosen[sender] = found
    return ready, queued


def _shown(desk: Desk, found: dict[str, list[Transaction]]) -> dict[str, dict[str, Any]]:
    pool = desk.source.pool
    shown: dict[str, dict[str, Any]] = {}
    for sender, transactions in found.items():
        raws = [(each.nonce, pool.raw(each.hash)) for each in transactions]
        shown[sender] = {str(nonce): pending_to_json(raw) for nonce, raw in raws if raw is not None}
    return shown


async def rollup_heads(desk: Desk, params: Params, session: RpcSession) -> Json:
    """Every label with its block, from the least sure to the surest."""
    params.done()
    heads = {label.word: desk.source.head(label) for label in Label}
    return {word: {"number": hex(head.number), "hash": head.hash} for word, head in heads.items()}


async def rollup_sync_status(desk: Desk, params: Params, session: RpcSession) -> Json:
    """The heads with their times, and how far this node has read the chain below, in op-node's manner."""
    params.done()
    status: dict[str, Any] = dict(desk.source.status())
    for label in Label:
        head = desk.source.head(label)
        block = desk.source.block(head.hash)
        status[f"{label.word}_{desk.source.layer}"] = {
            "number": head.number,
            "hash": head.hash,
            "parentHash": None if block is None else block.inputs.parent,
            "timestamp": None if block is None else block.inputs.timestamp,
            "l1origin": None
            if block is None or block.inputs.origin is None
            else {"number": block.inputs.origin.number, "hash": block.inputs.origin.hash},
        }
    return status
