"""The bridge on two real chains: what L1's state proves is executed once on L2, and nothing else ever is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import IpcClient
from harness.anvil.spec import ChainKind, ChainSpec
from harness.evm.accounts import KEEPERS, OWNER, account
from harness.evm.header import header_rlp
from harness.evm.wallet import sign_transaction
from harness.plan import L1_CHAIN_ID, AssetTerms
from harness.rollup.blocks import Hash, L1Origin, Log
from harness.rollup.profile import FAST
from harness.solidity.genesis import GenesisSpec, build_genesis
from harness.toolchain import anvil_binary
from harness.venue import bridge as br
from harness.venue import exchange as ex
from harness.venue.deployment import DEPOSITOR
from tests.contracts.conftest import CHAIN, GAS, PARAMS, T0, USD, Venue

pytestmark = pytest.mark.node

ALICE, BOB = 100, 101
RELAYER = KEEPERS[0]
DEPTH = FAST.finality_depth_l1_blocks
PLENTY = 400_000
ETHER = 10**18
ZERO = "0x" + "00" * 20


class TwoChains:
    """L1 with its bridge, and L2 that sees whichever block of L1 a test shows it."""

    def __init__(self, l1: IpcClient, l2: Venue) -> None:
        self.l1 = l1
        self.l2 = l2
        self.at = l2.at
        self._nonces: dict[int, int] = {}

    def on_l1(self, who: int, data: bytes, to: str = "l1_bridge") -> tuple[br.Message, ...]:
        """Mine one L1 transaction that must succeed; the messages it sent."""
        nonce = self._nonces.get(who, 0)
        self._nonces[who] = nonce + 1
        raw = sign_transaction(account(who).key, chain_id=L1_CHAIN_ID, nonce=nonce, to=self.at[to], data=data, gas=GAS)
        sent = self.l1.call("eth_sendRawTransaction", "0x" + raw.hex())
        self.blocks(1)
        receipt = self.l1.call("eth_getTransactionReceipt", sent)
        assert receipt["status"] == "0x1"
        logs = [Log(item["address"], tuple(item["topics"]), bytes.fromhex(item["data"][2:])) for item in receipt["logs"]]
        return tuple(found for log in logs if (found := br.sent_message(log, self.at)) is not None)

    def send(self, who: int, value: int, *, gas: int = PLENTY, target: str | None = None,
             payload: bytes = b"") -> br.Message:
        (message,) = self.on_l1(who, br.encode_send(target or account(who).address, value, gas, payload))
        return message

    def to_vault(self, who: int, value: int, *, gas: int = PLENTY) -> br.Message:
        return self.send(who, value, gas=gas, target=self.at["vault_deposits"], payload=b"\x01")

    def blocks(self, count: int) -> None:
        for _ in range(count):
            self.l1.call("evm_mine", {"timestamp": T0 + 3 * (self.head + 1), "blocks": 1})

    @property
    def head(self) -> int:
        return int(self.l1.call("eth_blockNumber"), 16)

    def show(self, number: int | None = None, hash_: str | None = None) -> None:
        """L2's next block has that L1 block as its origin; its newest by default."""
        number = self.head if number is None else number
        block = self.l1.call("eth_getBlockByNumber", hex(number), False)
        origin = L1Origin(number, Hash(hash_ or block["hash"]), int(block["timestamp"], 16))
        self.l2.client.call("anvil_impersonateAccount", DEPOSITOR)
        data = ex.encode_set_l1_block(origin)
        request = {"from": DEPOSITOR, "to": self.at["l1_info"], "data": "0x" + data.hex(), "gas": hex(GAS),
                   "maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0"}
        assert self.l2._mine(("eth_sendTransaction", [request]), request).error == ""

    def proof(self, id: Hash, number: int) -> br.Proof:
        found = self.l1.call("eth_getProof", self.at["l1_bridge"], [br.sent_at_key(id)], hex(number))
        header = header_rlp(self.l1.call("eth_getBlockByNumber", hex(number), False))
        return br.Proof(header, _bytes(found["accountProof"]), _bytes(found["storageProof"][0]["proof"]))

    def prove(self, message: br.Message, number: int | None = None) -> str:
        number = self.head if number is None else number
        return self.l2.send(RELAYER, "bridge_inbox", br.encode_prove(message.id, number, self.proof(message.id, number))).error

    def execute(self, message: br.Message) -> Any:
        return self.l2.send(RELAYER, "bridge_inbox", br.encode_execute(message))

    def proven(self, message: br.Message) -> br.Message:
        """Final and proven; only its execution is missing."""
        self.blocks(DEPTH)
        self.show()
        assert self.prove(message) == ""
        return message

    def tokens(self, who: int) -> int:
        return ex.decode_balance(self.l2.call("collateral_token", ex.encode_balance_of(account(who).address)))

    def look(self, message: br.Message) -> br.Look:
        return br.decode_look(self.l2.call("bridge_inbox", br.encode_look([message.id])))


def _bytes(nodes: list[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(node[2:]) for node in nodes)


@pytest.fixture
def chains() -> Iterator[TwoChains]:
    people = [account(index).address for index in (ALICE, BOB)]
    genesis = build_genesis(GenesisSpec(
        params=PARAMS, assets=(AssetTerms("ETH"),), owner=account(OWNER).address, reporters=(account(30).address,),
        l1_tokens=dict.fromkeys(people, 1_000_000 * USD), l1_balances=dict.fromkeys(people, 10 * ETHER),
    ))
    specs = (ChainSpec(L1_CHAIN_ID, T0 - 1, 30_000_000, genesis.l1_file, ChainKind.L1),
             ChainSpec(CHAIN, T0 - 1, 30_000_000, genesis.l2_file))
    nodes = [AnvilProcess(spec, name=spec.kind, binary=anvil_binary()) for spec in specs]
    clients = [IpcClient(node.socket_path, timeout_s=10) for node in nodes]
    try:
        for node, client in zip(nodes, clients, strict=True):
            node.start()
            node.wait_until_ready(client)
        found = TwoChains(clients[0], Venue(clients[1], dict(genesis.deployment.to_json())))
        found.blocks(3)
        found.show()
        yield found
    finally:
        for node, client in zip(nodes, clients, strict=True):
            client.close()
            node.close()


def test_what_is_locked_on_l1_is_minted_once_on_l2(chains: TwoChains) -> None:
    """B1 and B3: a second execution is refused, and so is a second proof."""
    message = chains.send(ALICE, 25 * USD)
    assert br.message_id(message, source=L1_CHAIN_ID, destination=CHAIN) == message.id
    chains.proven(message)
    done = chains.execute(message)
    assert done.error == ""
    assert done.one("MessageExecuted") == {
        "id": message.id, "nonce": 1, "sender": account(ALICE).address, "target": account(ALICE).address,
        "value": 25 * USD, "sentAt": 4,
    }  # fmt: skip
    assert chains.tokens(ALICE) == 25 * USD
    assert chains.look(message).statuses == (br.DELIVERED,)
    assert chains.execute(message).error == f"AlreadyDelivered(id={message.id})"
    assert chains.prove(message) == f"AlreadyProven(id={message.id},sentAt=4)"
    assert chains.tokens(ALICE) == 25 * USD


def test_a_call_credits_the_senders_account_on_the_venue(chains: TwoChains) -> None:
    message = chains.proven(chains.to_vault(ALICE, 25 * USD))
    done = chains.execute(message)
    assert done.one("Deposited") == {"account": account(ALICE).address, "amount": 25 * USD}
    assert chains.l2.ask("vault", "cash", account(ALICE).address) == (25 * 10**18,)
    assert chains.tokens(ALICE) == 0


def test_the_last_block_before_finality_is_refused_and_the_next_is_not(chains: TwoChains) -> None:
    """B2, to the block: a message of L1 block b is executed from the origin b + F on."""
    message = chains.send(ALICE, USD)
    chains.show()
    assert chains.prove(message) == ""
    chains.blocks(DEPTH - 1)
    chains.show()
    assert chains.execute(message).error == f"NotFinal(id={message.id},sentAt=4,seen={3 + DEPTH})"
    chains.blocks(1)
    chains.show()
    assert chains.execute(message).error == ""


def test_what_nobody_proved_is_not_executed(chains: TwoChains) -> None:
    """B4: the default of a mapping is no proof, neither of a message that was sent nor of one that was not."""
    message = chains.send(ALICE, USD)
    chains.blocks(DEPTH)
    chains.show()
    assert chains.execute(message).error == f"NotProven(id={message.id})"
    forged = replace(message, target=account(BOB).address, value=10**12)
    chains.prove(message)
    wanted = br.message_id(forged, source=L1_CHAIN_ID, destination=CHAIN)
    assert chains.execute(forged).error == f"NotProven(id={wanted})"
    assert chains.tokens(BOB) == 0


@pytest.mark.parametrize("wrong", [
    {"nonce": 2}, {"nonce": 0}, {"sender": ZERO}, {"target": account(BOB).address}, {"value": USD + 1}, {"gas": PLENTY + 1},
    {"payload": b"\x01"},
], ids=lambda wrong: next(iter(wrong)))
def test_no_field_of_a_message_can_be_changed(chains: TwoChains, wrong: dict[str, Any]) -> None:
    message = chains.proven(chains.send(ALICE, USD))
    assert chains.execute(replace(message, **wrong)).error.startswith("NotProven(")
    assert chains.execute(message).error == ""


def test_a_block_that_l2_has_not_seen_or_has_forgotten_proves_nothing(chains: TwoChains) -> None:
    """The hash of such a block is 0 on L2, and 0 is the hash of nothing (B4)."""
    message = chains.send(ALICE, USD)
    seen = chains.head
    assert chains.prove(message) == f"UnknownL1Block(number={seen})"
    assert chains.prove(message, seen - 3) == "UnknownL1Block(number=1)"
    chains.show()
    chains.blocks(64)
    for number in range(seen + 1, seen + 65):
        chains.show(number)
    assert chains.prove(message, seen) == f"UnknownL1Block(number={seen})"
    assert chains.prove(message, seen + 1) == ""


def test_another_blocks_header_and_another_messages_proof_are_refused(chains: TwoChains) -> None:
    first, second = chains.send(ALICE, USD), chains.send(BOB, USD)
    chains.show()
    number = chains.head
    good, other = chains.proof(first.id, number), chains.proof(second.id, number)
    inbox, older = "bridge_inbox", chains.proof(first.id, number - 1)

    def refusal(proof: br.Proof) -> str:
        return chains.l2.send(RELAYER, inbox, br.encode_prove(first.id, number, proof)).error

    assert refusal(older).startswith("WrongHeader(")
    assert refusal(replace(good, header=b"")).startswith("WrongHeader(")
    assert refusal(replace(good, slot=other.slot)).startswith("TrieProofTraversalError(")
    assert refusal(replace(good, account=())).startswith("TrieProofTraversalError(")
    assert refusal(replace(good, slot=())).startswith("TrieProofTraversalError(")
    assert refusal(replace(good, account=older.account)).startswith("TrieProofTraversalError(")
    assert refusal(good) == ""


def test_a_slot_that_was_read_before_the_message_was_sent_proves_that_it_was_not(chains: TwoChains) -> None:
    """A node keeps a slot that was only read as a leaf of 0: inclusion of 0 is not inclusion of a message."""
    chains.send(BOB, USD)
    id = br.message_id(br.Message(Hash(""), 2, account(ALICE).address, account(ALICE).address, USD, PLENTY, b""),
                       source=L1_CHAIN_ID, destination=CHAIN)
    chains.on_l1(BOB, chains.l2.raw("l1_bridge", "sentAt", bytes.fromhex(id[2:])))
    read = chains.head
    message = chains.send(ALICE, USD)
    assert message.id == id
    chains.show(read)
    assert chains.proof(id, read).slot[-1].endswith(b"\x80")
    assert chains.prove(message, read) == f"NotSent(id={id})"
    chains.show(read - 1)
    assert chains.prove(message, read - 1) == "RLPInvalidEncoding()"
    chains.show()
    assert chains.prove(message) == ""


def test_a_failed_call_loses_nothing_and_anybody_may_try_again(chains: TwoChains) -> None:
    """B6: too little gas for the deposit; nothing is minted, and the next attempt has what it is given."""
    message = chains.proven(chains.to_vault(ALICE, 25 * USD, gas=80_000))
    failed = chains.execute(message)
    assert failed.error == ""
    assert [event.name for event in failed.events] == ["MessageFailed"]
    assert chains.look(message).statuses == (br.FAILED,)
    assert chains.l2.ask("collateral_token", "totalSupply") == (0,)
    again = chains.execute(message)
    assert again.one("MessageExecuted")["value"] == 25 * USD
    assert chains.l2.ask("vault", "cash", account(ALICE).address) == (25 * 10**18,)
    assert chains.l2.ask("collateral_token", "totalSupply") == (25 * USD,)
    assert chains.execute(message).error == f"AlreadyDelivered(id={message.id})"


def test_a_target_without_code_or_without_the_function_fails_and_keeps_its_tokens_safe(chains: TwoChains) -> None:
    for target in (account(BOB).address, chains.at["collateral_token"], chains.at["bridge_inbox"], chains.at["vault"]):
        message = chains.proven(chains.send(ALICE, USD, target=target, payload=b"\x01"))
        assert [event.name for event in chains.execute(message).events] == ["MessageFailed"]
    assert chains.l2.ask("collateral_token", "totalSupply") == (0,)


def test_a_relayer_cannot_make_a_message_fail_by_giving_too_little_gas(chains: TwoChains) -> None:
    message = chains.proven(chains.send(ALICE, USD))
    request = {"from": account(RELAYER).address, "to": chains.at["bridge_inbox"], "gas": hex(PLENTY + 60_000),
               "data": "0x" + br.encode_execute(message).hex()}
    assert chains.l2._reason(request).startswith("GasTooLow(left=")


@pytest.mark.parametrize(("target", "gas", "payload", "error"), [
    (ZERO, PLENTY, b"", "NoTarget()"),
    (account(BOB).address, 79_999, b"", "GasOutOfRange(gas=79999,least=80000,most=5000000)"),
    (account(BOB).address, 5_000_001, b"", "GasOutOfRange(gas=5000001,least=80000,most=5000000)"),
    (account(BOB).address, PLENTY, bytes(1_025), "PayloadTooLong(length=1025,most=1024)"),
])  # fmt: skip
def test_bad_messages_are_refused_on_l1(chains: TwoChains, target: str, gas: int, payload: bytes, error: str) -> None:
    data = br.encode_send(target, USD, gas, payload)
    request = {"from": account(ALICE).address, "to": chains.at["l1_bridge"], "data": "0x" + data.hex()}
    with pytest.raises(Exception) as caught:
        chains.l1.call("eth_call", request, "latest")
    assert ex.explain_revert(bytes.fromhex(str(caught.value.data)[2:])) == error  # type: ignore[attr-defined]


@pytest.mark.parametrize(("contract", "function", "arguments", "error"), [
    ("collateral_token", "bridgeMint", (ZERO, 1), "NotBridge"),
    ("vault", "depositFor", (ZERO, 1), "NotVaultDeposits"),
    ("vault_deposits", "onMessage", (bytes(32), ZERO, 1, b""), "NotBridge"),
    ("bridge_inbox", "perform", (bytes(32), (1, ZERO, ZERO, 1, PLENTY, b"")), "NotInbox"),
])  # fmt: skip
def test_nobody_else_may_do_what_the_bridge_does(chains: TwoChains, contract: str, function: str, arguments: Any,
                                                 error: str) -> None:
    outcome = chains.l2.send(RELAYER, contract, chains.l2.raw(contract, function, *arguments))
    assert outcome.error == f"{error}(caller={account(RELAYER).address})"
