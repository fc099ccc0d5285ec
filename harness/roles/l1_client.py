"""A user of L1: signs, sends to one L1 node, and waits until a block has it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evm.accounts import Account
from harness.evm.wallet import sign_transaction, transaction_hash
from harness.plan import L1_CHAIN_ID
from harness.ports import Clock, Json, Network, PortError, Refused
from harness.roles.refusals import is_definite
from harness.roles.wire import field, number

REQUEST_TIMEOUT_S = 1.0
POLL_S = 1.0
PATIENCE_L1_BLOCKS = 5
FEE_HEADROOM = 2
"""What is offered above the current base fee."""


@dataclass(frozen=True, slots=True)
class L1Outcome:
    """How it ended: `ok` in a block and succeeded, `fail` certainly without effect, `info` may be, or may come."""

    phase: str
    reason: str = ""
    transaction: str | None = None
    block: int | None = None

    def detail(self) -> dict[str, Json]:
        """Other words than for L2: what is looked up on L2 by its hash is not there."""
        return {"l1_tx": self.transaction, "l1_block": self.block, "reason": self.reason}


class L1Client:
    """One account's connection; one transaction at a time. A block that has it may still be reorganised away."""

    def __init__(self, network: Network, clock: Clock, *, account: Account, node: str, l1_block_s: float) -> None:
        self._network = network
        self._clock = clock
        self._account = account
        self._node = node
        self._patience_s = PATIENCE_L1_BLOCKS * l1_block_s

    async def send(self, to: str, data: bytes, *, gas: int) -> L1Outcome:
        """Never raises for what the network does: that is the outcome."""
        try:
            nonce = number(await self._ask("l1_nonce", {"address": self._account.address}), "nonce")
            fee = FEE_HEADROOM * number(await self._ask("l1_fee", {}), "base_fee")
        except PortError as error:
            return L1Outcome("fail", f"not sent: {error}")
        raw = sign_transaction(
            self._account.key, chain_id=L1_CHAIN_ID, nonce=nonce, to=to, data=data, gas=gas, max_fee=fee
        )
        name = transaction_hash(raw)
        try:
            await self._ask("l1_submit", {"raw": raw.hex()})
        except PortError as error:
            if isinstance(error, Refused) and is_definite(error):
                return L1Outcome("fail", f"refused: {error}", name)
            # It may have been taken: whether a block has it is what counts.
        return await self._wait_for_block(name)

    async def _wait_for_block(self, name: str) -> L1Outcome:
        deadline_ns = self._clock.monotonic() + int(self._patience_s * 1e9)
        while self._clock.monotonic() < deadline_ns:
            await self._clock.sleep(POLL_S)
            try:
                found = await self._ask("l1_receipt", {"hash": name})
            except PortError:
                continue
            if found is not None:
                ok = field(found, "ok") is True
                return L1Outcome("ok" if ok else "fail", "" if ok else "reverted", name, number(found, "block"))
        return L1Outcome("info", f"in no L1 block after {self._patience_s:g} s", name)

    async def _ask(self, kind: str, payload: Json) -> Json:
        return await self._network.request(self._node, kind, payload, timeout=REQUEST_TIMEOUT_S)
