"""A chain nobody else drives, on which a user's contracts are created for real; its state becomes a genesis."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import orjson

from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import ConnectionLost, IpcClient, RpcError
from harness.anvil.spec import ChainSpec
from harness.evm.abi import ErrorType, decode_error
from harness.ports import EngineFailure
from harness.toolchain import anvil_binary
from harness.venue.deployment import all_errors

_GAS: Final = 30_000_000
_TIMEOUT_S: Final = 30.0
_CREATED_BYTES_MAX: Final = 24_576
"""EIP-170, which the network's nodes hold to."""


class TransactionFailed(Exception):
    """A transaction was refused or reverted; the message is the reason, decoded."""


@dataclass(frozen=True, slots=True)
class ChainState:
    """Accounts worth keeping, as genesis `alloc` entries by lower-case address."""

    contracts: dict[str, dict[str, Any]]
    nonces: dict[str, int]
    balances: dict[str, int]


class ScratchChain:
    """Use it as a context manager: the node ends with the block."""

    def __init__(self, *, chain_id: int, timestamp: int, genesis_file: Path | None) -> None:
        """`timestamp` is what the first transaction's block has at least; each further one is a second later."""
        spec = ChainSpec(chain_id=chain_id, genesis_timestamp=timestamp, gas_limit=2 * _GAS, genesis_file=genesis_file)
        self.errors: dict[bytes, ErrorType] = dict(all_errors())
        """How revert reasons are read; users add their own."""
        self._timestamp = timestamp
        self._node = AnvilProcess(spec, name="scratch", binary=anvil_binary())
        self._client = IpcClient(self._node.socket_path, timeout_s=_TIMEOUT_S)
        self._strangers: frozenset[str] = frozenset()

    def __enter__(self) -> ScratchChain:
        """Raises EngineFailure."""
        try:
            self._node.start()
            self._node.wait_until_ready(self._client)
            self._client.call("anvil_autoImpersonateAccount", True)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._node.close()

    def give(self, address: str, wei: int) -> None:
        self._call("anvil_setBalance", address, hex(wei))

    def transact(self, sender: str, to: str | None, data: bytes, value: int = 0) -> str | None:
        """Execute one transaction in a block of its own; the address it created, if it was to create one.

        Raises:
            TransactionFailed: refused or reverted, with the decoded reason.
        """
        request = {
            "from": sender, "data": "0x" + data.hex(), "value": hex(value), "gas": hex(_GAS), "maxFeePerGas": "0x0",
            "maxPriorityFeePerGas": "0x0", **({} if to is None else {"to": to}),
        }  # fmt: skip
        self._timestamp += 1
        sent, _ = self._batch(
            [("eth_sendTransaction", [request]), ("evm_mine", [{"timestamp": self._timestamp, "blocks": 1}])]
        )
        if isinstance(sent, RpcError):
            raise TransactionFailed(self._explained(sent))
        receipt = self._call("eth_getTransactionReceipt", sent)
        if not isinstance(receipt, dict) or receipt["status"] != "0x1":
            raise TransactionFailed(self._reason(request))
        if to is not None:
            return None
        address = str(receipt["contractAddress"]).lower()
        size = (len(self._call("eth_getCode", address, "latest")) - 2) // 2
        if size > _CREATED_BYTES_MAX:
            raise TransactionFailed(f"its code has {size} bytes, more than EIP-170's {_CREATED_BYTES_MAX}")
        return address

    def view(self, to: str, data: bytes) -> bytes:
        """Raises TransactionFailed when the call reverts."""
        try:
            answer = self._call("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest")
        except RpcError as error:
            raise TransactionFailed(self._explained(error)) from None
        return bytes.fromhex(str(answer)[2:])

    def state(self, people: Collection[str]) -> ChainState:
        """All contracts there are, and nonce and balance of these people."""
        dump = orjson.loads(gzip.decompress(bytes.fromhex(self._call("anvil_dumpState")[2:])))
        contracts: dict[str, dict[str, Any]] = {}
        nonces: dict[str, int] = {}
        balances: dict[str, int] = {}
        for address, account in sorted(dump["accounts"].items()):
            name = address.lower()
            if account["code"] not in ("", "0x"):
                contracts[name] = {
                    "balance": account["balance"],
                    "nonce": hex(int(str(account["nonce"]), 0)),
                    "code": account["code"],
                    "storage": {
                        _word(slot): _word(value)
                        for slot, value in sorted(account["storage"].items())
                        if int(value, 16) != 0
                    },
                }
            elif name in people:
                nonces[name] = int(str(account["nonce"]), 0)
                balances[name] = int(str(account["balance"]), 0)
        return ChainState(contracts, nonces, balances)

    def _call(self, method: str, *params: Any) -> Any:
        answer = self._batch([(method, list(params))])[0]
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def _batch(self, calls: list[tuple[str, list[Any]]]) -> list[Any]:
        try:
            return self._client.batch(calls)
        except ConnectionLost as error:
            raise EngineFailure(f"{self._node.how_it_died()} ({error})") from error

    def _reason(self, request: dict[str, str]) -> str:
        with contextlib.suppress(KeyError):
            try:
                self._call("eth_call", request, "latest")
            except RpcError as error:
                return self._explained(error)
        return "asked again it succeeds: it ran out of gas, or depends on the block it is in"

    def _explained(self, error: RpcError) -> str:
        data = error.data if isinstance(error.data, str) and error.data.startswith("0x") else ""
        if len(data) > 2:
            return decode_error(bytes.fromhex(data[2:]), self.errors)
        return error.message


def _word(number: str) -> str:
    return f"0x{int(number, 16):064x}"
