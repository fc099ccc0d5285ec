"""The session with web3.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, ContractLogicError, TransactionNotFound, Web3RPCError

from tests.rpc.network import Rpc
from tests.rpc.sessions.steps import PROBE, Steps, proven, until

GWEI = 10**9


def session(rpc: Rpc, key: bytes, other: str) -> list[tuple[str, str | None]]:
    steps = Steps()
    step = steps.step
    web3 = Web3(Web3.HTTPProvider(rpc.http))
    eth = web3.eth
    signer = eth.account.from_key(key)
    me, other = signer.address, Web3.to_checksum_address(other)

    def send(**fields: Any) -> Any:
        price = {"maxFeePerGas": 2 * GWEI, "maxPriorityFeePerGas": GWEI} if "maxFeePerGas" not in fields else {}
        base = {"chainId": 901, "gas": 21_000, "value": 0, **price, **fields}
        if "nonce" not in base:
            base["nonce"] = eth.get_transaction_count(me, "pending")
        return eth.send_raw_transaction(signer.sign_transaction(base).raw_transaction)

    def landed(name: Any) -> Any:
        return eth.wait_for_transaction_receipt(name, timeout=60, poll_latency=0.05)

    step("chain id", eth.chain_id)
    assert web3.client_version.startswith("harness/")
    step("client version")
    first = eth.block_number
    until(lambda: eth.block_number > first, "a new block")
    step("blocks come")
    latest = eth.get_block("latest")
    assert latest["number"] >= first
    step("latest")
    assert eth.get_block("safe")["number"] <= eth.block_number
    step("safe")
    assert eth.get_block("finalized")["number"] <= eth.get_block("safe")["number"]
    step("finalized")
    assert eth.get_block(latest["hash"])["number"] == latest["number"]
    assert eth.get_block(latest["number"])["hash"] == latest["hash"]
    step("by hash and number")
    assert eth.get_block("earliest")["number"] == 0
    step("earliest")
    had = eth.get_balance(other)
    assert eth.get_balance(me) > 10**18
    step("balance")
    nonce = eth.get_transaction_count(me)
    step("nonce")
    assert eth.gas_price > 0
    assert eth.max_priority_fee > 0
    step("fees")
    history = eth.fee_history(2, "latest", [50])
    assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1
    step("fee history")
    step("estimate", eth.estimate_gas({"from": me, "to": other, "value": 1}))

    sent = send(to=other, value=123)
    receipt = landed(sent)
    assert receipt["status"] == 1
    step("transfer")
    assert eth.get_balance(other) - had == 123
    step("transferred")
    assert eth.get_transaction_count(me) == nonce + 1
    step("nonce used")
    found = eth.get_transaction(sent)
    assert (found["blockNumber"], found["value"]) == (receipt["blockNumber"], 123)
    step("transaction")
    block = eth.get_block(receipt["blockHash"])
    assert block["transactions"][receipt["transactionIndex"]] == sent
    assert sent in [each["transactionHash"] for each in eth.get_block_receipts(receipt["blockNumber"])]
    step("receipt")

    deployed = landed(send(data=PROBE["bytecode"], gas=500_000))
    at = deployed["contractAddress"]
    contract = eth.contract(address=at, abi=PROBE["abi"])
    number = contract.functions.number()
    step("deploy")
    step("code", 2 + 2 * len(eth.get_code(at)))
    step("call", number.call())
    pinged = landed(send(to=at, data=contract.encode_abi("ping", [42]), gas=100_000))
    assert pinged["status"] == 1
    step("write")
    step("read", number.call())
    step("read before", number.call(block_identifier=pinged["blockNumber"] - 1))
    step("storage", int.from_bytes(eth.get_storage_at(at, 0), "big"))
    logs = contract.events.Pinged().get_logs(from_block=pinged["blockNumber"])
    assert [each["args"]["who"] for each in logs] == [me]
    step("logs", logs[0]["args"]["number"])
    nothing = contract.events.Pinged().get_logs(from_block=0, argument_filters={"who": other})
    step("no logs", len(nothing))

    asyncio.run(_subscriptions(rpc, at, lambda: send(to=at, data=contract.encode_abi("ping", [43]), gas=100_000), step))

    with pytest.raises(ContractLogicError) as reason:
        contract.functions.fail().call()
    step("reason", str(reason.value.message).removeprefix("execution reverted: "))
    with pytest.raises(ContractCustomError) as custom:
        contract.functions.refuse(7).call()
    assert custom.value.data[:10] == Web3.keccak(text="Refused(uint256)")[:4].to_0x_hex()
    step("custom error", int(custom.value.data[10:], 16))
    with pytest.raises(ContractLogicError) as estimate:
        contract.functions.fail().estimate_gas()
    step("estimate of a revert", str(estimate.value.message).removeprefix("execution reverted: "))
    failed = landed(send(to=at, data=contract.encode_abi("fail"), gas=100_000))
    step("failed transaction", failed["status"])
    override = {at: {"stateDiff": {"0x" + "00" * 32: "0x" + f"{99:064x}"}}}
    step("override", number.call(state_override=override))

    following = eth.get_transaction_count(me, "pending")
    late = send(to=other, value=2, nonce=following + 1)
    assert eth.get_transaction(late).get("blockNumber") is None
    step("nonce gap")
    early = send(to=other, value=1, nonce=following)
    order = [(each["blockNumber"], each["transactionIndex"]) for each in (landed(early), landed(late))]
    assert order == sorted(order)
    step("gap filled")

    following = eth.get_transaction_count(me, "pending")

    def pay(price: int, value: int) -> Any:
        return send(to=other, value=value, nonce=following + 1, maxFeePerGas=price, maxPriorityFeePerGas=price)

    cheap = pay(GWEI, 3)
    with pytest.raises(Web3RPCError, match="replacement transaction underpriced"):
        pay(GWEI * 105 // 100, 4)
    step("underpriced", "REPLACEMENT_UNDERPRICED")
    dear = pay(GWEI * 110 // 100, 5)
    send(to=other, value=1, nonce=following)
    landed(dear)
    for look in (eth.get_transaction, eth.get_transaction_receipt):
        with pytest.raises(TransactionNotFound):
            look(cheap)
    step("replacement")
    with pytest.raises(Web3RPCError, match="insufficient funds"):
        send(to=other, value=10**30, nonce=following + 2)
    step("insufficient funds", "INSUFFICIENT_FUNDS")
    with pytest.raises(Web3RPCError, match="nonce too low"):
        send(to=other, nonce=0)
    step("nonce too low", "NONCE_EXPIRED")

    head = eth.get_block("latest")
    proof = eth.get_proof(at, [0], head["number"])
    account = proven(head["stateRoot"], bytes.fromhex(at[2:]), list(proof["accountProof"]))
    assert account[2] == proof["storageHash"]
    step("account proof")
    slot = proven(proof["storageHash"], bytes(32), list(proof["storageProof"][0]["proof"]))
    step("storage proof", int.from_bytes(slot, "big"))
    for label in ("safe", "finalized"):
        until(lambda label=label: eth.get_block(label)["number"] >= pinged["blockNumber"], f"to be {label}")
        step(f"read at {label}", number.call(block_identifier=label) >= 42)
    return steps.taken


async def _subscriptions(rpc: Rpc, at: str, ping: Any, step: Any) -> None:
    async with asyncio.timeout(60), AsyncWeb3(WebSocketProvider(rpc.ws)) as web3:
        heads = await web3.eth.subscribe("newHeads")
        pending = await web3.eth.subscribe("newPendingTransactions")
        logs = await web3.eth.subscribe("logs", {"address": at})
        heard: dict[str, list[Any]] = {heads: [], pending: [], logs: []}
        sent: Any = None
        async for message in web3.socket.process_subscriptions():
            heard[message["subscription"]].append(message["result"])
            if sent is None and len(heard[heads]) >= 3:
                numbers = [each["number"] for each in heard[heads]]
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
                step("subscribed heads")
                sent = await asyncio.to_thread(ping)
            if sent is not None and heard[logs]:
                break
        assert sent in heard[pending]
        step("subscribed pending")
        assert [each["transactionHash"] for each in heard[logs]] == [sent]
        step("subscribed logs")
