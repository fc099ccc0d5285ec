"""Call objects and state overrides: parsed, their gas capped, and written again for the execution node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.ports import Json
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.faults import invalid

ACCESS_LIST_MAX: Final = 1_024
OVERRIDES_MAX: Final = 256
SLOTS_MAX: Final = 4_096

_FIELDS: Final = frozenset({
    "from", "to", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "value", "data", "input", "nonce",
    "chainId", "type", "accessList",
    # Sent by some libraries and of no consequence here: there are no blobs and no authorizations.
    "maxFeePerBlobGas", "blobVersionedHashes", "authorizationList", "gasLimit",
})  # fmt: skip
_OVERRIDES: Final = frozenset({"balance", "nonce", "code", "state", "stateDiff", "movePrecompileToAddress"})


@dataclass(frozen=True, slots=True)
class CallObject:
    """A transaction as a client describes it, unsigned. None: not given."""

    sender: str | None
    to: str | None
    gas: int | None
    gas_price: int | None
    max_fee: int | None
    max_priority_fee: int | None
    value: int
    data: bytes
    nonce: int | None
    access_list: list[dict[str, Any]] | None

    def to_node(self, *, gas_cap: int) -> dict[str, Any]:
        """As the node takes it, with a gas limit no larger than the cap."""
        message: dict[str, Any] = {"gas": hex(min(self.gas or gas_cap, gas_cap)), "data": f"0x{self.data.hex()}"}
        given: Mapping[str, int | None] = {
            "gasPrice": self.gas_price,
            "maxFeePerGas": self.max_fee,
            "maxPriorityFeePerGas": self.max_priority_fee,
            "nonce": self.nonce,
            "value": self.value or None,
        }
        message |= {key: hex(number) for key, number in given.items() if number is not None}
        if self.sender is not None:
            message["from"] = self.sender
        if self.to is not None:
            message["to"] = self.to
        if self.access_list is not None:
            message["accessList"] = self.access_list
        return message


def call_object(value: Json, name: str) -> CallObject:
    """Parse a call object. Raises `RpcFault`."""
    found = {key: each for key, each in values.mapping(value, name).items() if each is not None}
    values.known_keys(found, name, _FIELDS)

    def get(key: str, parse: Callable[[Json, str], Any]) -> Any:
        return parse(found[key], f"{name}.{key}") if key in found else None

    payload, also = get("input", values.data), get("data", values.data)
    if payload is not None and also is not None and payload != also:
        raise invalid(f"{name} has both data and input, and they differ; give one")
    price, max_fee, priority = (
        get(key, values.quantity) for key in ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas")
    )
    if price is not None and (max_fee is not None or priority is not None):
        raise invalid(f"{name} has both gasPrice and maxFeePerGas or maxPriorityFeePerGas; give one kind")
    if max_fee is not None and priority is not None and priority > max_fee:
        raise invalid(f"{name}.maxPriorityFeePerGas {priority} is above maxFeePerGas {max_fee}")
    to = None if found.get("to") in (None, "0x", "") else get("to", values.address)
    return CallObject(
        sender=get("from", values.address),
        to=to,
        gas=get("gas", values.small) if "gas" in found else get("gasLimit", values.small),
        gas_price=price,
        max_fee=max_fee,
        max_priority_fee=priority,
        value=get("value", values.quantity) or 0,
        data=payload if payload is not None else also if also is not None else b"",
        nonce=get("nonce", values.small),
        access_list=get("accessList", values.array(_access, at_most=ACCESS_LIST_MAX)),
    )


def _access(value: Json, name: str) -> dict[str, Any]:
    found = values.mapping(value, name)
    keys = values.array(values.hash32, at_most=ACCESS_LIST_MAX)
    return {
        "address": values.address(found.get("address"), f"{name}.address"),
        "storageKeys": keys(found.get("storageKeys", []), f"{name}.storageKeys"),
    }


def state_overrides(value: Json, name: str) -> dict[str, Any]:
    """Parse the overrides of `eth_call`: address → what its account pretends to be. Raises `RpcFault`."""
    found = values.mapping(value, name)
    if len(found) > OVERRIDES_MAX:
        raise invalid(f"{name} has {len(found)} accounts; at most {OVERRIDES_MAX} are taken")
    return {values.address(key, f"{name} key"): _override(each, f"{name}[{key}]") for key, each in found.items()}


def _override(value: Json, name: str) -> dict[str, Any]:
    found = {key: each for key, each in values.mapping(value, name).items() if each is not None}
    values.known_keys(found, name, _OVERRIDES)
    account: dict[str, Any] = {}
    if "balance" in found:
        account["balance"] = hex(values.quantity(found["balance"], f"{name}.balance"))
    if "nonce" in found:
        account["nonce"] = hex(values.small(found["nonce"], f"{name}.nonce"))
    if "code" in found:
        account["code"] = f"0x{values.data(found['code'], f'{name}.code').hex()}"
    if "movePrecompileToAddress" in found:
        raise invalid(f"{name}.movePrecompileToAddress is not offered here")
    for key in ("state", "stateDiff"):
        if key in found:
            slots = values.mapping(found[key], f"{name}.{key}")
            if len(slots) > SLOTS_MAX:
                raise invalid(f"{name}.{key} has {len(slots)} slots; at most {SLOTS_MAX} are taken")
            account[key] = {
                values.hash32(slot, f"{name}.{key} key"): values.hash32(word, f"{name}.{key}[{slot}]")
                for slot, word in slots.items()
            }
    if "state" in account and "stateDiff" in account:
        raise invalid(f"{name} has both state and stateDiff; give one")
    return account
