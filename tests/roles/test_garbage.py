"""Whatever anybody sends to a role is answered or refused; nothing of it ends the role, and with it the run."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from certified import certificate
from world import L1, SET, Run, World

from harness.consensus.effects import BuildBlock
from harness.consensus.messages import VoteKind, to_json
from harness.ports import Json, Refused
from harness.roles.context import Role, RoleContext
from harness.roles.registry import make_role
from harness.roles.sequencer import Sequencer
from harness.roles.wire import inputs_to_json
from harness.rollup.blocks import BlockInputs, Hash, L1Origin

pytestmark = pytest.mark.node

HASH = "0x" + "ab" * 32
ADDRESS = "0x" + "cd" * 20
CERTIFICATE = to_json(certificate(VoteKind.FINALIZE, view=3, height=2, block=Hash(HASH)))
BLOCK = {
    "hash": HASH,
    "inputs": inputs_to_json(BlockInputs(901, 2, Hash(HASH), 1_583_971_201, 0, (b"\x02\xc0",), None)),
}
VOTE = {
    "type": "vote", "kind": "finalize", "view": 3, "height": 2, "block_hash": HASH, "voter": ADDRESS,
    "signature": "0x" + "11" * 65,
}  # fmt: skip
PROPOSAL = {
    "type": "proposal", "view": 3, "height": 2, "parent_hash": HASH, "block_hash": HASH, "payload": "0x7b7d",
    "parent_certificate": CERTIFICATE, "nullifications": [CERTIFICATE], "signature": "0x" + "11" * 65,
}  # fmt: skip

GATEWAY: dict[str, Json] = {
    "tx": {"raw": "02c0", "wait": 0.1},
    "gossip": {"raw": "02c0"},
    "call": {"to": ADDRESS, "data": "00", "label": "safe", "sender": ADDRESS},
    "nonce": {"address": ADDRESS},
    "receipt": {"hash": HASH},
    "blocks": {"from": 1},
    "heads": {},
    "no-such-kind": {},
}
KINDS: dict[str, dict[str, Json]] = {
    "sequencer-0": {
        **GATEWAY,
        "signed_view": {"voter": ADDRESS},
        "certificates": {"views": [1, 2]},
        "branch": {"from": 1, "tip": HASH},
    },
    "sequencer-1": {"consensus": VOTE},
    "sequencer-2": {"consensus": CERTIFICATE},
    "sequencer-3": {"consensus": PROPOSAL},
    "replica-0": {**GATEWAY, "committed": {"blocks": [BLOCK], "certificate": CERTIFICATE}},
    "l1-0": {
        "l1_blocks": {"from": 1}, "l1_nonce": {"address": ADDRESS}, "l1_submit": {"raw": "02c0"}, "l1_fee": {},
        "l1_messages": {"from": 1}, "l1_receipt": {"hash": HASH}, "l1_proof": {"id": HASH, "number": 1},
    },
    "l1-1": {"l1_announce": {"height": 3}, "l1_blocks": {"from": 1}, "l1_submit": {"raw": "02c0"}, "x": {}},
    "reporter-0": {
        "observation": {
            "asset": "ETH", "round": 5, "timestamp": 1_583_971_205, "price": "200", "signature": "11" * 65,
        },
        "x": {},
    },
    "maker-0": {"quote": {"product": "ETH-F1", "size": "1000"}, "x": {}},
}
JUNK: tuple[Json, ...] = (
    None, True, -1, 0, 2**63 - 1, 2**64 - 1, 1.5, 1e300, "", "zz", "0x", "0xzz", "1e9", "9" * 5000, "-" + "9" * 90,
    "²", "\x00", "0x" + "zz" * 32, "0X" + "ab" * 32, [], [[]], [None], {}, {"a": 1},
)  # fmt: skip
DEEP_MAX = 3


def damaged(value: Json, depth: int = 0) -> Iterator[Json]:
    """The value with each of its parts replaced by each piece of junk, or missing; and junk instead of it."""
    yield from JUNK
    keys: list[Any] = []
    if isinstance(value, (dict, list)) and depth < DEEP_MAX:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))[:1]
    for key in keys:
        without = copy.copy(value)
        del without[key]
        yield without
        for part in damaged(value[key], depth + 1):
            changed = copy.copy(value)
            changed[key] = part
            yield changed


@pytest.mark.parametrize("name", KINDS)
def test_every_damaged_message_is_answered_or_refused(run: Run, name: str) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=6)
        refused = 0
        for kind, payload in KINDS[name].items():
            for broken in damaged(payload):
                try:
                    await world.ask("trader-0", name, kind, broken, timeout=5)
                except Refused:
                    refused += 1
                assert not world.runtime.problems, f"{kind} {broken!r}: {world.runtime.problems}"
        assert refused > 10
        level = world.height("sequencer-0")
        await world.until(lambda: world.height("sequencer-0") > level, within=5)

    roles = (*L1, "l1-1", *SET, "replica-0", "reporter-0", "maker-0", "trader-0")
    run(story, *roles, idle=["trader-0"])


GOOD: dict[str, Json] = inputs_to_json(BlockInputs(901, 0, Hash(HASH), 0, 0, (), L1Origin(0, Hash(HASH), 0)))
LIES: tuple[dict[str, Json] | bytes, ...] = (
    b"", b"{", b"[]", b"1e999", b'{"origin":null,"chain":1e999}', b"[" * 5000, b"\xff",
    {}, {"timestamp": -1}, {"timestamp": 0}, {"timestamp": 2**62}, {"timestamp": 10**30}, {"timestamp": "x"},
    {"number": 10**9}, {"chain": 900}, {"base_fee": 7}, {"base_fee": -7}, {"origin": None}, {"origin": [1]},
    {"origin": [-5, HASH, -5]}, {"origin": [10**40, HASH, 10**40]}, {"origin": [2**63, HASH, 2**63]},
    {"txs": ["00"]}, {"txs": [""]}, {"txs": ["02c0"]}, {"txs": ["7e" + "00" * 40]}, {"txs": ["ff" * 300]},
    {"txs": "abc"}, {"txs": [5]},
)  # fmt: skip


class Liar(Sequencer):
    """Its proposals are well placed, truly signed, and contain anything but a block."""

    told = 0

    async def _build(self, effect: BuildBlock) -> None:
        await self.context.clock.sleep((effect.not_before_ns - self._now()) / 1e9)
        chain = self.node.chain
        lie = LIES[self.told % len(LIES)]
        self.told += 1
        if not isinstance(lie, bytes):
            parent = effect.parent_hash
            truth = {"number": effect.height, "parent": parent, "timestamp": chain.timestamp_of(parent)}
            lie = json.dumps({**GOOD, **truth, **lie}).encode()  # which, unlike orjson, writes any integer
        self._perform(
            self.simplex.on_block_built(
                effect.view, parent_hash=effect.parent_hash, block_hash=Hash(HASH), payload=lie, now=self._now()
            )
        )


def test_a_leader_that_proposes_nonsense_costs_its_own_views_and_no_more(run: Run) -> None:
    """Any one of four may be Byzantine: the others execute what it proposes, and none of them may fall over it."""
    liar: list[Liar] = []

    def cast(context: RoleContext) -> Role:
        if context.name != "sequencer-1":
            return make_role(context)
        liar.append(Liar(context))
        return liar[0]

    async def story(world: World) -> None:
        await world.until(lambda: liar[0].told >= len(LIES), within=150)
        level = world.height("sequencer-0")
        await world.until(lambda: world.height("sequencer-0") > level + 3, within=10)
        assert all(world.height(name) > level for name in SET if name != "sequencer-1")
        assert world.agree()

    run(story, *L1, "l1-1", *SET, factory=cast)
