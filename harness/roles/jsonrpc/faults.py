"""JSON-RPC errors as clients know them: the codes of JSON-RPC 2.0, of EIP-1474 and of geth."""

from __future__ import annotations

from typing import Any, Final

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000
"""Geth's for everything the chain says no to; wallets tell these apart by their message."""
RESOURCE_UNAVAILABLE: Final = -32002
TRANSACTION_REJECTED: Final = -32003
NOT_SUPPORTED: Final = -32004
LIMIT_EXCEEDED: Final = -32005
REVERTED: Final = 3


class RpcFault(Exception):
    """An error object for the client: what happened, with which value, what to do."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data

    def to_json(self) -> dict[str, Any]:
        error = {"code": self.code, "message": self.message}
        return error if self.data is None else {**error, "data": self.data}


def invalid(message: str) -> RpcFault:
    """A parameter is not what its method takes."""
    return RpcFault(INVALID_PARAMS, message)


def refused(message: str) -> RpcFault:
    """The chain says no."""
    return RpcFault(SERVER_ERROR, message)


def limited(message: str) -> RpcFault:
    """More than one client may ask of a node at once."""
    return RpcFault(LIMIT_EXCEEDED, message)


def unsupported(message: str) -> RpcFault:
    """A method that is known and cannot be carried out on this kind of network."""
    return RpcFault(NOT_SUPPORTED, message)
