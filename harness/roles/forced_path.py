"""The way into L2 that no sequencer can close: a transaction that L2 does not commit is put through L1's forced queue.

It is the very transaction that was offered to L2, so it lands at most once, whichever way is the faster.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from harness.evm.accounts import account
from harness.evm.wallet import decode_transaction, sign_transaction
from harness.plan import L1_CHAIN_ID
from harness.ports import PortError
from harness.roles.context import RoleContext
from harness.roles.wire import number
from harness.venue.forced_queue import CONTRACT, encode_enqueue

Landed = TypeVar("Landed")

REQUEST_TIMEOUT_S = 1.0
ENQUEUE_GAS, ENQUEUE_GAS_PER_BYTE = 150_000, 40   # storage and log; calldata, hash and log of each byte
FEE_HEADROOM = 2
OFFERED_WEI_PER_GAS = 20 * 10**9
"""What is sent along for each L2 gas, twenty times what an idle queue costs; the queue gives back the rest."""
ENTRIES_MAX = 4
"""How often it is enqueued: the L1 block's gas may be used up, or the L1 transaction be lost in a reorg."""
GATEWAYS_ASKED = 3
"""How many offers of one transaction are made, each to the next gateway."""
POLL_S = 0.5
SLACK_L1_BLOCKS = 3
"""Beyond the depth of an origin: to be mined, to be the origin's turn, to be committed."""


class ForcedPath:
    """A client's own, with its account on L1."""

    def __init__(self, context: RoleContext) -> None:
        assert context.spec.account is not None, "an entry is enqueued with an account"
        assert context.spec.l1 is not None, "an entry is sent to an L1 node"
        self._context = context
        self._account = account(context.spec.account)
        self._l1 = context.spec.l1
        profile = context.plan.profile
        self._wait_s = (profile.origin_confirmations_l1_blocks + SLACK_L1_BLOCKS) * profile.l1_block_ms / 1000

    @property
    def patience_s(self) -> float:
        """How long each of the gateways that are asked has to report something committed before it is forced."""
        return self._context.plan.force_after_ns / 1e9 / GATEWAYS_ASKED

    async def force(self, raws: Sequence[bytes], landed: Callable[[], Awaitable[Landed | None]]) -> Landed | None:
        """Enqueue raw L2 transactions, again if it has to be, until `landed` says how the last went; None where it
        never does."""
        clock = self._context.clock
        for _ in range(ENTRIES_MAX):
            try:
                await self._enqueue(raws)
            except PortError as error:  # L1 is out of reach, or holds the entry already: wait and see
                self._context.record.record("stat", name="not-enqueued", reason=str(error))
            deadline = clock.monotonic() + int(self._wait_s * 1e9)
            while clock.monotonic() < deadline:
                found = await landed()
                if found is not None:
                    return found
                await clock.sleep(POLL_S)
        return None

    async def _enqueue(self, raws: Sequence[bytes]) -> None:
        """One entry each, in this order. Raises `PortError` where no L1 node took them."""
        request = self._context.network.request
        l1 = await request(self._l1, "l1_nonce", {"address": self._account.address}, timeout=REQUEST_TIMEOUT_S)
        fee = await request(self._l1, "l1_fee", {}, timeout=REQUEST_TIMEOUT_S)
        for nonce, raw in enumerate(raws, start=number(l1, "nonce")):
            gas = decode_transaction(raw).gas_limit
            data = encode_enqueue(raw, gas)
            enqueuing = sign_transaction(
                self._account.key,
                chain_id=L1_CHAIN_ID,
                nonce=nonce,
                to=self._context.deployment[CONTRACT],
                data=data,
                gas=ENQUEUE_GAS + ENQUEUE_GAS_PER_BYTE * len(data),
                max_fee=FEE_HEADROOM * number(fee, "base_fee"),
                value=gas * OFFERED_WEI_PER_GAS,
            )
            await request(self._l1, "l1_submit", {"raw": enqueuing.hex()}, timeout=REQUEST_TIMEOUT_S)
            self._context.record.record("stat", name="forced-entry-sent", tx=decode_transaction(raw).hash, gas=gas)
