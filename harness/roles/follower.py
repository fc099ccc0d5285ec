"""An L2 node's reading of L1: pages of blocks from its L1 node, with what derivation wants of them."""

from __future__ import annotations

from harness.evm.wallet import decode_transaction
from harness.plan import L1_CHAIN_ID
from harness.ports import Json
from harness.roles.context import RoleContext
from harness.roles.wire import WireError, block_from_json, field, forced_from_json, items, parse_hash
from harness.rollup.blocks import BlockInputs, Hash
from harness.rollup.derivation import Derivation, L1Block
from harness.venue.exchange import decode_call

L1_TIMEOUT_S = 1.0
FORK_STEP = 32
"""How far the search for an L1 fork goes back at a time."""


class L1Source:
    """Reads blocks from the L1 node the plan assigned; the link to it is what a view-lag fault delays."""

    def __init__(self, context: RoleContext) -> None:
        assert context.spec.l1 is not None, "an L2 node reads an L1 node"
        self._context = context
        self._l1 = context.spec.l1
        self._genesis: Hash | None = None

    async def genesis_hash(self) -> Hash:
        """Hash of L1 block 0, asked for once. Raises `PortError` while L1 is out of reach."""
        if self._genesis is None:
            self._genesis = parse_hash(field(await self._page(1), "genesis"))
        return self._genesis

    async def blocks_from(self, number: int) -> tuple[Hash | None, list[L1Block]]:
        """(the block before, the next page of L1 blocks from a height on, oldest first).

        The page is empty when there is none yet, and the block before is None where the node is not that far.
        """
        blocks: list[L1Block] = []
        page = await self._page(number)
        before = page.get("before")
        for item in items(page, "blocks"):
            name, inputs = block_from_json(item)
            if inputs.chain_id != L1_CHAIN_ID:
                raise WireError(f"L1 block {inputs.number} is of chain {inputs.chain_id}, not {L1_CHAIN_ID}")
            blocks.append(
                L1Block(
                    number=inputs.number,
                    hash=name,
                    parent=inputs.parent,
                    timestamp=inputs.timestamp,
                    inbox=tuple(self._frames(inputs)),
                    forced=forced_from_json(item),
                )
            )
        return None if before is None else parse_hash(before), blocks

    async def fork_with(self, derivation: Derivation) -> int:
        """The highest L1 block that this node's L1 node has and derivation was fed; 0 when that is genesis alone.

        Lower than all that derivation remembers means: lower than it could go.
        """
        start = derivation.l1_head.number
        while True:
            start = max(1, start - FORK_STEP)
            before, blocks = await self.blocks_from(start)
            known = derivation.l1_at(start - 1)
            if start == 1 or known is None or known.hash == before:
                break
        fork = start - 1
        while blocks:
            for block in blocks:
                known = derivation.l1_at(block.number)
                if known is None or known.hash != block.hash:
                    return fork
                fork = block.number
            _, blocks = await self.blocks_from(fork + 1)  # large blocks make short pages
        return fork

    async def _page(self, number: int) -> Json:
        return await self._context.network.request(self._l1, "l1_blocks", {"from": number}, timeout=L1_TIMEOUT_S)

    def _frames(self, inputs: BlockInputs) -> list[tuple[str, bytes]]:
        """(sender, frame) of each transaction to the inbox, in block order."""
        frames: list[tuple[str, bytes]] = []
        for raw in inputs.transactions:
            transaction = decode_transaction(raw)
            match decode_call(transaction.to, transaction.data, self._context.deployment):
                case ("batch_inbox", "submit", (bytes() as frame,)):
                    frames.append((transaction.sender, frame))
        return frames
