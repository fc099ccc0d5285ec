"""Blocks as clients want them, header fields, transactions and receipts whole, from the node; the newest ones kept."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from harness.roles.jsonrpc.faults import SERVER_ERROR, RpcFault
from harness.roles.jsonrpc.source import ChainSource
from harness.rollup.blocks import Hash

BLOCKS_KEPT_MAX = 512


@dataclass(frozen=True, slots=True)
class RichBlock:
    """One block in JSON-RPC's own form."""

    header: dict[str, Any]          # without its transactions
    transactions: list[dict[str, Any]]
    receipts: list[dict[str, Any]]

    def to_json(self, *, full: bool) -> dict[str, Any]:
        listed: list[Any] = self.transactions if full else [each["hash"] for each in self.transactions]
        return {**self.header, "transactions": listed}


class RichBlocks:
    """Blocks are immutable and named by hash, so what was read once stays true."""

    def __init__(self, source: ChainSource) -> None:
        self._source = source
        self._kept: OrderedDict[Hash, RichBlock] = OrderedDict()

    def kept(self, name: Hash) -> RichBlock | None:
        """A block that need not be asked for."""
        found = self._kept.get(name)
        if found is not None:
            self._kept.move_to_end(name)
        return found

    async def read(self, name: Hash) -> RichBlock:
        """Ask the node. Raises what `Engine.query` raises, and `RpcFault` where the node has another block there."""
        block = await self._source.engine.query("eth_getBlockByNumber", [True], at=name)
        if block is None or block["hash"] != name:
            raise RpcFault(SERVER_ERROR, f"block {name} is not on the node's chain at this moment; ask again")
        receipts = await self._source.engine.query("eth_getBlockReceipts", [], at=name)
        transactions = block.pop("transactions")
        if len(receipts) != len(transactions) or any(receipt["blockHash"] != name for receipt in receipts):
            raise RpcFault(SERVER_ERROR, f"block {name} left the node's chain while it was read; ask again")
        rich = RichBlock(block, transactions, receipts)
        self._kept[name] = rich
        if len(self._kept) > BLOCKS_KEPT_MAX:
            self._kept.popitem(last=False)
        return rich
