"""What a client is told of its write is true, whatever the network did to the question or the answer."""

from __future__ import annotations

import asyncio

import pytest
from world import L1, SET, SILENT_TO, Run, World

from harness.evm.wallet import transaction_hash
from harness.ports import LinkRule, Refused

pytestmark = pytest.mark.node

NODES = (*L1, "l1-1", *SET, "trader-0")
ME = "trader-0"
CUT = LinkRule(cut=True)


async def living(world: World) -> None:
    await world.until(lambda: world.height("sequencer-0") >= 2, within=6)


def test_a_write_taken_by_an_isolated_sequencer_lands_once_through_another(run: Run) -> None:
    async def story(world: World) -> None:
        await living(world)
        await world.isolate("sequencer-0", "sequencer-*")
        first = await world.ask(ME, "sequencer-0", "tx", {"raw": world.raw(0).hex(), "wait": 3}, timeout=4)
        assert first == {"hash": transaction_hash(world.raw(0)), "pending": True}
        outcome = await world.client(ME, "sequencer-0", "sequencer-1").send(SILENT_TO, b"", gas=200_000, nonce=0)
        assert outcome.phase == "ok"
        assert outcome.transaction == first["hash"], "the same bytes were offered twice"
        await world.heal()
        await world.settle(4)
        assert world.times_included(outcome.transaction) == 1
        assert len(world.node("sequencer-0").chain.pool) == 0
        assert world.agree()

    run(story, *NODES, idle=[ME])


def test_a_lost_reply_is_made_good_by_the_receipt_another_gateway_has(run: Run) -> None:
    async def story(world: World) -> None:
        await living(world)
        await world.rule("sequencer-0", ME, CUT)
        outcome = await world.client(ME, "sequencer-0", "sequencer-1").send(SILENT_TO, b"", nonce=0)
        assert outcome.phase == "ok"
        assert world.times_included(outcome.transaction) == 1

    run(story, *NODES, idle=[ME])


def test_a_write_whose_every_reply_is_lost_is_indeterminate_and_here_landed(run: Run) -> None:
    async def story(world: World) -> None:
        await living(world)
        await world.rule("sequencer-*", ME, CUT)
        outcome = await world.client(ME, "sequencer-0", "sequencer-1").send(SILENT_TO, b"", nonce=0)
        assert outcome.phase == "info"
        assert world.times_included(outcome.transaction) == 1

    run(story, *NODES, idle=[ME])


def test_a_refusal_after_a_lost_reply_is_not_a_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first gateway may have it on its way, whatever the second says; and that one knows where it went."""

    async def story(world: World) -> None:
        await living(world)
        await world.rule("sequencer-0", ME, CUT)

        def refuse(raw: bytes, *, gossip: bool) -> str:
            raise Refused("txpool is full: the pool is full")

        monkeypatch.setattr(world.node("sequencer-1").gateway, "_admit", refuse)
        outcome = await world.client(ME, "sequencer-0", "sequencer-1").send(SILENT_TO, b"", nonce=0)
        assert outcome.phase == "ok"
        assert world.times_included(outcome.transaction) == 1

    run(story, *NODES, idle=[ME])


@pytest.mark.parametrize(
    ("reason", "phase"), [("internal error", "info"), ("txpool is full: the pool is full", "fail")]
)
def test_only_an_error_that_proves_it_makes_a_write_a_failure(
    run: Run, monkeypatch: pytest.MonkeyPatch, reason: str, phase: str
) -> None:
    """A node that broke down over a transaction may have passed it on before; one whose pool is full has not."""

    async def story(world: World) -> None:
        await living(world)

        def refuse(raw: bytes, *, gossip: bool) -> str:
            raise Refused(reason)

        for name in ("sequencer-0", "sequencer-1"):
            monkeypatch.setattr(world.node(name).gateway, "_admit", refuse)
        outcome = await world.client(ME, "sequencer-0", "sequencer-1").send(SILENT_TO, b"", nonce=0)
        assert outcome.phase == phase

    run(story, *NODES, idle=[ME])


def test_a_write_refused_everywhere_failed_and_never_lands(run: Run) -> None:
    async def story(world: World) -> None:
        await living(world)
        client = world.client(ME, "sequencer-0", "sequencer-1")
        assert (await client.send(SILENT_TO, b"", nonce=0)).phase == "ok"
        outcome = await client.send(SILENT_TO, b"\x01", nonce=0)
        assert outcome.phase == "fail"
        assert "nonce 0" in outcome.reason
        await world.settle(3)
        assert world.times_included(outcome.transaction) == 0

    run(story, *NODES, idle=[ME])


def test_a_gateway_with_too_many_waiting_still_takes_the_write(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the pool and gossiped by then: to refuse it would tell the client that it cannot land."""
    monkeypatch.setattr("harness.roles.gateway.WAITERS_MAX", 0)

    async def story(world: World) -> None:
        await living(world)
        outcome = await world.client(ME, "sequencer-0").send(SILENT_TO, b"", nonce=0)
        assert outcome.phase == "info"
        await world.settle(3)
        assert world.times_included(outcome.transaction) == 1

    run(story, *NODES, idle=[ME])


def test_an_answer_that_makes_no_sense_leaves_a_write_indeterminate(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        await living(world)

        async def nonsense(sender: str, kind: str, payload: object) -> object:
            await world.roles["sequencer-0"]._handle(sender, kind, payload)
            return {"ok": "maybe"}

        world.runtime.network_of("sequencer-0")._handler = nonsense
        outcome = await world.client(ME, "sequencer-0").send(SILENT_TO, b"", nonce=0)
        assert outcome.phase == "info"
        assert world.times_included(outcome.transaction) == 1

    run(story, *NODES, idle=[ME])


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_gateway_answers_a_committed_transaction_with_its_receipt(run: Run, is_restarted: bool) -> None:
    """Also one that was committed before it restarted: else a client that asks again hears of a used nonce."""

    async def story(world: World) -> None:
        await living(world)
        first = await world.ask(ME, "sequencer-0", "tx", {"raw": world.raw(0).hex(), "wait": 3}, timeout=4)
        assert first["ok"] is True
        if is_restarted:
            await world.kill("sequencer-0")
            await world.start("sequencer-0")
            await world.until(lambda: world.height("sequencer-0") >= first["block"], within=5)
        assert await world.ask(ME, "sequencer-0", "tx", {"raw": world.raw(0).hex()}) == first
        assert await world.ask(ME, "sequencer-0", "receipt", {"hash": first["hash"]}) == first

    run(story, *NODES, idle=[ME])


def test_a_nonce_used_again_after_an_unknown_outcome_lands_one_of_the_two(run: Run) -> None:
    """The first write hangs in a pool cut off from the set; the client asks elsewhere and gets the same nonce."""

    async def story(world: World) -> None:
        await living(world)
        await world.isolate("sequencer-0", "sequencer-*")
        hanging = await world.client(ME, "sequencer-0", patience_s=0.5).send(SILENT_TO, b"\x01")
        assert hanging.phase == "info"
        landed = await world.client(ME, "sequencer-1").send(SILENT_TO, b"\x02")
        assert landed.phase == "ok"
        await world.heal()
        await world.settle(6)
        assert world.times_included(hanging.transaction) == 0
        assert world.times_included(landed.transaction) == 1
        assert len(world.node("sequencer-0").chain.pool) == 0

    run(story, *NODES, idle=[ME])


def test_writes_sent_together_land_in_order_each_once(run: Run) -> None:
    async def story(world: World) -> None:
        await living(world)
        client = world.client(ME, "sequencer-0", "sequencer-1")
        await world.rule("sequencer-*", ME, LinkRule(loss=0.3, duplicate=0.5))
        outcomes = await client.send_all([(SILENT_TO, bytes([index])) for index in range(6)], gas=200_000)
        assert {outcome.phase for outcome in outcomes} <= {"ok", "info"}
        assert [world.times_included(outcome.transaction) for outcome in outcomes] == [1] * 6
        mine = {outcome.transaction for outcome in outcomes}
        order = [r.transaction_hash for r in world.receipts() if r.transaction_hash in mine]
        assert order == [outcome.transaction for outcome in outcomes]

    run(story, *NODES, idle=[ME])


def test_an_insistent_write_lands_once_although_its_sender_crashes(run: Run) -> None:
    """Every life offers the same signed bytes, and has an operation of its own in the history."""

    async def story(world: World) -> None:
        await living(world)
        store = world.disk(ME).mount()
        await world.rule("sequencer-*", ME, CUT)
        gateway = ("sequencer-0",)
        first = asyncio.create_task(
            world.client(ME, *gateway).insist(store, "me/x", "deposit", {}, SILENT_TO, b"", nonce=0)
        )
        await world.settle(2)
        first.cancel()
        await world.heal()
        outcome = await world.client(ME, *gateway).insist(store, "me/x", "deposit", {}, SILENT_TO, b"", nonce=0)
        assert outcome.phase == "ok"
        assert world.times_included(outcome.transaction) == 1
        phases = [(op.fields["id"], op.fields["phase"]) for op in world.records("op")]
        assert phases == [("me/x-0", "invoke"), ("me/x-1", "invoke"), ("me/x-1", "ok")]

    run(story, *NODES, idle=[ME])


def test_an_insistent_write_says_indeterminate_and_never_failed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one life could not send, an earlier one may have: only the chain can say that it failed."""
    monkeypatch.setattr("harness.roles.client.INSIST_ATTEMPTS_MAX", 2)

    async def story(world: World) -> None:
        await living(world)
        client = world.client(ME, "sequencer-0", "sequencer-1")
        assert (await client.send(SILENT_TO, b"", nonce=0)).phase == "ok"
        outcome = await client.insist(world.disk(ME).mount(), "me/y", "deposit", {}, SILENT_TO, b"\x01", nonce=0)
        assert outcome.phase == "info"

    run(story, *NODES, idle=[ME])
