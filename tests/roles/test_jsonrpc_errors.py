"""What a client is told when it asks wrongly: the code, the value it gave, and what to do; and nothing else happens."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from rpc_client import Asker, Listener, signed
from world import SET, Run, World

from harness.roles.jsonrpc.methods import FRESH, STEADY
from harness.roles.jsonrpc.service import BATCH_MAX

pytestmark = pytest.mark.node

NODES = ("l1-0", *SET)
ME = 9_001
ADDRESS = "0x" + "11" * 20
PROMPT = [
    name for name in (*FRESH, *STEADY)
    if not name.endswith("_mine") and name not in ("evm_mine", "eth_sendRawTransactionSync", "anvil_mine")
]  # fmt: skip
"""Methods that do not wait for blocks."""

CASES: list[tuple[bytes, int, str]] = [
    (b"", -32700, "parse error"),
    (b"{", -32700, "parse error"),
    (b"\xff\xfe", -32700, "parse error"),
    (b"[" * 100_000, -32700, "parse error"),
    (b"[]", -32600, "empty batch"),
    (b"3", -32600, "an object is due, not 3"),
    (b'{"id":1}', -32600, "method must be a string"),
    (b'{"id":{},"method":"eth_chainId"}', -32600, "id must be"),
    (b'{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}', -32600, 'must be "2.0", not \'1.0\''),
    (b'{"id":1,"method":"admin_peers"}', -32601, "the method admin_peers does not exist"),
    (b'{"id":1,"method":"anvil_setLoggingEnabled"}', -32601, "does not exist"),
    (b'{"id":1,"method":"eth_chainId","params":{}}', -32602, "must be an array"),
    (b'{"id":1,"method":"eth_chainId","params":[1]}', -32602, "too many arguments"),
    (b'{"id":1,"method":"eth_getBalance","params":[]}', -32602, "missing value for required argument 0 (address)"),
    (b'{"id":1,"method":"eth_getBalance","params":["0x12"]}', -32602, "address must be 0x-prefixed hex of 20 bytes"),
    (b'{"id":1,"method":"eth_getBlockByNumber","params":["newest"]}', -32602, "'newest'; it takes a number, earliest"),
    (b'{"id":1,"method":"eth_getBlockByNumber","params":["0xzz"]}', -32602, "must be a quantity"),
    (b'{"id":1,"method":"eth_call","params":[{"data":"0x1"}]}', -32602, "transaction.data must be 0x-prefixed hex"),
    (b'{"id":1,"method":"eth_call","params":[{"dta":"0x"}]}', -32602, "unknown key 'dta'"),
    (b'{"id":1,"method":"eth_call","params":[{"data":"0x","input":"0x01"}]}', -32602, "both data and input"),
    (b'{"id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x2","toBlock":"0x1"}]}', -32602, "invalid block range"),
    (b'{"id":1,"method":"eth_getLogs","params":[{"blockHash":"0x1"}]}', -32602, "of 32 bytes"),
    (b'{"id":1,"method":"eth_getFilterChanges","params":["0x77"]}', -32000, "filter not found"),
    (b'{"id":1,"method":"eth_subscribe","params":["newHeads"]}', -32000, "notifications not supported"),
    (b'{"id":1,"method":"eth_sendRawTransaction","params":["0x02"]}', -32000, "not a transaction"),
    (b'{"id":1,"method":"debug_traceTransaction","params":["0x%b"]}' % (b"11" * 32), -32000, "is not on this node's"),
    (b'{"id":1,"method":"eth_getBalance","params":["0x%b","0xffff"]}' % (b"11" * 20), -32000, "header not found"),
    (b'{"id":1,"method":"evm_increaseTime","params":[60]}', -32004, "time belongs to all nodes together"),
    (b'{"id":1,"method":"evm_snapshot"}', -32004, "one node cannot go back alone"),
    (b'{"id":1,"method":"hardhat_setCode","params":[]}', -32004, "state changes by transactions alone"),
    (b'{"id":1,"method":"anvil_impersonateAccount","params":["0x%b"]}' % (b"11" * 20), -32004, "be impersonated"),
]  # fmt: skip


def test_each_mistake_has_its_code_and_is_named(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        me = Asker(world, "sequencer-0")
        for body, code, words in CASES:
            answer = await me.post(body)
            assert answer["error"]["code"] == code, (body[:80], answer)
            assert words in answer["error"]["message"], (body[:80], answer)
        assert world.problems() == []

    run(story, *NODES)


def test_ids_come_back_as_they_went_and_notifications_are_not_answered(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 1, within=10)
        me = Asker(world, "sequencer-0")
        batch = [{"jsonrpc": "2.0", "id": name, "method": "eth_chainId"} for name in (7, "seven", None, 2**53)]
        batch.insert(2, {"jsonrpc": "2.0", "method": "eth_chainId"})
        answers = await me.post(orjson.dumps([*batch, {"method": 1, "id": 9}, 5]))
        assert [each["id"] for each in answers] == [7, "seven", None, 2**53, 9, None]
        assert [each.get("result") for each in answers] == ["0x385"] * 4 + [None, None]
        assert [each["error"]["code"] for each in answers[4:]] == [-32600, -32600]
        assert await me.post(b'{"jsonrpc":"2.0","method":"eth_chainId"}') is None
        assert await me.post(b'[{"jsonrpc":"2.0","method":"no_such"}]') is None
        too_many = await me.post(orjson.dumps([batch[0]] * (BATCH_MAX + 1)))
        assert too_many["error"]["code"] == -32600
        assert f"at most {BATCH_MAX}" in too_many["error"]["message"]

    run(story, *NODES)


def test_the_pool_says_no_in_the_words_wallets_know(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 1, within=10)
        me = Asker(world, "sequencer-0")

        async def refusal(raw: str) -> str:
            error = await me.error("eth_sendRawTransaction", raw)
            assert error["code"] == -32000
            return str(error["message"])

        queued = signed(ME, 5, fee=0)
        name = await me.call("eth_sendRawTransaction", queued)
        assert (await refusal(queued)).startswith("already known")
        assert (await refusal(signed(ME, 5, gas=90_000))).startswith("replacement transaction underpriced")
        assert (await refusal(signed(ME, 0, value=1))).startswith("insufficient funds for gas * price + value")
        assert (await refusal(signed(ME, 0, fee=1))).startswith("insufficient funds")
        assert (await refusal(signed(ME, 0, gas=20_000))).startswith("intrinsic gas too low")
        assert (await refusal(signed(ME, 0, gas=10**8))).startswith("exceeds block gas limit")
        assert (await refusal(signed(ME, 0, chain_id=1))).startswith("invalid chain id")
        pending = await me.call("eth_getTransactionByHash", name)
        assert (pending["blockHash"], pending["nonce"], pending["from"]) == (None, "0x5", pending["from"])
        assert (await me.call("txpool_status")) == {"pending": "0x0", "queued": "0x1"}
        first = await me.call("eth_sendRawTransaction", signed(ME, 0))
        await world.until(lambda: world.times_included(first) == 1, within=10)
        assert (await refusal(signed(ME, 0, gas=90_000))).startswith("nonce too low")
        assert await me.call("eth_getTransactionCount", pending["from"], "latest") == "0x1"

    run(story, *NODES)


def test_no_parameters_break_a_method(run: Run) -> None:
    """Whatever is sent is answered by a result or by an error that blames the sender; none is an internal one."""
    draw = random.Random(5)
    words: list[Any] = [
        "latest", "pending", "earliest", "0x", "0x0", "0x1", "0xg", ADDRESS, "0x" + "ab" * 32, "{}}{", "", "logs",
        "newHeads", "0x" + "f" * 65, None, True, -1, 0, 2**63, 1.5, 1e300,
    ]  # fmt: skip
    keys = ["to", "from", "data", "gas", "value", "topics", "address", "fromBlock", "blockHash", "tracer", "nonce"]

    def anything(depth: int = 3) -> Any:
        kind = draw.randrange(4 if depth else 2)
        if kind == 3:
            return {draw.choice(keys): anything(depth - 1) for _ in range(draw.randrange(4))}
        return [anything(depth - 1) for _ in range(draw.randrange(4))] if kind == 2 else draw.choice(words)

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        me = Asker(world, "sequencer-0", Listener())
        for method in sorted(PROMPT):
            for _ in range(25):
                params = [anything() for _ in range(draw.randrange(5))]
                answer = await me.ask(method, *params)
                assert answer.get("error", {}).get("code") != -32603, (method, params, answer)
        assert world.problems() == []

    run(story, *NODES)


def test_no_bytes_break_the_decoder(run: Run) -> None:
    """A request damaged anywhere is answered as what it has become."""
    draw = random.Random(6)
    sound = orjson.dumps(
        [{"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": ADDRESS, "data": "0x00"}, "latest"]}]
    )

    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 1, within=10)
        me = Asker(world, "sequencer-0")
        for _ in range(3_000):
            damaged = bytearray(sound)
            for _ in range(draw.randint(1, 4)):
                damaged[draw.randrange(len(damaged))] = draw.choice(b'{}[]",:0x\\\x00\xff1et')
            answer = await me.post(bytes(damaged[: draw.randint(0, len(damaged))] if draw.random() < 0.2 else damaged))
            for each in answer if isinstance(answer, list) else [answer]:
                assert each is None or each.get("error", {}).get("code") != -32603, (damaged, each)
        assert world.problems() == []

    run(story, *NODES)
