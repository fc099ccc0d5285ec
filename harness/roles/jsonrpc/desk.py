"""What all methods work with: the chain, its blocks by their names, the node in turn, and what a question may cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from harness.ports import Clock, EngineFailure, Json, QueryRefused, RpcSession
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.canonical import CanonicalChain
from harness.roles.jsonrpc.faults import (
    RESOURCE_UNAVAILABLE,
    REVERTED,
    SERVER_ERROR,
    RpcFault,
    invalid,
    limited,
    refused,
)
from harness.roles.jsonrpc.rich_blocks import RichBlock, RichBlocks
from harness.roles.jsonrpc.slow_lane import SlowLane
from harness.roles.jsonrpc.source import ChainSource
from harness.roles.jsonrpc.turns import WHOLE, Turns
from harness.rollup.blocks import Hash
from harness.rollup.heads import Label

CALL_GAS_MAX: Final = 30_000_000
"""Of one call: some 20 ms of the node's time at the worst, which is what a block may have to wait."""

LONG_QUERIES: Final = frozenset({
    "eth_call", "eth_estimateGas", "eth_createAccessList", "debug_traceCall", "debug_traceTransaction", "eth_getProof",
})  # fmt: skip
WAITERS_MAX: Final = 1_024
CALL_SHARE: Final = WHOLE // 8
"""Of a turn, for one of the long ones while they are quick."""

TAGS: Final = {
    "latest": Label.UNSAFE,
    "unsafe": Label.UNSAFE,
    "pending": Label.UNSAFE,
    "committed": Label.COMMITTED,
    "safe": Label.SAFE,
    "finalized": Label.FINALIZED,
}
_ERROR_SELECTOR: Final = "0x08c379a0"
_PANIC_SELECTOR: Final = "0x4e487b71"
_SELECTOR_END: Final = 10  # characters


class Desk:
    """One node's; every method gets it."""

    def __init__(self, source: ChainSource, clock: Clock) -> None:
        self.source = source
        self.clock = clock
        self.chain = CanonicalChain(source)
        self.blocks = RichBlocks(source)
        self.turns = Turns()
        self._slow_lane = SlowLane(clock, source.block_interval_ns)
        self._newest = source.head(Label.UNSAFE).hash
        self.gas_cap = min(CALL_GAS_MAX, source.gas_limit)
        self.signing = asyncio.Lock()
        """Held while a dev account's next nonce is being used."""
        self._change: asyncio.Future[None] | None = None
        self._waiting = 0

    # -- news

    def changed(self) -> None:
        """A head has moved: whoever waits for that looks again."""
        newest = self.source.head(Label.UNSAFE).hash
        if newest != self._newest:
            self._newest = newest
            self._slow_lane.block_seen()
        change, self._change = self._change, None
        if change is not None and not change.done():
            change.set_result(None)

    async def wait_for_change(self, seconds: float) -> None:
        """Return when a head has moved or the time is over. Raises `RpcFault` where too many wait."""
        if self._waiting >= WAITERS_MAX:
            raise limited(f"{self._waiting} clients wait for a block already; poll instead")
        if self._change is None:
            self._change = asyncio.get_running_loop().create_future()
        self._waiting += 1
        try:
            await asyncio.wait([self._change], timeout=seconds)
        finally:
            self._waiting -= 1

    # -- which block

    def number_named(self, value: Json, name: str) -> int | None:
        """Height a block name stands for, None where there is no such canonical block. Raises `RpcFault`."""
        if value is None:
            return self.chain.height
        if isinstance(value, dict):
            if "blockHash" in value:
                return self.chain.number_of(values.hash32(value["blockHash"], f"{name}.blockHash"))
            if "blockNumber" not in value:
                raise invalid(f"{name} must have blockHash or blockNumber, not {values.shown(value)}")
            value, name = value["blockNumber"], f"{name}.blockNumber"
        if isinstance(value, str) and not value.startswith("0x"):
            if value == "earliest":
                return 0
            label = TAGS.get(value)
            if label is None:
                raise invalid(f"{name} is {values.shown(value)}; it takes a number, earliest, {', '.join(TAGS)}")
            return min(self.source.head(label).number, self.chain.height)
        if isinstance(value, str) and len(value) == 2 + values.WORD_HEX:
            return self.chain.number_of(values.hash32(value, name))
        number = values.quantity(value, name)
        return number if number <= self.chain.height else None

    def hash_named(self, value: Json, name: str) -> Hash:
        """The canonical block a name stands for. Raises `RpcFault` also where there is none."""
        number = self.number_named(value, name)
        found = None if number is None else self.chain.hash_at(number)
        if found is None:
            raise refused(f"header not found: {name} {values.shown(value)} is not on this node's chain, "
                          f"whose head is {self.chain.height}")
        return found

    # -- asking the node

    async def query(self, session: RpcSession, method: str, params: list[Any], *, at: Hash) -> Any:
        """One question to the node, in turn. Raises `RpcFault` for whatever keeps it from an answer."""
        return (await self.timed_query(session, method, params, at=at))[0]

    async def timed_query(self, session: RpcSession, method: str, params: list[Any], *, at: Hash) -> tuple[Any, int]:
        """The answer, and how long the node took for it and for what it was asked together with, in ns."""
        if method not in LONG_QUERIES:
            return await self._asked(session, 1, method, params, at)
        if not self._slow_lane.is_in_use:
            return await self._asked(session, CALL_SHARE, method, params, at)
        async with self._slow_lane.turn(session):
            return await self._asked(session, WHOLE, method, params, at)

    async def _asked(
        self, session: RpcSession, size: int, method: str, params: list[Any], at: Hash
    ) -> tuple[Any, int]:
        async with self.turns.turn(session, size):
            began = self.clock.monotonic()
            took = 0
            try:
                try:
                    answer = await self.source.engine.query(method, params, at=at)
                finally:
                    took = self.clock.monotonic() - began
                    if method in LONG_QUERIES:
                        self._slow_lane.note(began, took, was_shared=size < WHOLE)
            except QueryRefused as refusal:
                raise self._fault_of(refusal) from refusal
            except EngineFailure as failure:
                raise RpcFault(RESOURCE_UNAVAILABLE, "the execution node is being replaced; ask again") from failure
            return answer, took

    async def rich(self, session: RpcSession, name: Hash) -> RichBlock:
        """A canonical block in full; from memory where it was read before."""
        kept = self.blocks.kept(name)
        if kept is not None:
            return kept
        async with self.turns.turn(session):
            try:
                return self.blocks.kept(name) or await self.blocks.read(name)
            except QueryRefused as refusal:
                raise self._fault_of(refusal) from refusal
            except EngineFailure as failure:
                raise RpcFault(RESOURCE_UNAVAILABLE, "the execution node is being replaced; ask again") from failure

    def _fault_of(self, refusal: QueryRefused) -> RpcFault:
        """The node's error as geth would have put it."""
        if refusal.code == REVERTED:
            data = refusal.data if isinstance(refusal.data, str) else "0x"
            return RpcFault(REVERTED, reverted_message(data, self.source.explain), data)
        if refusal.code in (-32602, SERVER_ERROR, -32003, -32603):
            return RpcFault(SERVER_ERROR, refusal.message, refusal.data)
        return RpcFault(refusal.code, refusal.message, refusal.data)


def reverted_message(data: str, explain: Callable[[bytes], str]) -> str:
    """`execution reverted`, with the reason: Solidity's own ones in geth's words, custom errors by their names."""
    if data.startswith(_PANIC_SELECTOR) and len(data) == 10 + values.WORD_HEX:
        return f"execution reverted: panic 0x{int(data[10:], 16):02x}"
    if data.startswith(_ERROR_SELECTOR) and len(data) >= 10 + 2 * values.WORD_HEX:
        raw = bytes.fromhex(data[10:])
        length = int.from_bytes(raw[32:64], "big")
        if length <= len(raw) - 64:
            return f"execution reverted: {raw[64 : 64 + length].decode(errors='replace')}"
    if len(data) < _SELECTOR_END:
        return "execution reverted"
    told = explain(bytes.fromhex(data[2:]))
    return f"execution reverted: {f'custom error {data[:10]}' if told.startswith('unknown') else told}"
