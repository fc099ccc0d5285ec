"""Bad input to the bridge: what locks on L1, what believes and mints on L2, what deposits for a sender."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from harness.evm.accounts import OWNER
from harness.evm.keccak import keccak
from harness.rollup.blocks import Hash
from harness.solidity.deploy import NOBODY
from harness.venue.bridge import Message, message_id
from harness.venue.deployment import DEPOSITOR
from tests.contracts.bad_input.cases_money import ANY_ADDRESS, erc20, mint, name, owned, plain
from tests.contracts.bad_input.stage import BOB, CAROL, Attempt, Stage
from tests.contracts.bad_input.table import NO_DATA, OK, OVERFLOW, Arguments, Case
from tests.contracts.conftest import CHAIN, USD

L1_CHAIN = 900                  # of the stage's genesis
L1_BLOCK = 95                   # one that L2 is told of
ID = b"\x1d" * 32
EMPTY_LIST = b"\xc0"            # the shortest RLP list: a header without fields

_NO_ROOT = "FieldNotPresentInBlockHeader"
_ANY_WORD = (OK, OK)
_NO_MATTER_WHICH = (OK, OK, OK)
_NOT_THAT_ONE = ("NotProven", "NotProven", "NotProven")


def bridged(stage: Stage, *, nonce: int = 5, gas: int = 700_000) -> Message:
    """Carol sends a dollar to her account on the venue."""
    return Message(id=Hash("0x" + "00" * 32), nonce=nonce, sender=name(CAROL), target=stage.at["vault_deposits"],
                   value=USD, gas=gas, payload=b"to my account")  # fmt: skip


def id_of(message: Message) -> bytes:
    return bytes.fromhex(message_id(message, source=L1_CHAIN, destination=CHAIN)[2:])


def say_proven(stage: Stage, id_: bytes, l1_block: int) -> None:
    """As if it had been proven: to prove is another test's business."""
    slot = keccak(id_ + (1).to_bytes(32, "big"))
    stage.client.call("anvil_setStorageAt", stage.at["bridge_inbox"], "0x" + slot.hex(), f"0x{l1_block:064x}")
    assert stage.ask("bridge_inbox", "provenAt", id_) == (l1_block,)


def proven(stage: Stage) -> None:
    """Carol's message is, and final."""
    say_proven(stage, id_of(bridged(stage)), 1)


def a_dollar_arrived(stage: Stage) -> None:
    """The receiver on L2 has a dollar that it is about to deposit."""
    data = stage.call_of("collateral_token", "bridgeMint", stage.at["vault_deposits"], USD)
    assert stage.attempt(Attempt("", "bridge_inbox", "collateral_token", data)).error == ""


def heard_of(header: bytes) -> Any:
    """A scene in which L2 knows an L1 block of this header."""

    def scene(stage: Stage) -> None:
        data = stage.call_of("l1_info", "setL1Block", L1_BLOCK, keccak(header), stage.now, False)
        assert stage.attempt(Attempt("", DEPOSITOR, "l1_info", data)).error == ""
        stage.system()

    return scene


def message_arguments(stage: Stage) -> Arguments:
    return (astuple(bridged(stage))[1:],)


_INBOX: dict[str, Any] = {"only": ("bridge_inbox",), "foreign": "NotBridge", "moves_tokens": True}
_EDGES = {
    "message.nonce": _NO_MATTER_WHICH, "message.sender": ANY_ADDRESS,
    "message.target": ("ERC20InvalidReceiver", NO_DATA),
    "message.value": (OK, OK, OVERFLOW), "message.gas": _NO_MATTER_WHICH, "message.payload": (OK, OK),
}

ON_L1 = [
    *owned("l1_token"), *erc20("l1_token", CAROL, USD), mint("l1_token"),
    # On L1 nobody is the bridge.
    Case("l1_token.bridgeMint(address,uint256)", NOBODY, plain(name(BOB), USD), only=(NOBODY,), foreign="NotBridge",
         moves_tokens=True, edges={"to": ("ERC20InvalidReceiver", OK), "amount": (OK, OK, OVERFLOW)}),
    Case("l1_bridge.send(address,uint256,uint64,bytes)", CAROL, plain(name(BOB), USD, 100_000, b""),
         foreign="ERC20InsufficientAllowance", moves_tokens=True, edges={
             "target": ("NoTarget", OK), "value": (OK, OK, "ERC20InsufficientBalance"),
             "gas": ("GasOutOfRange",) * 3, "payload": (OK, OK)}),
]  # fmt: skip

ON_L2 = [
    Case("collateral_token.bridgeMint(address,uint256)", "bridge_inbox", plain(name(BOB), USD), **_INBOX,
         edges={"to": ("ERC20InvalidReceiver", OK), "amount": (OK, OK, OVERFLOW)}),
    Case("bridge_inbox.prove(bytes32,uint64,bytes,bytes[],bytes[])", CAROL,
         plain(ID, L1_BLOCK, EMPTY_LIST, [b""], [b""]), base=_NO_ROOT, foreign=_NO_ROOT, scene=heard_of(EMPTY_LIST),
         edges={"id": (_NO_ROOT,) * 2, "l1Number": ("UnknownL1Block",) * 3, "header": ("WrongHeader",) * 2,
                "account": (_NO_ROOT,), "slot": (_NO_ROOT,)}),
    # Another message is nobody's: each field is part of its id.
    Case("bridge_inbox.execute((uint64,address,address,uint256,uint64,bytes))", CAROL, message_arguments, scene=proven,
         moves_tokens=True, edges={
             "message.nonce": _NOT_THAT_ONE, "message.sender": _NOT_THAT_ONE[:2], "message.target": _NOT_THAT_ONE[:2],
             "message.value": _NOT_THAT_ONE, "message.gas": _NOT_THAT_ONE, "message.payload": _NOT_THAT_ONE[:2]}),
    Case("bridge_inbox.perform(bytes32,(uint64,address,address,uint256,uint64,bytes))", "bridge_inbox",
         lambda stage: (ID, *message_arguments(stage)), only=("bridge_inbox",), foreign="NotInbox", moves_tokens=True,
         edges={"id": _ANY_WORD} | _EDGES),
    Case("vault_deposits.onMessage(bytes32,address,uint256,bytes)", "bridge_inbox", plain(ID, name(CAROL), USD, b""),
         **_INBOX, scene=a_dollar_arrived, edges={
             "0": _ANY_WORD, "sender": ANY_ADDRESS, "value": (OK, OK, OVERFLOW), "3": (OK, OK)}),
    Case("vault.depositFor(address,uint256)", "vault_deposits", plain(name(CAROL), USD), only=("vault_deposits",),
         foreign="NotVaultDeposits", moves_tokens=True, scene=a_dollar_arrived,
         edges={"account": ANY_ADDRESS, "amount": (OK, OK, OVERFLOW)}),
]  # fmt: skip

CASES = [*ON_L1, *ON_L2]


def deploy_l1_tokens(stage: Stage) -> None:
    """An owner, and tokens of Carol's that the bridge may take."""
    token = stage.at["l1_token"]
    owner_slot = "0x" + (5).to_bytes(32, "big").hex()
    stage.client.call("anvil_setStorageAt", token, owner_slot, "0x" + name(OWNER)[2:].rjust(64, "0"))
    assert stage.ask("l1_token", "owner") == (name(OWNER),)
    stage.ok(OWNER, "l1_token", stage.raw("l1_token", "mint", name(CAROL), 10**6 * USD))
    stage.ok(CAROL, "l1_token", stage.raw("l1_token", "approve", stage.at["l1_bridge"], 2**256 - 1))
