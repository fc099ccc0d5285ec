"""What a dishonest relayer tries with each message, each of it once: all of it has to be refused, in the history.

It proves by an L1 block that L2 has not seen, executes before the message is final, executes one that nobody sent, one
that L1 has dropped meanwhile, and again what was delivered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from harness.plan import L1_CHAIN_ID, L2_CHAIN_ID
from harness.ports import Json, PortError
from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.rollup.blocks import Hash
from harness.venue.bridge import DELIVERED, Look, Message, Proof, encode_execute, encode_prove, message_id

GREED = 1_000
"""The message nobody sent is worth so many times the one it is made from."""
TRIES_PER_TURN_MAX = 4
KNOWN_MAX = 4_096

Prover = Callable[[Message, int, Hash | None], Awaitable[Proof]]
Looker = Callable[[list[Message]], Awaitable[Look]]


class Forger:
    """Has a turn whenever its relayer has one."""

    def __init__(self, context: RoleContext, client: ChainClient) -> None:
        self.context = context
        self.client = client
        self._inbox = context.deployment["bridge_inbox"]
        self._known: dict[Hash, tuple[Message, int]] = {}
        self._over: set[Hash] = set()
        """Messages with which nothing is left to try."""
        self._tried: set[tuple[str, Hash]] = set()
        self._tries = 0

    async def turn(self, sent: Sequence[tuple[Message, int]], prove: Prover, look: Looker) -> None:
        """Try what the state of the two chains has to refuse, a few things a turn. Raises PortError.

        `sent` is what L1 has in its newest blocks, and what is final and not delivered.
        """
        for message, block in sent:
            if len(self._known) < KNOWN_MAX:
                self._known[message.id] = (message, block)
        open_ = [item for item in self._known.values() if item[0].id not in self._over]
        open_.sort(key=lambda item: item[1], reverse=True)   # the newest is what L1 may drop yet
        if not open_:
            return
        seen = await look([message for message, _ in open_])
        self._tries = 0
        listed = {message.id for message, _ in sent}
        depth = self.context.plan.profile.finality_depth_l1_blocks
        for (message, block), status in zip(open_, seen.statuses, strict=True):
            if status == DELIVERED:
                await self._try("again", message, encode_execute(message))
                self._over.add(message.id)
            elif block > seen.l1_number:
                await self._prove("unseen", message, block, None, prove)
            elif block + depth > seen.l1_number:
                if message.nonce % 2:  # the others' proofs are left to who is honest
                    await self._prove("early-proof", message, seen.l1_number, seen.l1_hash, prove)
                await self._try("early", message, encode_execute(message))
                await self._forge(message)
            elif message.id not in listed:
                await self._try("dropped", message, encode_execute(message))
                self._over.add(message.id)
            if self._tries >= TRIES_PER_TURN_MAX:
                return

    async def _prove(self, what: str, message: Message, block: int, wanted: Hash | None, prove: Prover) -> None:
        if (what, message.id) in self._tried:
            return
        try:
            proof = await prove(message, block, wanted)
        except PortError:
            return  # its L1 node is on another branch, or behind
        await self._try(what, message, encode_prove(message.id, block, proof))

    async def _forge(self, message: Message) -> None:
        own = self.client.account.address
        forged = replace(message, sender=own, target=own, value=GREED * max(message.value, 1), payload=b"")
        forged = replace(forged, id=message_id(forged, source=L1_CHAIN_ID, destination=L2_CHAIN_ID))
        await self._try("forged", message, encode_execute(forged), forged.id)

    async def _try(self, what: str, message: Message, call: bytes, said: Hash | None = None) -> None:
        if (what, message.id) in self._tried:
            return
        self._tried.add((what, message.id))
        self._tries += 1
        args: dict[str, Json] = {"id": said or message.id, "nonce": message.nonce}
        name = f"{self.context.name}/{what}-{self.context.clock.monotonic()}-{len(self._tried)}"
        await self.client.operate(name, what, args, self._inbox, call)
