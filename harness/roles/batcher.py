"""The batcher: posts committed blocks to L1 in channels, and posts again what did not become safe.

It keeps nothing that the two chains do not know: after a crash it asks for the safe head and its L1 nonce and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.evm.accounts import account
from harness.evm.wallet import sign_transaction
from harness.plan import L1_CHAIN_ID
from harness.ports import PortError, Refused
from harness.roles.context import RoleContext
from harness.roles.mempool import REPLACEMENT_PERCENT
from harness.roles.refusals import is_definite
from harness.roles.validators import encode_certificate
from harness.roles.wire import WireError, block_from_json, certificate_from_json, field, items, number
from harness.rollup.batch import BatchError, Channel, build_channel
from harness.rollup.heads import Heads, HeadsError, Label
from harness.venue.exchange import encode_inbox_submit

REQUEST_TIMEOUT_S = 1.0
INTRINSIC_GAS = 21_000
GAS_PER_BYTE = 16
GAS_MARGIN = 60_000
REPRICE_L1_BLOCKS = 4
OFFERED_EVERY_L1_BLOCKS = 2
"""How often frames that L1 has not included are handed to it again, at the price they have."""
FEE_HEADROOM = 2
"""What is offered above the current base fee, which rises by at most an eighth a block."""


@dataclass(slots=True)
class Posted:
    """The newest channel sent and not yet safe: frame i went out under nonce `nonce + i`."""

    tip: int
    frames: tuple[bytes, ...]
    nonce: int
    fee: int
    """The highest offered per gas, which a replacement has to beat."""
    at_l1_height: int
    """When it was sent last."""
    offered_at: int
    """When it was last handed to L1's pool, whose promise to hold it is worth only so much."""
    is_taken: bool = False
    """Whether L1 confirmed to hold every frame, as sent last."""

    def missing(self, l1_nonce: int) -> int:
        """How many frames L1 has not included."""
        return max(0, self.nonce + len(self.frames) - l1_nonce)


class Batcher:
    """One channel in flight at a time; what L1 does not take is offered again at a higher fee under its nonce."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        assert context.spec.account is not None, "the batcher signs with an account"
        assert context.spec.l1 is not None, "the batcher posts to an L1 node"
        self._account = account(context.spec.account)
        self._l1 = context.spec.l1
        self._posted: Posted | None = None
        self._safe = 0
        self._safe_since_l1_height = 0
        """L1 height at which the safe head was first seen where it is."""
        self._turn = 0
        self._l1_nonce = 0
        """What L1 said last."""

    async def run(self) -> None:
        profile = self.context.plan.profile
        interval = profile.l1_block_ms * profile.batch_submit_interval_l1_blocks / 1000
        while True:
            await self.context.clock.sleep(interval)
            try:
                await self._submit()
            except (PortError, BatchError) as error:
                self.context.record.record("stat", name="batch-not-posted", reason=str(error))

    async def _submit(self) -> None:
        gateway = self.context.spec.gateways[self._turn % len(self.context.spec.gateways)]
        request = {"address": self._account.address}
        l1 = await self.context.network.request(self._l1, "l1_nonce", request, timeout=REQUEST_TIMEOUT_S)
        height, nonce = number(l1, "height"), number(l1, "nonce")
        if self._notices_reorg(nonce):
            return  # the nodes will know it too by the next turn
        if self._posted is not None and self._posted.missing(nonce):
            await self._insist(self._posted, height, nonce)
            return
        try:
            channel = await self._next_channel(gateway, height)
        except PortError:
            self._turn += 1  # the next node is asked next time
            raise
        if channel is not None:
            await self._post(channel, height, nonce)

    def _notices_reorg(self, nonce: int) -> bool:
        """Whether L1 took blocks back, and frames with them: then start again from the safe head."""
        before, self._l1_nonce = self._l1_nonce, nonce
        if nonce >= before:
            return False
        self.context.record.record("stat", name="frames-taken-back", nonce=nonce, nonce_before=before)
        self._posted = None
        return True

    async def _next_channel(self, gateway: str, l1_height: int) -> Channel | None:
        """What a node has committed beyond the safe head and beyond what is on its way; None if that is nothing."""
        network = self.context.network
        try:
            heads = Heads.from_json(await network.request(gateway, "heads", {}, timeout=REQUEST_TIMEOUT_S))
        except (HeadsError, KeyError, IndexError, TypeError, ValueError) as error:
            raise WireError(f"{gateway} has impossible heads: {type(error).__name__}: {error}") from error
        start = self._start(heads.at(Label.SAFE).number, l1_height)
        page = await network.request(gateway, "blocks", {"from": start}, timeout=REQUEST_TIMEOUT_S)
        blocks = [inputs for _, inputs in map(block_from_json, items(page, "blocks"))]
        if not blocks:
            return None
        certificate = certificate_from_json(field(page, "certificate"))
        return build_channel(blocks, certificate.block_hash, encode_certificate(certificate), start)

    def _start(self, safe: int, l1_height: int) -> int:
        """First height to post: after the newest channel in flight, or after the safe head once that one stands still.

        Every channel stands on the one before. When one is lost those after it are too, so it is the safe head that
        tells, and not the age of the newest channel, which is never old.
        """
        if safe < self._safe:
            self._posted = None  # what made those blocks safe is gone from L1
        posted = self._posted
        if posted is None or safe > self._safe:
            self._safe, self._safe_since_l1_height = safe, l1_height
        timeout = self.context.plan.profile.channel_timeout_l1_blocks
        if posted is None or posted.tip <= safe or l1_height - self._safe_since_l1_height > timeout:
            self._posted = None
            return safe + 1
        return posted.tip + 1

    async def _post(self, channel: Channel, l1_height: int, nonce: int) -> None:
        """Send a channel's frames under the next nonces."""
        fee = await self._fee()
        # Held before the first frame leaves: a reply that is lost on the way back does not mean that it did not land.
        posted = self._posted = Posted(channel.tip_height, channel.frames, nonce, fee, l1_height, l1_height)
        await self._send(posted, nonce)
        self.context.record.record(
            "stat",
            name="batch-posted",
            first=channel.first_height,
            tip=channel.tip_height,
            frames=len(channel.frames),
            bytes=channel.size,
            fee_wei=str(fee),
        )

    async def _insist(self, posted: Posted, l1_height: int, nonce: int) -> None:
        """Frames wait in the L1 pool, or were lost with it: after a while, offer more for them.

        Under their own nonces, so that a channel never overtakes the one it stands on.
        """
        if not posted.is_taken:
            await self._send(posted, nonce)
            return
        if l1_height - posted.at_l1_height < REPRICE_L1_BLOCKS:
            if l1_height - posted.offered_at >= OFFERED_EVERY_L1_BLOCKS:
                posted.offered_at = l1_height
                await self._send(posted, nonce)
            return
        posted.fee = max(await self._fee(), outbid(posted.fee))
        posted.at_l1_height = posted.offered_at = l1_height
        await self._send(posted, nonce)
        missing = posted.missing(nonce)
        self.context.record.record("stat", name="batch-repriced", frames=missing, fee_wei=str(posted.fee))

    async def _fee(self) -> int:
        """What to offer per gas: twice the base fee the builder would charge now."""
        reply = await self.context.network.request(self._l1, "l1_fee", {}, timeout=REQUEST_TIMEOUT_S)
        return FEE_HEADROOM * number(reply, "base_fee")

    async def _send(self, posted: Posted, l1_nonce: int) -> None:
        """Offer the frames that L1 has not included, in order; the same bytes again do no harm."""
        posted.is_taken = False
        for nonce, frame in enumerate(posted.frames, start=posted.nonce):
            if nonce < l1_nonce:
                continue
            data = encode_inbox_submit(frame)
            raw = sign_transaction(
                self._account.key,
                chain_id=L1_CHAIN_ID,
                nonce=nonce,
                to=self.context.deployment["batch_inbox"],
                data=data,
                gas=INTRINSIC_GAS + GAS_PER_BYTE * len(data) + GAS_MARGIN,
                max_fee=posted.fee,
            )
            try:
                await self.context.network.request(
                    self._l1, "l1_submit", {"raw": raw.hex()}, timeout=REQUEST_TIMEOUT_S
                )
            except Refused as refused:
                if not is_definite(refused):
                    raise  # it may have been taken: the same bytes are offered again
                # The nonce carries a frame from before a crash, whose fee is not beaten: that one stands for now.
                self.context.record.record("stat", name="frame-refused", reason=str(refused.args[0]))
                self._posted = None
                raise
        posted.is_taken = True


def outbid(fee: int) -> int:
    """The least that replaces a transaction of that fee in an L1 pool."""
    return fee * (100 + REPLACEMENT_PERCENT) // 100 + 1
