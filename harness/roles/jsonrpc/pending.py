"""Transactions that are in no block yet, as clients see them, and the block they may soon be in."""

from __future__ import annotations

from typing import Any, cast

import rlp

from harness.evm.wallet import decode_transaction
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.rich_blocks import RichBlock

_LEGACY_FIRST_BYTE = 0xC0  # an RLP list


def pending_to_json(raw: bytes) -> dict[str, Any]:
    """A raw transaction that the pool took, in the form of `eth_getTransactionByHash`; its block is null."""
    transaction = decode_transaction(raw)
    is_legacy = raw[0] >= _LEGACY_FIRST_BYTE
    kind = 0 if is_legacy else raw[0]
    fields = cast(list[Any], rlp.decode(raw if is_legacy else raw[1:]))
    v, r, s = (int.from_bytes(field, "big") for field in fields[-3:])
    shown: dict[str, Any] = {
        "type": hex(kind),
        "hash": transaction.hash,
        "nonce": hex(transaction.nonce),
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
        "from": transaction.sender,
        "to": transaction.to,
        "value": hex(transaction.value),
        "gas": hex(transaction.gas_limit),
        "gasPrice": hex(transaction.max_fee),
        "input": f"0x{transaction.data.hex()}",
        "chainId": hex(transaction.chain_id),
        "v": hex(v),
        "r": hex(r),
        "s": hex(s),
    }
    if kind == 2:
        shown["maxFeePerGas"] = hex(transaction.max_fee)
        shown["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee)
    if not is_legacy:
        shown["yParity"] = hex(v)
        shown["accessList"] = [
            {"address": f"0x{address.hex()}", "storageKeys": [f"0x{key.hex()}" for key in keys]}
            for address, keys in fields[-4]
        ]
    return shown


def pending_block(desk: Desk, tip: RichBlock, *, full: bool) -> dict[str, Any]:
    """What the next block would be if it were built now, as far as that is known."""
    raws = desk.source.pool.select(base_fee=desk.source.base_fee())
    transactions = [pending_to_json(raw) for raw in raws]
    unknown = ("hash", "nonce", "logsBloom", "miner", "stateRoot", "receiptsRoot", "transactionsRoot", "mixHash")
    return {
        **tip.header,
        **dict.fromkeys(unknown),
        "number": hex(int(tip.header["number"], 16) + 1),
        "parentHash": tip.header["hash"],
        "timestamp": hex(max(int(tip.header["timestamp"], 16), desk.clock.now() // 1_000_000_000)),
        "baseFeePerGas": hex(desk.source.base_fee()),
        "gasUsed": "0x0",
        "transactions": transactions if full else [each["hash"] for each in transactions],
    }
