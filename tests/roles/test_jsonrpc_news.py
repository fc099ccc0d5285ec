"""What subscribers and filters hear of, above all when the chain turns to another branch."""

from __future__ import annotations

from typing import Any

import pytest
from rpc_client import Asker, Listener, signed
from world import SILENT_TO, Run, World

from harness.plan import L2_CHAIN_ID
from harness.roles.jsonrpc import news
from harness.rollup.blocks import BlockInputs, ExecutedBlock, L1Origin
from harness.venue.exchange import encode_approve

pytestmark = pytest.mark.node

NODES = ("l1-0", "sequencer-0", "replica-0")
"""The sequencer is silent: the test decides what is notarized."""
SILENT = "sequencer-0"
ME = 9_100


def approval(world: World, nonce: int, amount: int) -> str:
    """A transaction that emits one log of the collateral token, with the amount as its data."""
    token = world.stage.deployment["collateral_token"]
    return signed(ME, nonce, to=token, data=encode_approve(SILENT_TO, amount))


async def block(world: World, parent: ExecutedBlock | None, *raws: str, second: int = 1) -> ExecutedBlock:
    """Execute a block on the replica, on no label yet. Another `second` makes a sibling."""
    chain = world.node("replica-0").chain
    genesis = world.stage.genesis_timestamp
    l1_genesis = world.roles["l1-0"].chain.engine.genesis_hash
    return await chain.execute(
        BlockInputs(
            chain_id=L2_CHAIN_ID,
            number=1 if parent is None else parent.number + 1,
            parent=chain.genesis_hash if parent is None else parent.hash,
            timestamp=(genesis if parent is None else parent.inputs.timestamp) + second,
            base_fee=0,
            transactions=tuple(bytes.fromhex(raw[2:]) for raw in raws),
            origin=L1Origin(0, l1_genesis, genesis),
        )
    )


def notarize(world: World, tip: ExecutedBlock) -> None:
    world.node("replica-0").chain.notarized(tip.hash)


def told(logs: list[dict[str, Any]]) -> list[tuple[int, bool]]:
    return [(int(log["data"], 16), log["removed"]) for log in logs]


def test_a_reorg_reaches_subscribers_as_removed_logs_and_new_heads(run: Run) -> None:
    """A bot that counted a fill on the lost branch has to learn that it never was."""

    async def story(world: World) -> None:
        listener = Listener()
        me = Asker(world, "replica-0", listener)
        heads = await me.call("eth_subscribe", "newHeads")
        logs = await me.call("eth_subscribe", "logs", {"address": world.stage.deployment["collateral_token"]})
        other = await me.call("eth_subscribe", "logs", {"address": SILENT_TO})
        token = world.stage.deployment["collateral_token"]
        polled = await me.call("eth_newFilter", {"address": token, "fromBlock": "earliest"})
        blocks = await me.call("eth_newBlockFilter")

        first = await block(world, None, approval(world, 0, 1))
        second = await block(world, first, approval(world, 1, 2), approval(world, 2, 3))
        notarize(world, second)
        await world.until(lambda: len(listener.results(heads)) == 2, within=2)
        assert told(listener.results(logs)) == [(1, False), (2, False), (3, False)]
        receipt = await me.call("eth_getTransactionReceipt", second.receipts[1].transaction_hash)
        assert (receipt["blockHash"], receipt["transactionIndex"]) == (second.hash, "0x2")
        assert [log["logIndex"] for log in listener.results(logs)] == ["0x0", "0x0", "0x1"]

        # Asked before and after: an answer that was kept must not outlive the branch it was about.
        assert (await me.call("eth_getBlockByNumber", hex(second.number), False))["hash"] == second.hash
        rival = await block(world, first, approval(world, 1, 4), second=2)
        beyond = await block(world, rival)
        notarize(world, beyond)
        await world.until(lambda: len(listener.results(heads)) == 4, within=2)
        assert [head["hash"] for head in listener.results(heads)] == [first.hash, second.hash, rival.hash, beyond.hash]
        assert listener.results(heads)[2]["parentHash"] == first.hash
        assert told(listener.results(logs))[3:] == [(2, True), (3, True), (4, False)]
        assert listener.results(other) == []
        assert told(await me.call("eth_getFilterChanges", polled)) == told(listener.results(logs))
        assert await me.call("eth_getFilterChanges", polled) == []
        assert await me.call("eth_getFilterChanges", blocks) == [first.hash, second.hash, rival.hash, beyond.hash]

        assert await me.call("eth_getTransactionReceipt", second.receipts[0].transaction_hash) is None
        assert await me.call("eth_getBlockByHash", second.hash, False) is None
        assert (await me.call("eth_getBlockByNumber", hex(second.number), False))["hash"] == rival.hash
        assert told(await me.call("eth_getLogs", {"fromBlock": "0x0"})) == [(1, False), (4, False)]
        assert told(await me.call("eth_getFilterLogs", polled)) == [(1, False), (4, False)]
        gone = await me.error("eth_getLogs", {"blockHash": second.hash})
        assert gone["message"].startswith("unknown block")

    run(story, *NODES, idle=[SILENT])


def test_whoever_unsubscribes_or_leaves_hears_nothing_more(run: Run) -> None:
    async def story(world: World) -> None:
        staying, leaving = Listener(), Listener()
        stays, leaves = (Asker(world, "replica-0", each) for each in (staying, leaving))
        kept, given_up = [await stays.call("eth_subscribe", "newHeads") for _ in range(2)]
        await leaves.call("eth_subscribe", "newHeads")
        assert await stays.call("eth_unsubscribe", given_up) is True
        assert (await stays.error("eth_unsubscribe", given_up))["message"].startswith("subscription not found")
        assert (await leaves.error("eth_unsubscribe", kept))["message"].startswith("subscription not found")
        world.runtime.rpc_of("replica-0").closed(leaving)
        notarize(world, await block(world, None))
        await world.until(lambda: staying.results(kept), within=2)
        assert len(staying.heard) == 1
        assert leaving.heard == []

    run(story, *NODES, idle=[SILENT])


def test_pending_transactions_are_told_when_they_come(run: Run) -> None:
    async def story(world: World) -> None:
        listener = Listener()
        me = Asker(world, "replica-0", listener)
        pending = await me.call("eth_subscribe", "newPendingTransactions")
        polled = await me.call("eth_newPendingTransactionFilter")
        names = [await me.call("eth_sendRawTransaction", approval(world, nonce, 1)) for nonce in (0, 2)]
        assert listener.results(pending) == names
        assert await me.call("eth_getFilterChanges", polled) == names
        assert await me.call("eth_uninstallFilter", polled) is True
        assert (await me.error("eth_getFilterChanges", polled))["message"].startswith("filter not found")

    run(story, *NODES, idle=[SILENT])


def test_nobody_can_subscribe_without_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "SUBSCRIPTIONS_PER_SESSION_MAX", 3)
    monkeypatch.setattr(news, "FILTERS_MAX", 2)

    async def story(world: World) -> None:
        me = Asker(world, "replica-0", Listener())
        for _ in range(3):
            await me.call("eth_subscribe", "newHeads")
        assert (await me.error("eth_subscribe", "newHeads"))["code"] == -32005
        for _ in range(2):
            await me.call("eth_newBlockFilter")
        assert (await me.error("eth_newBlockFilter"))["code"] == -32005
        await world.settle(301)  # nobody polled them
        await me.call("eth_newBlockFilter")

    run(story, *NODES, idle=[SILENT])


def test_a_subscriber_that_cannot_be_told_everything_is_dropped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream with a hole in it would pass for a whole one."""
    monkeypatch.setattr(news, "CHANGES_MAX", 2)

    async def story(world: World) -> None:
        listener = Listener()
        me = Asker(world, "replica-0", listener)
        await me.call("eth_subscribe", "newHeads")
        tip = None
        chain = []
        for _ in range(4):
            tip = await block(world, tip)
            chain.append(tip)
        for each in chain:  # a question has the node look at its head, and the telling task gets no turn
            notarize(world, each)
            assert await me.call("eth_blockNumber") == hex(each.number)
        assert len(listener.dropped) == 2
        assert "connect again" in listener.dropped[0]

    run(story, *NODES, idle=[SILENT])
