"""The batcher: posts committed blocks to L1 in channels, and posts again what did not become safe.

It keeps nothing that the two chains do not know: after a crash it asks for the safe head and its L1 nonce and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.consensus.messages import certificate_from_json
from harness.evm.accounts import account
from harness.evm.wallet import sign_transaction
from harness.plan import L1_CHAIN_ID
from harness.ports import Json, PortError, Refused
from harness.roles.context import RoleContext
from harness.roles.validators import encode_certificate
from harness.roles.wire import inputs_from_json
from harness.rollup.batch import BatchError, build_channel
from harness.rollup.heads import Heads, Label
from harness.venue.exchange import encode_inbox_submit

REQUEST_TIMEOUT_S = 1.0
INTRINSIC_GAS = 21_000
GAS_PER_BYTE = 16
GAS_MARGIN = 60_000
REPRICE_L1_BLOCKS = 4
FEE_HEADROOM = 2
"""What is offered above the current base fee, which rises by at most an eighth a block."""


@dataclass(slots=True)
class Posted:
    """The newest channel sent and not yet safe."""

    tip: int
    at_l1_height: int


class Batcher:
    """One submission at most per submit interval; frames of a channel go out under consecutive nonces."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        assert context.spec.account is not None, "the batcher signs with an account"
        assert context.spec.l1 is not None, "the batcher posts to an L1 node"
        self._account = account(context.spec.account)
        self._l1 = context.spec.l1
        self._posted: Posted | None = None
        self._turn = 0

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
        try:
            await self._submit_from(gateway)
        except PortError:
            self._turn += 1  # the next node is asked next time
            raise

    async def _submit_from(self, gateway: str) -> None:
        network = self.context.network
        heads = Heads.from_json(await network.request(gateway, "heads", {}, timeout=REQUEST_TIMEOUT_S))
        request = {"address": self._account.address}
        l1 = await network.request(self._l1, "l1_nonce", request, timeout=REQUEST_TIMEOUT_S)
        height, nonce = int(l1["height"]), int(l1["nonce"])
        safe = heads.at(Label.SAFE).number
        start = self._start(safe, height)
        page = await network.request(gateway, "blocks", {"from": start}, timeout=REQUEST_TIMEOUT_S)
        if not page["blocks"]:
            return
        blocks = [inputs_from_json(item["inputs"]) for item in page["blocks"]]
        certificate = certificate_from_json(page["certificate"])
        channel = build_channel(blocks, certificate.block_hash, encode_certificate(certificate), start)
        fee = await self._fee(height)
        for offset, frame in enumerate(channel.frames):
            data = encode_inbox_submit(frame)
            raw = sign_transaction(
                self._account.key,
                chain_id=L1_CHAIN_ID,
                nonce=nonce + offset,
                to=self.context.deployment["batch_inbox"],
                data=data,
                gas=INTRINSIC_GAS + GAS_PER_BYTE * len(data) + GAS_MARGIN,
                max_fee=fee,
            )
            await self._send(raw)
        self._posted = Posted(channel.tip_height, height)
        self.context.record.record(
            "stat",
            name="batch-posted",
            first=start,
            tip=channel.tip_height,
            frames=len(channel.frames),
            bytes=channel.size,
            fee_wei=str(fee),
        )

    def _start(self, safe: int, l1_height: int) -> int:
        """First height to post: after the newest channel in flight, or after the safe head once that looks lost."""
        posted = self._posted
        if posted is None or posted.tip <= safe:
            self._posted = None
            return safe + 1
        timeout = self.context.plan.profile.channel_timeout_l1_blocks
        if l1_height - posted.at_l1_height > timeout:
            self._posted = None
            return safe + 1
        return posted.tip + 1

    async def _fee(self, l1_height: int) -> int:
        """What to offer per gas: twice the base fee the builder would charge now."""
        reply = await self.context.network.request(self._l1, "l1_fee", {}, timeout=REQUEST_TIMEOUT_S)
        return FEE_HEADROOM * int(reply["base_fee"])

    async def _send(self, raw: bytes) -> Json:
        try:
            return await self.context.network.request(
                self._l1, "l1_submit", {"raw": raw.hex()}, timeout=REQUEST_TIMEOUT_S
            )
        except Refused as refused:
            # The nonce still carries an earlier frame whose fee is not beaten; that one stands.
            self.context.record.record("stat", name="frame-refused", reason=str(refused.args[0]))
            return None
