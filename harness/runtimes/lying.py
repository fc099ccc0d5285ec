"""A node's answers under its `RpcPolicy`: the same wrapper round a role's handler in every runtime."""

from __future__ import annotations

from harness.faults.rpc import CLIENT_KINDS, LIE, RpcPolicy
from harness.ports import Clock, Handler, Json, PortError, Refused

STALE_KINDS = ("call", "nonce", "receipt", "heads", "l1_nonce", "l1_blocks")
"""Reads that a node can answer as of some blocks ago, which the payload's `behind` asks for."""


class ReplyDropped(PortError):
    """The request was carried out, and its answer is not to arrive: whoever asked hears nothing."""


def lying(policy: RpcPolicy, handler: Handler, clock: Clock) -> Handler:
    """The handler under the policy. Costs nothing while the node is honest."""

    async def handle(sender: str, kind: str, payload: Json) -> Json:
        if policy.is_honest or kind not in CLIENT_KINDS:
            return await handler(sender, kind, payload)
        lies = policy.lies(sender, kind)
        if lies.stale_blocks and kind in STALE_KINDS and isinstance(payload, dict):
            payload = {**payload, "behind": lies.stale_blocks}
        try:
            if lies.duplicate:
                # The first copy does not wait for what it asks: the second one does.
                await handler(sender, kind, {**payload, "wait": 0} if kind == "tx" else payload)
            answer = await handler(sender, kind, payload)
        except PortError:
            if lies.drop_reply:
                raise ReplyDropped(f"the answer to {kind!r} was dropped") from None
            raise
        if lies.delay_ms:
            await clock.sleep(lies.delay_ms / 1000)
        if lies.drop_reply:
            raise ReplyDropped(f"the answer to {kind!r} was dropped")
        if lies.error:
            raise Refused(LIE)
        return answer

    return handle
