"""Reads of state, calls, estimates and traces; and what of one client's questions another has to wait for."""

from __future__ import annotations

import asyncio

import pytest
from rpc_client import Asker, Listener, signed
from world import SET, SILENT_TO, Run, World

from harness.evm.accounts import BATCHER, account
from harness.roles.jsonrpc import state_methods
from harness.roles.jsonrpc.faults import RpcFault
from harness.roles.jsonrpc.turns import WAITING_PER_SESSION_MAX, WHOLE, Turns
from harness.venue.exchange import encode_approve

pytestmark = pytest.mark.node

NODES = ("l1-0", "l1-1", *SET, "replica-0")
ME = 9_200
CODE_AT = "0x" + "c0" * 20
SPIN = "0x5b600056"                                   # jumps to itself
STORE = "0x6001600055"                                # one slot from zero to one: 22 106 gas beside the 21 000
REVERT = "0x600160005260206000fd"                     # reverts with the word 1


def override(code: str) -> dict[str, dict[str, str]]:
    return {CODE_AT: {"code": code}}


def test_an_estimate_is_enough_and_little_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the node's own search where calls are quick, by ours, a block's time apart, where they are not."""

    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0") >= 1, within=10)
        me = Asker(world, "replica-0")
        token = world.stage.deployment["collateral_token"]
        approve = {"from": account(ME).address, "to": token, "data": f"0x{encode_approve(SILENT_TO, 5).hex()}"}
        quick = int(await me.call("eth_estimateGas", approve), 16)
        monkeypatch.setattr(state_methods, "QUICK_NS", -1)
        slow = int(await me.call("eth_estimateGas", {**approve, "nonce": "0x0"}), 16)
        assert quick - 1 <= slow <= quick * 1.01 + 1
        least = 21_000 + 22_106
        stored = int(await me.call("eth_estimateGas", {"to": CODE_AT}, "latest", override(STORE)), 16)
        assert least <= stored <= least * 1.01
        assert await me.call("eth_estimateGas", {"to": SILENT_TO, "value": "0x0"}) == "0x5208"
        assert (await me.error("eth_estimateGas", {"to": CODE_AT}, "latest", override(REVERT)))["code"] == 3
        capped = await me.error("eth_call", {"to": CODE_AT, "gas": "0xffffffffffff"}, "latest", override(SPIN))
        assert capped["code"] == -32000
        assert "gas" in capped["message"].lower()

    run(story, *NODES)


def test_a_transaction_is_answered_once_it_is_in_a_block_and_can_be_traced(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0") >= 1, within=10)
        me = Asker(world, "replica-0")
        token = world.stage.deployment["collateral_token"]
        raw = signed(ME, 0, to=token, data=encode_approve(SILENT_TO, 5))
        receipt = await me.call("eth_sendRawTransactionSync", raw)
        assert receipt["status"] == "0x1"
        trace = await me.call("debug_traceTransaction", receipt["transactionHash"], {"tracer": "callTracer"})
        assert (trace["type"], trace["to"]) == ("CALL", token)
        opcodes = await me.error("debug_traceTransaction", receipt["transactionHash"])
        assert "give a tracer" in opcodes["message"]
        javascript = await me.error("debug_traceTransaction", receipt["transactionHash"], {"tracer": "{data: []}"})
        assert javascript["code"] == -32602
        late = await me.error("eth_sendRawTransactionSync", signed(ME, 5), "0x1f4")
        assert late["code"] == 4
        assert late["data"] == (await me.call("txpool_content"))["queued"][account(ME).address]["5"]["hash"]

    run(story, *NODES)


def test_the_state_of_a_block_stays_what_it_was(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0") >= 1, within=10)
        me = Asker(world, "replica-0")
        who = account(ME).address
        first = await me.call("eth_sendRawTransactionSync", signed(ME, 0))
        second = await me.call("eth_sendRawTransactionSync", signed(ME, 1))
        for receipt, nonce in ((first, "0x1"), (second, "0x2")):
            by_number = await me.call("eth_getTransactionCount", who, receipt["blockNumber"])
            by_hash = await me.call("eth_getTransactionCount", who, {"blockHash": receipt["blockHash"]})
            assert (by_number, by_hash) == (nonce, nonce)
        await world.settle(80)  # 160 blocks, of which the node keeps the newest 128
        gone = await me.error("eth_getBalance", who, first["blockNumber"])
        assert gone["message"].startswith("the state after block")
        assert (await me.call("eth_getTransactionReceipt", first["transactionHash"])) == first

    run(story, *NODES)


def test_an_l1_follower_hands_transactions_to_the_builder(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.roles["l1-1"].chain.height >= 1, within=10)
        follower, builder = Asker(world, "l1-1"), Asker(world, "l1-0")
        price = int(await follower.call("eth_gasPrice"), 16)
        raw = signed(BATCHER, 0, chain_id=900, fee=2 * price, value=5)
        name = await follower.call("eth_sendRawTransaction", raw)
        for node in (follower, builder):
            assert (await node.call("eth_getTransactionByHash", name))["blockHash"] is None
        assert (await builder.error("eth_sendRawTransaction", raw))["message"].startswith("already known")
        cheap = signed(BATCHER, 0, chain_id=900, fee=2 * price + 1, value=6)
        error = await follower.error("eth_sendRawTransaction", cheap)
        assert error["message"].startswith("replacement transaction underpriced")
        await world.until(lambda: len(world.roles["l1-1"].chain.blocks[-1].receipts) > 0, within=10)
        receipts = [await node.call("eth_getTransactionReceipt", name) for node in (follower, builder)]
        assert receipts[0] == receipts[1]
        assert receipts[0]["status"] == "0x1"
        assert await builder.call("eth_getBalance", "0x" + "11" * 20, "latest") == "0x5"

    run(story, "l1-0", "l1-1")


def test_a_client_that_asks_a_thousand_waits_behind_itself() -> None:
    """The other's one question comes second, not last; and nobody queues without end."""

    async def main() -> None:
        turns, greedy, modest = Turns(), Listener(), Listener()
        order: list[str] = []
        go = asyncio.Event()

        async def ask(session: Listener, name: str) -> None:
            async with turns.turn(session):
                await go.wait()
                order.append(name)

        asking = [asyncio.ensure_future(ask(greedy, "greedy")) for _ in range(100)]
        await asyncio.sleep(0)
        asking.append(asyncio.ensure_future(ask(modest, "modest")))
        await asyncio.sleep(0)
        asking[50].cancel()
        go.set()
        await asyncio.gather(*asking, return_exceptions=True)
        assert order.index("modest") == 2
        assert len(order) == 100

        go.clear()
        waiting = [asyncio.ensure_future(ask(greedy, "")) for _ in range(WAITING_PER_SESSION_MAX + 2)]
        await asyncio.sleep(0)
        go.set()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in ended if each is not None] == [RpcFault]

    asyncio.run(main())


def test_quick_questions_go_together_and_a_long_one_alone() -> None:
    """A block waits for one turn, so what shares one has to be quick; and what fits does not starve what waits."""

    async def main() -> None:
        turns, order = Turns(), list[str]()
        running = 0
        leave = asyncio.Event()

        async def ask(name: str, size: int) -> int:
            nonlocal running
            async with turns.turn(Listener(), size):
                running += 1
                order.append(name)
                together = running
                if not leave.is_set():
                    await leave.wait()
                running -= 1
                return together

        quick = [asyncio.ensure_future(ask("quick", 1)) for _ in range(WHOLE - 1)]
        await asyncio.sleep(0)
        long = asyncio.ensure_future(ask("long", WHOLE))
        await asyncio.sleep(0)
        late = [asyncio.ensure_future(ask("late", 1)) for _ in range(2)]
        await asyncio.sleep(0)
        assert order == ["quick"] * (WHOLE - 1), "one more would fit, and the long one is before it"
        leave.set()
        assert max(await asyncio.gather(*quick)) == WHOLE - 1
        assert await long == 1
        await asyncio.gather(*late)
        assert order[-3:] == ["long", "late", "late"]

    asyncio.run(main())
