"""The bridge's calls and answers on both chains, typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.evm.keccak import keccak
from harness.rollup.blocks import Hash, Log
from harness.venue.deployment import interfaces
from harness.venue.exchange import decode_log

SENT_AT_SLOT: Final = 0
"""Of `Bridge.sentAt` on L1; contracts/l1/BridgeMessage.sol."""
MESSAGE_VERSION: Final = 1
NONE, DELIVERED, FAILED = range(3)
"""`BridgeInbox.Status`."""


@dataclass(frozen=True, slots=True)
class Message:
    """What an L1 account asked for, as `MessageSent` tells it."""

    id: Hash
    nonce: int
    sender: str
    target: str
    value: int              # native units
    gas: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """What a relayer needs to know of L2."""

    statuses: tuple[int, ...]    # of each message asked for: NONE, DELIVERED or FAILED
    proven_at: tuple[int, ...]   # L1 block of each; 0 while nobody has proved it
    l1_number: int               # the newest L1 block that L2 knows
    l1_hash: Hash


@dataclass(frozen=True, slots=True)
class Proof:
    """That a slot of L1's bridge has a value in the state of one L1 block."""

    header: bytes
    account: tuple[bytes, ...]
    slot: tuple[bytes, ...]


def message_id(message: Message, *, source: int, destination: int) -> Hash:
    """The id that the contracts give a message between two chains, whatever it says its id is."""
    numbers = (
        MESSAGE_VERSION, source, destination, message.nonce, int(message.sender, 16), int(message.target, 16),
        message.value, message.gas,
    )  # fmt: skip
    words = b"".join(number.to_bytes(32, "big") for number in numbers)
    return Hash("0x" + keccak(words + keccak(message.payload)).hex())


def sent_at_key(id: Hash) -> str:
    """The storage key of `sentAt[id]`, as `eth_getProof` wants it."""
    return "0x" + keccak(bytes.fromhex(id[2:]) + SENT_AT_SLOT.to_bytes(32, "big")).hex()


def encode_send(target: str, value: int, gas: int, payload: bytes) -> bytes:
    """To L1's bridge, by who has allowed it the tokens."""
    return _encode("l1_bridge", "send", target, value, gas, payload)


def encode_prove(id: Hash, l1_number: int, proof: Proof) -> bytes:
    return _encode("bridge_inbox", "prove", bytes.fromhex(id[2:]), l1_number, proof.header, list(proof.account),
                   list(proof.slot))


def encode_execute(message: Message) -> bytes:
    fields = (message.nonce, message.sender, message.target, message.value, message.gas, message.payload)
    return _encode("bridge_inbox", "execute", fields)


def encode_look(ids: Sequence[Hash]) -> bytes:
    return _encode("bridge_inbox", "look", [bytes.fromhex(id[2:]) for id in ids])


def decode_look(data: bytes) -> Look:
    statuses, proven_at, number, name = interfaces()["bridge_inbox"].decode_result("look", data)
    return Look(tuple(statuses), tuple(proven_at), number, Hash("0x" + name.hex()))


def sent_message(log: Log, deployment: Mapping[str, Any]) -> Message | None:
    """The message that a log of L1's bridge tells of; None where it is another log."""
    event = decode_log(log, deployment)
    if event is None or event.name != "MessageSent":
        return None
    args = event.args
    return Message(Hash(args["id"]), args["nonce"], args["sender"], args["target"], args["value"], args["gas"],
                   bytes.fromhex(args["payload"][2:]))


def _encode(contract: str, function: str, *arguments: Any) -> bytes:
    return interfaces()[contract].encode_call(function, *arguments)
