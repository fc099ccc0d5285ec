"""The session with Foundry's `cast`, one process per question, as scripts use it."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

from tests.rpc.network import Rpc
from tests.rpc.sessions.steps import PROBE, Steps, proven, until

TIMEOUT_S = 60
GWEI = 10**9
EVENT = "Pinged(address,uint256)"


def session(cast: Path, rpc: Rpc, key: bytes, me: str, other: str) -> list[tuple[str, str | None]]:
    steps = Steps()
    step = steps.step
    environment = {
        **os.environ, "ETH_RPC_URL": rpc.http, "NO_COLOR": "1", "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
    }  # fmt: skip

    def tried(*words: Any) -> subprocess.CompletedProcess[str]:
        command = [str(cast), *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)

    def run(*words: Any) -> str:
        done = tried(*words)
        assert done.returncode == 0, f"cast {words}: {done.stderr[-2000:]}"
        return done.stdout.strip()

    def refused(*words: Any) -> str:
        done = tried(*words)
        assert done.returncode != 0, f"cast {words} was to be refused and said {done.stdout[:500]}"
        return done.stderr

    def block(name: Any) -> dict[str, Any]:
        return dict(json.loads(run("block", name, "--json")))

    def height(name: Any) -> int:
        return int(block(name)["number"], 16)

    signed = ("--private-key", f"0x{key.hex()}")
    paying = ("--gas-price", 2 * GWEI, "--priority-gas-price", GWEI)

    def send(*words: Any) -> dict[str, Any]:
        return dict(json.loads(run("send", *signed, "--json", *words)))

    def later(*words: Any) -> str:
        return run("send", *signed, "--async", *words).strip('"')

    step("chain id", int(run("chain-id")))
    assert run("client").startswith("harness/")
    step("client version")
    first = int(run("block-number"))
    until(lambda: int(run("block-number")) > first, "a new block")
    step("blocks come")
    latest = block("latest")
    assert int(latest["number"], 16) >= first
    step("latest")
    assert height("safe") <= int(run("block-number"))
    step("safe")
    assert height("finalized") <= height("safe")
    step("finalized")
    assert block(latest["hash"])["number"] == latest["number"]
    assert block(int(latest["number"], 16))["hash"] == latest["hash"]
    step("by hash and number")
    assert height("earliest") == 0
    step("earliest")
    had = int(run("balance", other))
    assert int(run("balance", me)) > 10**18
    step("balance")
    nonce = int(run("nonce", me))
    step("nonce")
    assert int(run("gas-price")) > 0
    step("fees")
    history = json.loads(run("rpc", "eth_feeHistory", "0x2", "latest", "[50]"))
    assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1
    step("fee history")
    step("estimate", int(run("estimate", "--from", me, other, "--value", 1)))

    receipt = send(other, "--value", 123)
    assert receipt["status"] == "0x1"
    step("transfer")
    assert int(run("balance", other)) - had == 123
    step("transferred")
    assert int(run("nonce", me)) == nonce + 1
    step("nonce used")
    sent = receipt["transactionHash"]
    found = json.loads(run("tx", sent, "--json"))
    assert (found["blockNumber"], int(found["value"], 16)) == (receipt["blockNumber"], 123)
    step("transaction")
    assert block(receipt["blockHash"])["transactions"][int(receipt["transactionIndex"], 16)] == sent
    assert sent in [each["transactionHash"] for each in json.loads(run("rpc", "eth_getBlockReceipts",
                                                                       receipt["blockNumber"]))]
    step("receipt")

    at = send("--create", PROBE["bytecode"])["contractAddress"]
    step("deploy")
    step("code", len(run("code", at)))

    def number(*words: Any) -> int:
        return int(run("call", at, "number()(uint256)", *words).split()[0])

    step("call", number())
    pinged = send(at, "ping(uint256)", 42)
    assert pinged["status"] == "0x1"
    pinged_at = int(pinged["blockNumber"], 16)
    step("write")
    step("read", number())
    step("read before", number("--block", pinged_at - 1))
    step("storage", int(run("storage", at, 0), 16))
    logs = json.loads(run("logs", "--json", "--address", at, "--from-block", pinged_at, EVENT.replace("address",
                                                                                    "address indexed")))
    assert [each["topics"][1][-40:] for each in logs] == [me[2:].lower()]
    step("logs", int(logs[0]["data"], 16))
    indexed = "Pinged(address indexed,uint256)"
    step("no logs", len(json.loads(run("logs", "--json", "--address", at, "--from-block", 0, indexed, other))))
    _subscriptions(cast, rpc, environment, at, run, lambda: later(at, "ping(uint256)", 43), step)

    assert "no way" in refused("call", at, "fail()")
    step("reason", "no way")
    refusal = refused("call", at, "refuse(uint256)", 7)
    selector = keccak(b"Refused(uint256)")[:4].hex()
    assert selector in refusal or "Refused(7)" in refusal, refusal
    step("custom error", 7)
    assert "no way" in refused("estimate", "--from", me, at, "fail()")
    step("estimate of a revert", "no way")
    failed = json.loads(tried("send", *signed, "--json", "--gas-limit", 100_000, at, "fail()").stdout)
    step("failed transaction", int(failed["status"], 16))
    step("override", number("--override-state-diff", f"{at}:0x{0:064x}:0x{99:064x}"))

    following = int(run("nonce", me, "--block", "pending"))
    plain = ("--gas-limit", 21_000)
    late = later(other, "--value", 2, "--nonce", following + 1, *plain, *paying)
    assert json.loads(run("tx", late, "--json"))["blockNumber"] is None
    step("nonce gap")
    early = later(other, "--value", 1, "--nonce", following, *plain, *paying)
    places = [json.loads(run("receipt", each, "--json")) for each in (early, late)]
    order = [(int(each["blockNumber"], 16), int(each["transactionIndex"], 16)) for each in places]
    assert order == sorted(order)
    step("gap filled")

    following = int(run("nonce", me, "--block", "pending"))

    def bid(price: int, value: int) -> tuple[Any, ...]:
        fees = ("--gas-price", price, "--priority-gas-price", price)
        return (other, "--value", value, "--nonce", following + 1, *plain, *fees)

    cheap = later(*bid(GWEI, 3))
    assert "replacement transaction underpriced" in refused("send", *signed, "--async", *bid(GWEI * 105 // 100, 4))
    step("underpriced", "REPLACEMENT_UNDERPRICED")
    dear = later(*bid(GWEI * 110 // 100, 5))
    later(other, "--value", 1, "--nonce", following, *plain, *paying)
    run("receipt", dear)
    assert rpc.call("eth_getTransactionReceipt", cheap) is None
    assert "not found" in refused("tx", cheap)
    step("replacement")
    poor = refused("send", *signed, "--async", other, "--value", 10**30, "--nonce", following + 2, *plain, *paying)
    assert "insufficient funds" in poor.lower(), poor
    step("insufficient funds", "INSUFFICIENT_FUNDS")
    assert "nonce too low" in refused("send", *signed, "--async", other, "--nonce", 0, *plain, *paying)
    step("nonce too low", "NONCE_EXPIRED")

    head = block("latest")
    proof = json.loads(run("proof", at, "0x" + "00" * 32, "--block", int(head["number"], 16)))
    nodes = [bytes.fromhex(each[2:]) for each in proof["accountProof"]]
    account = proven(bytes.fromhex(head["stateRoot"][2:]), bytes.fromhex(at[2:]), nodes)
    assert "0x" + account[2].hex() == proof["storageHash"]
    step("account proof")
    nodes = [bytes.fromhex(each[2:]) for each in proof["storageProof"][0]["proof"]]
    step("storage proof", int.from_bytes(proven(account[2], bytes(32), nodes), "big"))
    for label in ("safe", "finalized"):
        until(lambda label=label: height(label) >= pinged_at, f"the block to be {label}")
        step(f"read at {label}", number("--block", label) >= 42)
    return steps.taken


def _subscriptions(
    cast: Path, rpc: Rpc, environment: dict[str, str], at: str, run: Any, ping: Any, step: Any
) -> None:
    """Logs are streamed over a WebSocket; heads and pending hashes `cast` can only poll."""
    heads = json.loads(run("rpc", "eth_newBlockFilter"))
    numbers: list[int] = []

    def three() -> bool:
        for name in json.loads(run("rpc", "eth_getFilterChanges", heads)):
            numbers.append(int(json.loads(run("block", name, "--json"))["number"], 16))
        return len(numbers) >= 3

    until(three, "three heads")
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    step("subscribed heads")
    pending = json.loads(run("rpc", "eth_newPendingTransactionFilter"))
    # With --json it prints one array without an end.
    command = [str(cast), "logs", "--subscribe", "--address", at, "--rpc-url", rpc.ws]
    listener = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        before = json.loads(run("rpc", "eth_newFilter", json.dumps({"address": at})))
        assert listener.stdout is not None
        # Nothing tells when the subscription stands, so pings are sent until one is heard.
        sent = [ping()]
        until(lambda: sent[0] in json.loads(run("rpc", "eth_getFilterChanges", pending)), "the pending hash")
        step("subscribed pending")
        heard = b""
        while b"transactionIndex" not in heard:
            if select.select([listener.stdout], [], [], 3.0)[0]:
                heard += os.read(listener.stdout.fileno(), 1 << 16)
            assert listener.poll() is None, heard
            assert len(sent) < 10, heard
            if not heard:
                sent.append(ping())
        assert any(each.encode() in heard for each in sent)
        until(lambda: json.loads(run("rpc", "eth_getFilterChanges", before)), "the same through a filter")
        step("subscribed logs")
    finally:
        listener.kill()
        listener.communicate()
