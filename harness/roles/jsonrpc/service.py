"""One node's public JSON-RPC interface: requests in, replies out, nothing of either trusted or unbounded."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson

from harness.ports import Clock, Json, PortError, Recorder, RpcSession
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.faults import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcFault,
)
from harness.roles.jsonrpc.methods import FRESH, STEADY
from harness.roles.jsonrpc.news import News
from harness.roles.jsonrpc.news_methods import news_methods
from harness.roles.jsonrpc.source import ChainSource
from harness.roles.jsonrpc.values import Params, shown

BATCH_MAX: Final = 100
REPLY_BYTES_MAX: Final = 32 << 20
"""Of a batch; what follows is refused."""
ANSWERED_AT_ONCE: Final = 8
"""Requests of a batch before whoever else waits gets the loop, even where all answers are at hand."""
PROMPT_BYTES_MAX: Final = 4_096
"""Of a request that may be answered without a task of its own."""
KEPT_MAX: Final = 8_192
KEPT_BYTES_MAX: Final = 32 << 20
_NAME_MAX: Final = 64



class Asker:
    """A client that cannot be told anything by itself: one over HTTP, a test, the node itself."""

    can_notify = False

    def notify(self, message: bytes) -> None:
        raise AssertionError("nobody subscribes without a connection")

    def drop(self, reason: str) -> None:
        raise AssertionError("nobody subscribes without a connection")


NO_SESSION: Final = Asker()


class JsonRpc:
    """Answers for one chain of one node. Lives on the role's own loop, as `ports.RpcService`."""

    def __init__(self, source: ChainSource, clock: Clock, record: Recorder) -> None:
        self.desk = Desk(source, clock)
        self.news = News(self.desk, Asker())
        self._record = record
        self._methods = {**FRESH, **STEADY, **news_methods(self.news), "rpc_modules": self._modules}
        self._kept: dict[tuple[str, bytes], bytes] = {}
        self._kept_bytes = 0
        self.desk.chain.follow()
        self._is_stale = False
        source.when_changed(self._moved)
        source.pool.when_added.append(self.news.on_pending)

    async def run(self) -> None:
        """Tell subscribers what happens, until cancelled."""
        await self.news.tell_forever()

    def closed(self, session: RpcSession) -> None:
        self.news.forget(session)

    def _moved(self) -> None:
        """A head has moved. One decision may move it twice, down to a fork and up again: looked at when it is over."""
        if not self._is_stale:
            self._is_stale = True
            asyncio.get_running_loop().call_soon(self._follow)

    def _follow(self) -> None:
        if not self._is_stale:
            return
        self._is_stale = False
        self._kept.clear()
        self._kept_bytes = 0
        change = self.desk.chain.follow()
        if change is not None:
            self.news.on_change(change)
        self.desk.changed()

    # -- requests

    def answer_now(self, body: bytes) -> bytes | None:
        """A single question that was answered since a head moved last; what is no such thing `answer` judges."""
        self._follow()
        if len(body) > PROMPT_BYTES_MAX:
            return None
        try:
            request = orjson.loads(body)
        except (orjson.JSONDecodeError, RecursionError):
            return None
        if not isinstance(request, dict) or request.get("jsonrpc", "2.0") != "2.0":
            return None
        name, method = request.get("id"), request.get("method")
        if type(name) not in (int, str) or not isinstance(method, str) or method not in STEADY:
            return None
        kept = self._kept.get((method, orjson.dumps(request.get("params"))))
        return None if kept is None else _success(name, kept)

    async def answer(self, body: bytes, session: RpcSession) -> bytes | None:
        self._follow()
        try:
            request = orjson.loads(body)
        except (orjson.JSONDecodeError, RecursionError) as error:
            return _failure(None, RpcFault(PARSE_ERROR, f"parse error: {error}"))
        if isinstance(request, list):
            reply = await self._answer_all(request, session)
        else:
            reply = await self._answer_one(request, session)
        if session.can_notify:
            self.news.announced(session)
        return reply

    async def _answer_all(self, requests: list[Json], session: RpcSession) -> bytes | None:
        if not requests:
            return _failure(None, RpcFault(INVALID_REQUEST, "invalid request: an empty batch"))
        if len(requests) > BATCH_MAX:
            told = f"batch too large: {len(requests)} requests; at most {BATCH_MAX} are taken"
            return _failure(None, RpcFault(INVALID_REQUEST, told))
        replies: list[bytes] = []
        size = 0
        for at, request in enumerate(requests):
            if at % ANSWERED_AT_ONCE == ANSWERED_AT_ONCE - 1:
                await asyncio.sleep(0)
            if size > REPLY_BYTES_MAX:
                name = request.get("id") if isinstance(request, dict) else None
                reply: bytes | None = _failure(name, RpcFault(-32003, "batch response too large; ask for less at once"))
            else:
                reply = await self._answer_one(request, session)
            if reply is not None:
                replies.append(reply)
                size += len(reply)
        return b"[" + b",".join(replies) + b"]" if replies else None

    async def _answer_one(self, request: Json, session: RpcSession) -> bytes | None:
        name: Any = None
        try:
            if not isinstance(request, dict):
                raise RpcFault(INVALID_REQUEST, f"invalid request: an object is due, not {shown(request)}")
            is_notification = "id" not in request
            name = request.get("id")
            if isinstance(name, (dict, list, bool)):
                name = None
                raise RpcFault(INVALID_REQUEST, "invalid request: id must be a number, a string or null")
            method = request.get("method")
            if not isinstance(method, str):
                raise RpcFault(INVALID_REQUEST, "invalid request: method must be a string")
            if request.get("jsonrpc", "2.0") != "2.0":
                raise RpcFault(INVALID_REQUEST, f"invalid request: jsonrpc must be \"2.0\", not "
                                                f"{shown(request['jsonrpc'])}")
            result = await self._result(method, request.get("params"), session)
            return None if is_notification else _success(name, result)
        except RpcFault as fault:
            if isinstance(request, dict) and "id" not in request and "method" in request:
                return None
            return _failure(name, fault)

    async def _result(self, method: str, params: Json, session: RpcSession) -> bytes:
        """The encoded result of one call. Raises `RpcFault`."""
        key: tuple[str, bytes] | None = None
        if method in STEADY:
            encoded = orjson.dumps(params)
            if b'"pending"' not in encoded:
                key = (method, encoded)
                kept = self._kept.get(key)
                if kept is not None:
                    return kept
        answer = self._methods.get(method)
        if answer is None:
            raise RpcFault(METHOD_NOT_FOUND, f"the method {method[:_NAME_MAX]} does not exist/is not available")
        tip = self.desk.chain.tip
        try:
            result = orjson.dumps(await answer(self.desk, Params(method, params), session))
        except RpcFault:
            raise
        except PortError as error:
            raise RpcFault(INTERNAL_ERROR, f"{method} failed: {error}") from error
        except Exception as error:  # ours to fix: the client learns that it was not its fault, the history what it was
            self._record.record("problem", what=f"{method} failed", detail=f"{type(error).__name__}: {error}"[:500])
            raise RpcFault(INTERNAL_ERROR, f"{method} failed: internal error ({type(error).__name__})") from error
        if key is not None and tip == self.desk.chain.tip:
            self._keep(key, result)
        return result

    def _keep(self, key: tuple[str, bytes], result: bytes) -> None:
        """Until a head moves, the same question has the same answer."""
        size = len(result) + len(key[1])
        if len(self._kept) >= KEPT_MAX or self._kept_bytes + size > KEPT_BYTES_MAX:
            self._kept.clear()
            self._kept_bytes = 0
        self._kept[key] = result
        self._kept_bytes += size

    async def _modules(self, desk: Desk, params: Params, session: RpcSession) -> Json:
        params.done()
        return dict.fromkeys(sorted({method.partition("_")[0] for method in self._methods}), "1.0")


def _success(name: Json, result: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (orjson.dumps(name), result)


def _failure(name: Json, fault: RpcFault) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": name, "error": fault.to_json()})



