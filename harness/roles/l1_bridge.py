"""What an L1 node tells those who use the bridge: its messages, how a transaction went, and proofs of what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evm.header import header_rlp
from harness.ports import Json, QueryRefused, Refused
from harness.roles.wire import field, number, parse_hash
from harness.rollup.blocks import ExecutedBlock
from harness.venue.bridge import sent_at_key

if TYPE_CHECKING:  # it asks here
    from harness.roles.l1 import L1Chain

BLOCKS_READ_MAX = 512
"""L1 blocks looked through for one answer."""
MESSAGES_MAX = 256


async def answer_bridge(chain: L1Chain, kind: str, payload: Json) -> Json:
    """`l1_messages`, `l1_receipt` or `l1_proof`.

    Raises:
        Refused: another kind of question, or one that cannot be answered.
    """
    match kind:
        case "l1_messages":
            return _messages(chain, number(payload, "from", least=1))
        case "l1_receipt":
            return _receipt(chain, parse_hash(field(payload, "hash")))
        case "l1_proof":
            return await _proof(chain, payload)
        case _:
            raise Refused(f"an L1 node does not answer {kind!r}")


def _messages(chain: L1Chain, start: int) -> Json:
    """Logs of the bridge from a block on; `to` is the last block that was looked through."""
    bridge = chain.context.deployment.get("l1_bridge")
    found: list[Json] = []
    last = start - 1
    for block in chain.blocks[start - 1 : start - 1 + BLOCKS_READ_MAX]:
        if len(found) >= MESSAGES_MAX:
            break
        last = block.number
        for receipt in block.receipts:
            for log in receipt.logs:
                if log.address == bridge:
                    found.append({"block": block.number, "topics": list(log.topics), "data": log.data.hex()})
    return {"height": chain.height, "to": last, "logs": found}


def _receipt(chain: L1Chain, name: str) -> Json:
    """Block and outcome of a transaction among the newest blocks; null where it is not there."""
    for block in reversed(chain.blocks[-BLOCKS_READ_MAX:]):
        for receipt in block.receipts:
            if receipt.transaction_hash == name:
                return {"block": block.number, "ok": receipt.succeeded}
    return None


async def _proof(chain: L1Chain, payload: Json) -> Json:
    """That the bridge has sent a message, or not, by the state of one block; with the block's header."""
    block = _block_at(chain, number(payload, "number", least=1))
    bridge, key = chain.context.deployment.get("l1_bridge"), sent_at_key(parse_hash(field(payload, "id")))
    try:
        proof = await chain.engine.query("eth_getProof", [bridge, [key]], at=block.hash)
        header = header_rlp(await chain.engine.query("eth_getBlockByNumber", [False], at=block.hash))
    except (QueryRefused, ValueError) as error:
        raise Refused(f"no proof at block {block.number}: {error}") from error
    return {
        "hash": block.hash,
        "header": header.hex(),
        "account": [node[2:] for node in proof["accountProof"]],
        "slot": [node[2:] for node in proof["storageProof"][0]["proof"]],
    }


def _block_at(chain: L1Chain, wanted: int) -> ExecutedBlock:
    if wanted > chain.height:
        raise Refused(f"this node has {chain.height} L1 blocks, and not number {wanted}")
    return chain.blocks[wanted - 1]
