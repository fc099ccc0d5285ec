"""What L1 forces, every block has to begin with: who builds does it, who votes and who derives holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import orjson
import pytest
from eth_account import Account as EthAccount
from world import L1, SET, SILENT_TO, STRANGER, Run, World, Written

from harness.evm.accounts import account
from harness.evm.wallet import decode_transaction, sign_transaction, transaction_hash
from harness.plan import L1_CHAIN_ID, L2_CHAIN_ID, Plan, PlannedOperation
from harness.ports import QueryRefused
from harness.roles.orders import EVEN_FORCED
from harness.rollup.blocks import ExecutedBlock
from harness.rollup.forced import ForcedEntry, resolve
from harness.rollup.heads import Label
from harness.runtimes.local.wire import BODY_BYTES_MAX
from harness.venue.forced_queue import encode_enqueue, forced_entries

pytestmark = pytest.mark.node

NODES = (*L1, "l1-1", *SET, "replica-0", "batcher-0")
WEALTHY = account(50)
"""A sequencer's: it has ether on L1."""
GWEI = 10**9
T1 = 3.0


class Enqueuing:
    """Puts entries into the queue, several into one L1 block where it is asked to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._nonces = count()

    def send(self, *payloads: bytes, gas: int = 200_000) -> None:
        """Into the builder's pool, so that the next L1 block holds them all."""
        world = self._world
        for payload in payloads:
            world.roles["l1-0"].chain.pool.add(sign_transaction(
                WEALTHY.key, chain_id=L1_CHAIN_ID, nonce=next(self._nonces), max_fee=2 * GWEI, value=gas * 20 * GWEI,
                gas=300_000 + 40 * len(payload), to=world.stage.deployment["forced_queue"],
                data=encode_enqueue(payload, gas),
            ))  # fmt: skip

    def entries(self) -> dict[int, tuple[ForcedEntry, ...]]:
        """By L1 block, as the builder's chain stands."""
        blocks = self._world.roles["l1-0"].chain.blocks
        found = {block.number: forced_entries(block, self._world.stage.deployment) for block in blocks}
        return {number: entries for number, entries in found.items() if entries}


def first_with_origin(world: World, origin: int, node: str = "sequencer-0") -> ExecutedBlock | None:
    chain = world.node(node).chain
    return next((block for block in chain.committed_range(1, chain.heads.committed.number)
                 if block.inputs.origin is not None and block.inputs.origin.number >= origin), None)


async def due_block(world: World, queue: Enqueuing) -> tuple[tuple[ForcedEntry, ...], ExecutedBlock]:
    """The entries that were enqueued, all in one L1 block, and the committed L2 block that owed them."""
    await world.until(lambda: queue.entries(), within=3 * T1)
    ((number, entries),) = queue.entries().items()
    await world.until(lambda: first_with_origin(world, number), within=8 * T1, what=f"a block of origin {number}")
    block = first_with_origin(world, number)
    assert block is not None
    assert block.inputs.origin is not None
    assert block.inputs.origin.number == number
    return entries, block


def safe_at(world: World, number: int) -> bool:
    return all(world.height(name, Label.SAFE) >= number for name in (*SET, "replica-0"))


def test_entries_execute_first_and_in_order_although_every_leader_censors_their_sender(run: Run) -> None:
    """A cartel decides what it adds to a block, never what L1 makes it begin with; replicas derive the same."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        for name in SET:
            order = {"id": "f1", "what": "censor", "how": "leave-out", "amount": 0, "names": ["keeper-0"], "on": True}
            await world.runtime.order(name, "misbehave", order, timeout=2.0)
        victim = account(world.plan.role("keeper-0").account or 0)
        plea = [sign_transaction(victim.key, chain_id=L2_CHAIN_ID, nonce=n, to=SILENT_TO, gas=100_000) for n in (0, 1)]
        queue = Enqueuing(world)
        for name in SET:
            world.node(name).chain.pool.add(plea[0])     # he asked L2 as well
            world.node(name).chain.pool.add(world.raw(0))
        queue.send(*plea)
        entries, block = await due_block(world, queue)
        assert [entry.payload for entry in entries] == plea
        assert block.inputs.transactions[:2] == tuple(plea)
        assert all(receipt.succeeded for receipt in block.receipts)
        assert [world.times_included(transaction_hash(raw)) for raw in plea] == [1, 1]
        await world.until(lambda: safe_at(world, block.number), within=6 * T1)
        assert world.agree()
        assert not world.problems()

    run(story, *NODES, "keeper-0", idle=["keeper-0"])


def older(key: bytes, **fields: Any) -> bytes:
    """A transaction of type 1, as wallets still make them."""
    usual = {"chainId": L2_CHAIN_ID, "type": 1, "gasPrice": 0, "value": 0, "to": bytes.fromhex(SILENT_TO[2:])}
    return bytes(EthAccount.sign_transaction(usual | fields, key).raw_transaction)


def test_what_cannot_execute_is_consumed_and_the_rest_executes(run: Run) -> None:
    """Garbage, another chain's, a used and a future nonce, too little gas and money that is not there, all in one L1
    block: what the rule calls valid the execution node includes, and nothing stops."""
    stranger = account(STRANGER)

    def signed(**changed: Any) -> bytes:
        usual: dict[str, Any] = {"chain_id": L2_CHAIN_ID, "nonce": 0, "to": SILENT_TO, "gas": 60_000}
        return sign_transaction(stranger.key, **usual | changed)

    good = [signed(nonce=0), signed(nonce=1, to=None, data=b"\x00", gas=60_000), signed(nonce=2, data=b"\x01" * 40)]
    # EIP-2930: exactly what its access list costs, and a unit less.
    listed = {"nonce": 3, "accessList": [{"address": SILENT_TO, "storageKeys": ["0x" + "01" * 32]}]}
    good.append(older(stranger.key, **listed, gas=21_000 + 2_400 + 1_900))
    bad = [
        older(stranger.key, **listed | {"nonce": 1}, gas=21_000 + 2_400 + 1_899),
        b"\x02garbage", signed(chain_id=L1_CHAIN_ID), signed(nonce=0), signed(nonce=9), signed(nonce=1, value=1),
        signed(nonce=1, gas=21_000, data=b"\x01"), signed(nonce=1, max_fee=1), signed(nonce=1, gas=200_001),
    ]  # fmt: skip

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        queue = Enqueuing(world)
        queue.send(good[0], *bad, *good[1:])
        entries, block = await due_block(world, queue)
        assert len(entries) == len(good) + len(bad)
        assert block.inputs.transactions[:4] == tuple(good)
        told = {record.fields["entry"] for record in world.records("stat", name="forced-entry-invalid")}
        assert told == set(range(1, 1 + len(bad)))
        await world.until(lambda: safe_at(world, block.number), within=6 * T1)
        assert world.agree()
        assert not world.problems(), "the node included what the rule said it would"

    run(story, *NODES)


def test_nobody_votes_for_a_block_without_its_entries(run: Run) -> None:
    """One leader leaves out even those: its view is given up, and the next leader's block has them."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        cheat, victim = "sequencer-1", account(world.plan.role("keeper-0").account or 0)
        order = {"id": "f1", "what": "censor", "how": EVEN_FORCED, "amount": 0, "names": ["keeper-0"], "on": True}
        await world.runtime.order(cheat, "misbehave", order, timeout=2.0)
        refusals: list[str] = []
        for name in SET:
            _listen(world.roles[name].builder, refusals)
        queue = Enqueuing(world)
        # Until the cheat happens to be the leader that takes the origin's step.
        for nonce in range(8):
            if any("is skipped" in refusal for refusal in refusals):
                break
            before = set(queue.entries())
            raw = sign_transaction(victim.key, chain_id=L2_CHAIN_ID, nonce=nonce, to=SILENT_TO, gas=100_000)
            queue.send(raw)
            await world.until(lambda known=before: set(queue.entries()) - known, within=3 * T1)
            (number,) = set(queue.entries()) - before
            await world.until(lambda at=number: first_with_origin(world, at), within=8 * T1)
            block = first_with_origin(world, number)
            assert block is not None
            assert block.inputs.transactions[:1] == (raw,)
        assert any("forced entry" in refusal and "is skipped" in refusal for refusal in refusals), refusals
        told = await world.runtime.order(cheat, "misbehave", order | {"on": False}, timeout=2.0)
        assert told["acts"] >= 1
        assert world.agree()

    run(story, *NODES, "keeper-0", idle=["keeper-0"])


def _listen(builder: Any, refusals: list[str]) -> None:
    judge = builder.refusal

    async def listening(inputs: Any) -> str | None:
        refusal: str | None = await judge(inputs)
        if refusal is not None:
            refusals.append(refusal)
        return refusal

    builder.refusal = listening


def test_a_set_that_leaves_them_out_together_never_becomes_safe(run: Run) -> None:
    """q Byzantine sequencers certify what they like; who derives from L1 holds them to the queue all the same."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)

        async def nothing(*_: Any, **__: Any) -> list[bytes]:
            return []

        async def fine(*_: Any, **__: Any) -> None:
            return None

        for name in SET:
            world.roles[name].builder._head = nothing
            world.node(name).forcing.why_refused = fine  # type: ignore[method-assign]
        queue = Enqueuing(world)
        queue.send(world.raw(0))
        _, block = await due_block(world, queue)
        assert not block.inputs.transactions
        await world.until(lambda: world.height("sequencer-0", Label.SAFE) >= block.number, within=6 * T1)
        await world.settle(2 * T1)
        assert world.height("replica-0", Label.SAFE) < block.number, "the honest one derives nothing from that"

    run(story, *NODES)


def test_an_l1_reorg_takes_entries_back_and_they_execute_where_they_come_again(run: Run) -> None:
    """The queue is that of the chain L1 has now; an origin is deep enough that no entry is ever taken back from L2."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        queue = Enqueuing(world)
        queue.send(world.raw(0), world.raw(1))
        await world.until(lambda: queue.entries(), within=3 * T1)
        (number,) = queue.entries()
        await world.until(
            lambda: all((d := world.node(name).derivation) is not None and d.forced_at(number) for name in SET),
            within=T1,
        )
        await world.runtime.order("l1-0", "reorg", {"depth": 1, "drops": False}, timeout=5.0)
        assert not queue.entries()
        entries, block = await due_block(world, queue)
        ((again, _),) = queue.entries().items()
        assert again > number
        assert [entry.payload for entry in entries] == [world.raw(0), world.raw(1)]
        assert block.inputs.transactions[:2] == (world.raw(0), world.raw(1))
        await world.until(lambda: safe_at(world, block.number), within=8 * T1)
        assert world.agree()
        assert not world.problems()

    run(story, *NODES)


def test_a_node_that_was_killed_knows_the_queue_again(run: Run) -> None:
    """Between the entry's L1 block and its execution: what it derived is durable, the rest it reads again."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        queue = Enqueuing(world)
        queue.send(world.raw(0))
        await world.until(lambda: queue.entries(), within=3 * T1)
        (number,) = queue.entries()
        victim = world.node("replica-0")
        await world.until(lambda: victim.derivation is not None and victim.derivation.cursor >= number, within=3 * T1)
        await world.kill("replica-0", "sequencer-3")
        await world.start("replica-0", "sequencer-3")
        _, block = await due_block(world, queue)
        assert block.inputs.transactions[:1] == (world.raw(0),)
        await world.until(lambda: safe_at(world, block.number), within=8 * T1)
        queue.send(world.raw(1))
        await world.until(lambda: len(queue.entries()) == 2, within=3 * T1)
        second = max(queue.entries())
        await world.until(lambda: first_with_origin(world, second, "replica-0"), within=8 * T1)
        assert world.agree()
        assert not world.problems()

    run(story, *NODES)


def test_an_entry_that_the_node_will_not_include_after_all_does_not_stop_the_chain(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the rule ever call valid what is not, the node has the last word, and all agree on it."""

    def generous(entries: Sequence[ForcedEntry], accounts: Any, *, chain_id: int, without: Sequence[int] = ()) -> Any:
        found = resolve(entries, accounts, chain_id=chain_id, without=without)
        wrongly = {at: why for at, why in found.invalid.items() if "nonce" not in why}
        head = tuple(entry.payload for entry in entries if entry.index not in wrongly and entry.index not in without)
        return type(found)(head, wrongly)

    monkeypatch.setattr("harness.roles.forcing.resolve", generous)

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        queue = Enqueuing(world)
        queue.send(world.raw(0), world.raw(7), world.raw(1))
        _, block = await due_block(world, queue)
        assert block.inputs.transactions[:2] == (world.raw(0), world.raw(1))
        assert world.records("problem", what="forced entries do not execute")
        await world.until(lambda: safe_at(world, block.number), within=6 * T1)
        assert world.agree()

    run(story, *NODES)


def test_a_block_that_is_nearly_full_leaves_room_for_what_is_forced(run: Run) -> None:
    """Else the node would refuse some of the pool's transactions, and they would be lost."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        queue = Enqueuing(world)
        queue.send(world.raw(0))
        await world.until(lambda: queue.entries(), within=3 * T1)
        limit, size = world.plan.profile.l2_gas_limit, 6_000_000
        raws = [
            sign_transaction(account(STRANGER + 1 + i).key, chain_id=L2_CHAIN_ID, nonce=nonce, to=SILENT_TO, gas=size)
            for i in range(limit // size) for nonce in range(12)
        ]
        for name in SET:
            for raw in raws:
                world.node(name).chain.pool.add(raw)
        _, block = await due_block(world, queue)
        assert block.inputs.transactions[0] == world.raw(0)
        assert sum(decode_transaction(raw).gas_limit for raw in block.inputs.transactions) <= limit
        await world.until(lambda: all(world.times_included(transaction_hash(raw)) for raw in raws), within=20 * T1)

    run(story, *NODES)


def test_a_node_that_was_away_for_long_derives_blocks_whose_state_nobody_keeps(run: Run) -> None:
    """It hears of what was committed before it reads the L1 blocks of that time: by then the states are gone."""
    later = world_raw_to_come(5)

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        queue = Enqueuing(world)
        await world.kill("replica-0")
        queue.send(world.raw(0), b"\x02garbage", world.raw(0), later, world.raw(1))
        _, block = await due_block(world, queue)
        assert block.inputs.transactions[:2] == (world.raw(0), world.raw(1))
        for nonce in range(2, 6):   # and later than that, what was of a nonce too high then
            world.node("sequencer-0").chain.pool.add(world.raw(nonce))
        await world.until(lambda: world.times_included(transaction_hash(world.raw(5))), within=20)
        await world.start("replica-0")
        node = world.node("replica-0")
        asked: list[str] = []

        async def gone(method: str, *_: Any, **__: Any) -> Any:
            asked.append(method)
            raise QueryRefused(-32000, "the state is not kept any more")

        node.chain.engine.query = gone  # type: ignore[method-assign]
        await world.until(lambda: world.height("replica-0", Label.SAFE) >= block.number, within=8 * T1)
        assert asked
        assert not world.problems()

    run(story, *NODES)


def world_raw_to_come(nonce: int) -> bytes:
    """As `World.raw`, before there is a world."""
    key = account(STRANGER).key
    return sign_transaction(key, chain_id=L2_CHAIN_ID, nonce=nonce, to=SILENT_TO, gas=200_000)


def test_who_reads_many_large_entries_gets_them_in_pages_that_can_be_sent(run: Run) -> None:
    """Anybody may fill the queue with bytes; a node that was away must still be able to read on."""

    async def story(world: World) -> None:
        queue = Enqueuing(world)
        for blocks in range(1, 6):
            queue.send(*[bytes([2]) * 100_000] * 6)
            await world.until(partial(enqueued, queue, blocks), within=3 * T1)
        height, read, pages = world.roles["l1-0"].chain.height, 0, 0
        while read < height:
            reply = await world.ask("replica-0", "l1-0", "l1_blocks", {"from": read + 1})
            assert len(orjson.dumps(reply)) < BODY_BYTES_MAX
            read, pages = read + len(reply["blocks"]), pages + 1
        assert pages > 1
        # A fork found over such pages is where it is, and not where the first page ends.
        await world.settle(T1 / 2)
        await world.runtime.order("l1-0", "reorg", {"depth": 1, "drops": False}, timeout=5.0)
        behind = world.node("replica-0")
        await world.until(lambda: behind.derivation is not None and behind.derivation.cursor > height, within=5 * T1)
        seen = world.records("stat", name="l1-reorg-seen")
        assert {record.fields["depth"] for record in seen} == {1}
        assert world.roles["l1-1"].chain.blocks[height - 1].hash == world.roles["l1-0"].chain.blocks[height - 1].hash
        assert not world.problems()

    run(story, *NODES)


def enqueued(queue: Enqueuing, blocks: int) -> bool:
    return len(queue.entries()) >= blocks


def test_a_censored_trader_forces_his_top_up_behind_what_it_waits_for(run: Run) -> None:
    """A censored transaction holds up all later ones of its sender: alone, the top-up would be of a nonce too high."""
    operations = (
        PlannedOperation("trader-0/0", 2 * 10**9, "withdraw", "", 0, 0, 0, 5),
        PlannedOperation("trader-0/1", 3 * 10**9, "deposit", "", 0, 0, 0, 10**6),
    )

    def change(plan: Plan) -> Plan:
        return replace(plan, force_after_ns=3 * 10**9, operations=(("trader-0", operations),))

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 1, within=10)
        for name in SET:
            order = {"id": "f1", "what": "censor", "how": "leave-out", "amount": 0, "names": ["trader-0"], "on": True}
            await world.runtime.order(name, "misbehave", order, timeout=2.0)
        trader = world.stage.accounts["trader-0"]
        world.roles["l1-0"].chain.pool.add(sign_transaction(
            WEALTHY.key, chain_id=L1_CHAIN_ID, nonce=0, to=trader, value=10**18, gas=21_000, max_fee=2 * GWEI
        ))

        def outcomes() -> list[Written]:
            told = world.records("op", "trader-0", id="trader-0/1")
            return [record for record in told if record.fields["phase"] != "invoke"]

        await world.until(outcomes, within=60)
        (outcome,) = outcomes()
        assert outcome.fields["phase"] == "ok", outcome.fields
        withdrawal, top_up = world.sent_by("trader-0")
        assert (withdrawal.succeeded, top_up.succeeded) == (False, True)
        block = first_holding(world, top_up.transaction_hash)
        assert [receipt.transaction_hash for receipt in block.receipts[:2]] == [
            withdrawal.transaction_hash, top_up.transaction_hash,
        ]  # fmt: skip
        assert not world.problems()

    run(story, *NODES, "trader-0", "maker-0", idle=["maker-0"], change=change)


def first_holding(world: World, name: str) -> ExecutedBlock:
    chain = world.node("sequencer-0").chain
    return next(block for block in chain.committed_range(1, chain.heads.committed.number)
                if any(receipt.transaction_hash == name for receipt in block.receipts))
