"""A small synchronous JSON-RPC client over Anvil's Unix socket: one request at a time, each with a deadline."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

BATCH_MAX = 30
"""Anvil runs arrays of up to 30 calls in their order; larger ones go through another scheduler (anvil.md §2)."""

_RECEIVE_BYTES = 1 << 18

Call = tuple[str, Sequence[Any]]
"""A method and its parameters."""


class RpcError(Exception):
    """The node answered, and its answer is an error. `data` is the error's own data, for a revert its 0x-hex."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class ConnectionLost(Exception):
    """No usable answer: the socket is gone, closed, silent past the deadline or out of step.

    The request may or may not have been carried out. The connection is closed; the next call opens another.
    """


class IpcClient:
    """Not thread-safe: whoever drives a node holds it alone (anvil.md, rule 3)."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def call(self, method: str, *params: Any) -> Any:
        """One call's result. Blocks for at most the client's timeout.

        Raises:
            RpcError: the node refused it.
            ConnectionLost: see there.
        """
        answer = self.batch([(method, params)])[0]
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Results of up to `BATCH_MAX` calls run in order; a refused one yields its `RpcError` as a value."""
        if not 0 < len(calls) <= BATCH_MAX:
            raise ValueError(f"a batch has 1 to {BATCH_MAX} calls, not {len(calls)}: split it")
        request = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": list(params)}
            for index, (method, params) in enumerate(calls)
        ]
        replies = self._exchange(orjson.dumps(request))
        if not isinstance(replies, list) or len(replies) != len(calls):
            raise self._lost(f"{len(calls)} calls got the answer {str(replies)[:200]}")
        results: list[Any] = []
        for index, ((method, _), reply) in enumerate(zip(calls, replies, strict=True)):
            if reply.get("id") != index:
                raise self._lost(f"call {index} ({method}) got the answer of call {reply.get('id')}")
            error = reply.get("error")
            if error is None:
                results.append(reply.get("result"))
            else:
                results.append(RpcError(method, error["code"], error["message"], error.get("data")))
        return results

    def close(self) -> None:
        """Drop the connection, if any; idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes) -> Any:
        deadline = time.monotonic() + self._timeout_s
        try:
            connection = self._connected()
            connection.settimeout(self._timeout_s)
            connection.sendall(request + b"\n")
            chunks: list[bytes] = []
            while not (chunks and chunks[-1].endswith(b"\n")):
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                chunk = connection.recv(_RECEIVE_BYTES)
                if not chunk:
                    raise self._lost("the node closed the connection")
                chunks.append(chunk)
            return orjson.loads(b"".join(chunks))
        except TimeoutError as error:
            raise self._lost(f"no answer within {self._timeout_s:g} s") from error
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error
        except orjson.JSONDecodeError as error:
            raise self._lost("the answer is not JSON") from error
        except BaseException:  # Ctrl-C in mid-answer: the next call must not read this one's rest
            self.close()
            raise

    def _connected(self) -> socket.socket:
        if self._socket is None:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                opened.settimeout(self._timeout_s)
                opened.connect(str(self._path))
            except BaseException:
                opened.close()
                raise
            self._socket = opened
        return self._socket

    def _lost(self, why: str) -> ConnectionLost:
        self.close()
        return ConnectionLost(why)
