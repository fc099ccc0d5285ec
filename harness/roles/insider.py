"""The insider: a leader that was ordered to puts swaps of its own around those of others when it builds a block.

It pays with its own account's tokens, which genesis gave it, and signs like anybody: to the other nodes such a block is
as valid as any. What it expected of each attempt, and what its inclusion costs in gas, goes into the history.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.evm.accounts import account
from harness.evm.wallet import DecodedTransaction, decode_transaction, sign_transaction
from harness.plan import L2_CHAIN_ID
from harness.roles.context import RoleContext
from harness.roles.extraction import Sandwich, expected_after, sandwich
from harness.roles.node import Node
from harness.roles.orders import Orders
from harness.rollup.blocks import Hash
from harness.venue.spot import Swap, decode_reserves, decode_swap, encode_reserves, encode_swap

SANDWICH = "sandwich"
GREEDY = "greedy"
SWAP_GAS = 250_000
CAPITAL_SHARE = 8
"""It stakes at most one part in so many of what the pool began with, so that it can try several times."""


class Insider:
    """One leader's swaps; without an order, or without a pool, it changes nothing."""

    def __init__(self, context: RoleContext, node: Node, orders: Orders) -> None:
        self.context = context
        self.node = node
        self.orders = orders

    async def arrange(
        self, raws: list[bytes], *, parent: Hash, used: Sequence[DecodedTransaction], gas_taken: int = 0
    ) -> list[bytes]:
        """The block's transactions with its own in between, for the first standing order.

        `gas_taken` is what the block holds before them.
        """
        standing = self.orders.of(SANDWICH)
        spec, plan = self.context.spec, self.context.plan
        if not standing or plan.spot is None or spec.account is None:
            return raws
        fault, order = standing[0]
        victims = {self.context.accounts[name] for name in order.names if name in self.context.accounts}
        amm = self.context.deployment["spot_amm"]
        decoded = [decode_transaction(raw) for raw in raws]
        swaps = [decode_swap(item.data) if item.to == amm else None for item in decoded]
        if not any(swaps):
            return raws
        reserves = decode_reserves(await self.node.chain.engine.call(amm, encode_reserves(), at=parent))
        mine = account(spec.account)
        nonce = max(
            [self.node.chain.pool.nonces.get(mine.address, 0), *(t.nonce + 1 for t in used if t.sender == mine.address)]
        )
        room = plan.profile.l2_gas_limit - gas_taken - sum(item.gas_limit for item in decoded)
        arranged: list[bytes] = []
        for raw, item, swap in zip(raws, decoded, swaps, strict=True):
            found: Sandwich | None = None
            if swap is not None and item.sender in victims and room >= 2 * SWAP_GAS:
                pot = plan.spot.quote if swap.buys else plan.spot.underlying
                found = sandwich(reserves, swap, capital=pot // CAPITAL_SHARE, greedy=order.how == GREEDY)
            if swap is None or found is None:
                arranged.append(raw)
                reserves = reserves if swap is None else expected_after(reserves, swap)
                continue
            arranged += [self._signed(found.front, nonce), raw, self._signed(found.back, nonce + 1)]
            nonce, room = nonce + 2, room - 2 * SWAP_GAS
            for one in (found.front, swap, found.back):
                reserves = expected_after(reserves, one)
            self.orders.acted(fault)
            self._record(fault, found, victim=item)
        return arranged

    def _signed(self, swap: Swap, nonce: int) -> bytes:
        assert self.context.spec.account is not None
        return sign_transaction(
            account(self.context.spec.account).key, chain_id=L2_CHAIN_ID, nonce=nonce,
            to=self.context.deployment["spot_amm"], data=encode_swap(swap), gas=SWAP_GAS,
        )  # fmt: skip

    def _record(self, fault: str, found: Sandwich, *, victim: DecodedTransaction) -> None:
        self.context.record.record(
            "stat", name="sandwich", fault=fault, victim=victim.hash, buys=found.front.buys,
            stake=str(found.front.amount_in), expected_gain=str(found.gain), gas_limit=2 * SWAP_GAS,
        )  # fmt: skip
