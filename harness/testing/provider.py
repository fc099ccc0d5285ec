"""web3 over a network in virtual time: a request runs the network until it is answered."""

from __future__ import annotations

from typing import Any, cast

import orjson
from web3 import Web3
from web3.providers import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from harness.testing.sim_network import SimNetwork

REQUEST_S = 0.02
"""Virtual time a request takes, so that a loop that asks until something is there comes to an end."""
RECEIPT_S_MAX = 10.0
"""How long the answer to `eth_getTransactionReceipt` waits for one: clients sleep for real between two tries."""


class SimProvider(BaseProvider):
    """Asks one node, or the first one that runs."""

    def __init__(self, network: SimNetwork, role: str | None = None) -> None:
        super().__init__()
        self._network = network
        self._role = role
        self._number = 0

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        self._network.advance(REQUEST_S)
        answer = self._ask(method, params)
        if method == "eth_getTransactionReceipt" and answer.get("result") is None and "error" not in answer:
            found = self._network.wait_until(
                lambda: self._with_result(method, params), within=RECEIPT_S_MAX, step=0.1
            )
            answer = found or answer
        return answer

    def is_connected(self, show_traceback: bool = False) -> bool:
        return bool(self._network.nodes())

    def _with_result(self, method: str, params: Any) -> RPCResponse | None:
        answer = self._ask(method, params)
        return None if answer.get("result") is None and "error" not in answer else answer

    def _ask(self, method: str, params: Any) -> RPCResponse:
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": list(params or ())}
        raw = self._network.rpc(orjson.dumps(request, default=_plain), role=self._role)
        return cast(RPCResponse, orjson.loads(raw or b"{}"))


def _plain(value: Any) -> Any:
    """What web3 puts into parameters that JSON does not know."""
    if isinstance(value, bytes | bytearray):
        return "0x" + bytes(value).hex()
    if hasattr(value, "items"):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot go into a JSON-RPC request")


def sim_web3(network: SimNetwork, role: str | None = None) -> Web3:
    """A web3 whose transactions from the network's unlocked accounts need no key."""
    return Web3(SimProvider(network, role))
