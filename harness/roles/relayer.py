"""A relayer: brings what L1's bridge has sent to L2, once it is final, with a proof that anybody could have made.

Several compete, as keepers do: each takes its own share of the messages at once and the others' only after a few turns.
It keeps nothing that the two chains do not know; after a crash it reads L1's messages again from the first.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from harness.ports import Json, PortError
from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.roles.forger import Forger
from harness.roles.wire import WireError, data, field, items, number, parse_hash
from harness.rollup.blocks import Hash, Log
from harness.venue.bridge import (
    DELIVERED,
    FAILED,
    Look,
    Message,
    Proof,
    decode_look,
    encode_execute,
    encode_look,
    encode_prove,
    sent_message,
)

TURN_S = 1.0
REQUEST_TIMEOUT_S = 1.0
MESSAGES_PER_TURN_MAX = 6
PATIENCE_TURNS = 3
"""Turns a relayer leaves another's share to the other."""
RETRY_TURNS = 4
"""A delivery that failed is tried again after so many."""


@dataclass(slots=True)
class Sent:
    """A message and the L1 block it is in."""

    message: Message
    block: int
    turns: int = 0       # it could have been delivered for so long
    wait_until: int = 0  # not tried again before this turn


class Relayer:
    """One turn a second: read L1, look at L2, deliver what is final there."""

    def __init__(self, context: RoleContext) -> None:
        assert context.spec.l1 is not None, "a relayer reads an L1 node"
        self.context = context
        self.client = ChainClient.of(context)
        self._l1 = context.spec.l1
        self._depth = context.plan.profile.finality_depth_l1_blocks
        self._others = len(context.plan.of_kind("relayer"))
        self._read_up_to = 0
        """Every message up to this L1 block is final, and in `_pending` or delivered."""
        self._pending: dict[Hash, Sent] = {}
        self._turns = 0
        self._operations = 0
        byzantine = 0 if context.plan.bridge is None else context.plan.bridge.byzantine
        self._forger = Forger(context, self.client) if context.spec.index >= self._others - byzantine else None

    async def run(self) -> None:
        while True:
            with suppress(PortError):  # a node is out of reach, or behind: the next turn is another chance
                await self._turn()
            await self.context.clock.sleep(TURN_S)

    async def _turn(self) -> None:
        self._turns += 1
        young = await self._read_l1()
        if self._forger is not None:
            await self._forger.turn([(sent.message, sent.block) for sent in (*young, *self._pending.values())],
                                    self._proof, self._look)
        if not self._pending:
            return
        chosen = list(self._pending.values())
        look = await self._look([sent.message for sent in chosen])
        due: list[tuple[Sent, int, int]] = []
        for sent, status, proven_at in zip(chosen, look.statuses, look.proven_at, strict=True):
            if status == DELIVERED:
                del self._pending[sent.message.id]
            elif sent.block + self._depth <= look.l1_number and self._takes(sent):
                due.append((sent, status, proven_at))
        for sent, status, proven_at in due[:MESSAGES_PER_TURN_MAX]:
            await self._deliver(sent, look, is_proven=proven_at > 0, is_retry=status == FAILED)

    def _takes(self, sent: Sent) -> bool:
        """Whether it is this relayer's turn to deliver a message that is due."""
        sent.turns += 1
        is_mine = sent.message.nonce % self._others == self.context.spec.index
        return (is_mine or sent.turns > PATIENCE_TURNS) and self._turns >= sent.wait_until

    async def _read_l1(self) -> list[Sent]:
        """Messages in blocks that may still go; those in final ones are pending from now on."""
        page = await self._ask("l1_messages", {"from": self._read_up_to + 1})
        final, young = min(number(page, "height") - self._depth, number(page, "to")), list[Sent]()
        for item in items(page, "logs"):
            topics = tuple(parse_hash(topic) for topic in items(item, "topics"))
            log = Log(self.context.deployment["l1_bridge"], topics, data(item, "data"))
            message, block = sent_message(log, self.context.deployment), number(item, "block")
            if message is None:
                continue
            if block <= final:
                self._pending[message.id] = Sent(message, block)
            else:
                young.append(Sent(message, block))
        self._read_up_to = max(self._read_up_to, final)
        return young

    async def _look(self, messages: list[Message]) -> Look:
        call = encode_look([message.id for message in messages])
        inbox = self.context.deployment["bridge_inbox"]
        # Of the committed head: a delivery in a block that is not may still go.
        return decode_look((await self.client.read(inbox, call, label="committed")).data)

    async def _proof(self, message: Message, block: int, wanted: Hash | None) -> Proof:
        """At an L1 block, which has that hash on L2. Raises PortError where this L1 node cannot give it."""
        reply = await self._ask("l1_proof", {"id": message.id, "number": block})
        if wanted is not None and field(reply, "hash") != wanted:
            raise WireError(f"L1 block {block} is {field(reply, 'hash')} here, and {wanted} on L2")
        account, slot = (tuple(bytes.fromhex(node) for node in items(reply, key)) for key in ("account", "slot"))
        return Proof(data(reply, "header"), account, slot)

    async def _deliver(self, sent: Sent, look: Look, *, is_proven: bool, is_retry: bool) -> None:
        """Prove it if nobody has, and execute it, under one nonce after the other."""
        message, inbox = sent.message, self.context.deployment["bridge_inbox"]
        calls: list[tuple[str, bytes]] = []
        if not is_proven:
            proof = await self._proof(message, look.l1_number, look.l1_hash)
            calls.append(("prove", encode_prove(message.id, look.l1_number, proof)))
        calls.append(("retry" if is_retry else "execute", encode_execute(message)))
        sent.wait_until = self._turns + RETRY_TURNS
        args = {"id": message.id, "nonce": message.nonce, "l1_block": sent.block, "l1_seen": look.l1_number}
        names = [self._named(action) for action, _ in calls]
        for name, (action, _) in zip(names, calls, strict=True):
            self.client.invoke(name, action, args)
        outcomes = await self.client.send_all([(inbox, call) for _, call in calls])
        for name, (action, _), outcome in zip(names, calls, outcomes, strict=True):
            self.client.conclude(name, action, outcome)

    def _named(self, action: str) -> str:
        self._operations += 1
        return f"{self.context.name}/{action}-{self.context.clock.monotonic()}-{self._operations}"

    async def _ask(self, kind: str, payload: Json) -> Json:
        return await self.context.network.request(self._l1, kind, payload, timeout=REQUEST_TIMEOUT_S)
