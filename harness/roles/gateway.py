"""A node's service to its clients: submit and wait, read at a label, nonces and receipts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.evm.wallet import decode_transaction
from harness.ports import Json, Refused
from harness.project_plan import ProjectCodec
from harness.roles.chain import Chain
from harness.roles.context import RoleContext
from harness.roles.mempool import Rejected
from harness.roles.recording import explain
from harness.roles.wire import WireError, address, behind, data, text
from harness.rollup.blocks import ExecutedBlock, Hash, Receipt
from harness.rollup.heads import Label

WAIT_S_MAX = 30.0
WAITERS_MAX = 5_000
LABELS = {label.word: label for label in Label}


@dataclass(frozen=True, slots=True)
class Included:
    """Where a committed transaction is, and how it went."""

    number: int
    hash: Hash
    receipt: Receipt


class Gateway:
    """Answers what clients ask of one node; writes go into its pool and to the sequencers it gossips with."""

    def __init__(self, context: RoleContext, chain: Chain) -> None:
        self.context = context
        self.chain = chain
        self._gossip = [s.name for s in context.plan.of_kind("sequencer") if s.name != context.name]
        self._included: dict[str, Included] = {}
        self._waiters: dict[str, list[asyncio.Future[Included]]] = {}
        self._waiting = 0
        self._project = ProjectCodec(context.plan.project)

    def on_committed(self, block: ExecutedBlock) -> None:
        """Remember where its transactions are and wake whoever waits for one."""
        for receipt in block.receipts:
            included = Included(block.number, block.hash, receipt)
            self._included[receipt.transaction_hash] = included
            for waiter in self._waiters.pop(receipt.transaction_hash, ()):
                if not waiter.done():
                    waiter.set_result(included)

    async def answer(self, kind: str, payload: Json) -> Json:
        match kind:
            case "tx":
                return await self._submit(data(payload, "raw"), wait=_seconds(payload.get("wait", 0)))
            case "gossip":
                self._admit(data(payload, "raw"), gossip=False)
                return None
            case "call":
                return await self._call(payload)
            case "nonce":
                return {"nonce": self._nonce(address(payload, "address"), behind(payload))}
            case "receipt":
                included = self._included.get(text(payload, "hash"))
                head = self.chain.heads.committed.number - behind(payload)
                return None if included is None or included.number > head else self._receipt(included)
            case _:
                raise Refused(f"an L2 node does not answer {kind!r}")

    def _nonce(self, sender: str, blocks_behind: int) -> int:
        """The next nonce, pending transactions counted; or what it was some committed blocks ago, without those."""
        if not blocks_behind:
            return self.chain.pool.next_nonce(sender)
        head = self.chain.heads.committed.number
        recent = self.chain.committed_range(head - blocks_behind + 1, head)
        used = sum(decode_transaction(raw).sender == sender for block in recent for raw in block.inputs.transactions)
        return max(0, self.chain.pool.nonces.get(sender, 0) - used)

    async def _submit(self, raw: bytes, *, wait: float) -> Json:
        name = self._admit(raw, gossip=True)
        included = self._included.get(name)
        if included is None and wait > 0:
            included = await self._wait_for_inclusion(name, min(wait, WAIT_S_MAX))
        return {"hash": name, "pending": True} if included is None else self._receipt(included)

    def _admit(self, raw: bytes, *, gossip: bool) -> str:
        """Put a transaction into the pool and, when it is new here, pass it on. Returns its hash.

        Raises:
            Refused: the pool rejects it (see `Mempool.add`).
        """
        try:
            name = decode_transaction(raw).hash
            if name in self._included:
                return name
            is_new = name not in self.chain.pool
            self.chain.pool.add(raw)
        except (Rejected, ValueError) as error:
            raise Refused(str(error)) from error
        if gossip and is_new:
            self.pass_on(raw)
        return name

    def pass_on(self, raw: bytes) -> None:
        """Send a transaction to the sequencers, any of which may build the block it gets into."""
        message = {"raw": raw.hex()}
        for peer in self._gossip:
            self.context.network.send(peer, "gossip", message)

    async def _wait_for_inclusion(self, name: str, seconds: float) -> Included | None:
        if self._waiting >= WAITERS_MAX:
            return None  # it is in the pool and passed on: a refusal would say that it cannot land
        waiter: asyncio.Future[Included] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(name, []).append(waiter)
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError:
            return None
        finally:
            self._waiting -= 1
            waiters = self._waiters.get(name)
            if waiters is not None:
                waiters.remove(waiter)
                if not waiters:
                    del self._waiters[name]

    def _receipt(self, included: Included) -> Json:
        receipt = included.receipt
        return {
            "hash": receipt.transaction_hash,
            "ok": receipt.succeeded,
            "block": included.number,
            "block_hash": included.hash,
            "gas": receipt.gas_used,
            "error": None if receipt.succeeded else explain(receipt.revert_data, self._project),
        }

    async def _call(self, payload: Json) -> Json:
        to, call = address(payload, "to"), data(payload, "data")
        sender = None if payload.get("sender") is None else address(payload, "sender")
        word = text(payload, "label") if "label" in payload else Label.UNSAFE.word
        label = LABELS.get(word)
        if label is None:
            raise Refused(f"unknown label {word[:80]!r}; expected one of {', '.join(LABELS)}")
        head = self.chain.behind(self.chain.heads.at(label), behind(payload))
        result = await self.chain.engine.call(to, call, at=head.hash, sender=sender)
        return {
            "result": result.hex(),
            "number": head.number,
            "hash": head.hash,
            "timestamp": self.chain.timestamp_of(head.hash),
        }


def _seconds(value: Json) -> float:
    """How long a client is ready to wait."""
    if type(value) not in (int, float):
        raise WireError(f"'wait' is {str(value)[:80]!r}, expected seconds")
    return float(min(value, WAIT_S_MAX))
