"""A node's public JSON-RPC under its `RpcPolicy`: what a wallet sees of a node that lies. Its asker is `user`."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from harness.faults.rpc import LIE, RpcPolicy
from harness.ports import QUERIES, Clock, Json, PublicRpc, RpcService, RpcSession

USER = "user"
SILENCE_S = 10.0
"""How long an HTTP client waits for an answer that was dropped before its connection has an empty one."""
RECEIPTS_KEPT_MAX = 4_096
BATCH_LIED_MAX = 100
"""Requests of one batch that are lied about, each by itself; the node refuses longer ones anyway."""
NEWEST = (None, "latest", "pending", "unsafe")
BLOCK_AT = {**QUERIES, "eth_getBlockTransactionCountByNumber": 0}


class LyingPublic:
    """The `PublicRpc` port: hands the runtime's server a service that lies as the policy says."""

    def __init__(self, public: PublicRpc, policy: RpcPolicy, clock: Clock) -> None:
        self._public = public
        self._policy = policy
        self._clock = clock

    def serve(self, service: RpcService) -> None:
        self._public.serve(LyingRpc(service, self._policy, self._clock))


class LyingRpc:
    """The `RpcService` port. Costs nothing while the node is honest."""

    def __init__(self, service: RpcService, policy: RpcPolicy, clock: Clock) -> None:
        self._service = service
        self._policy = policy
        self._clock = clock
        self._first_seen_ns: dict[str, int] = {}
        """Transaction → when its receipt could first have been told, while `delay` is on."""

    def closed(self, session: RpcSession) -> None:
        self._service.closed(session)

    def answer_now(self, body: bytes) -> bytes | None:
        return self._service.answer_now(body) if self._policy.is_honest else None

    async def answer(self, body: bytes, session: RpcSession) -> bytes | None:
        if self._policy.is_honest:
            return await self._service.answer(body, session)
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            return await self._service.answer(body, session)
        if isinstance(request, dict) and isinstance(request.get("method"), str):
            return await self._answer_one(request, session)
        if not isinstance(request, list) or not 0 < len(request) <= BATCH_LIED_MAX:
            return await self._service.answer(body, session)
        if not all(isinstance(each, dict) and isinstance(each.get("method"), str) for each in request):
            return await self._service.answer(body, session)
        replies = [await self._answer_one(each, session) for each in request]
        told = [reply for reply in replies if reply is not None]
        return b"[" + b",".join(told) + b"]" if told else None

    async def _answer_one(self, request: dict[str, Any], session: RpcSession) -> bytes | None:
        method = str(request.get("method"))
        lies = self._policy.lies(USER, method)
        if lies.stale_blocks:
            request = await self._stale(request, lies.stale_blocks, session)
        body = orjson.dumps(request)
        if lies.duplicate:
            first = await self._service.answer(body, session)
            await self._service.answer(body, session)
            reply = first
        else:
            reply = await self._service.answer(body, session)
        if lies.stale_blocks:
            reply = await self._stale_answer(method, reply, lies.stale_blocks, session)
        if lies.delay_ms:
            reply = await self._late(method, request, reply, lies.delay_ms)
        if lies.drop_reply:
            if not session.can_notify:
                await asyncio.sleep(SILENCE_S)
            return None
        if lies.error and "id" in request:
            return orjson.dumps({
                "jsonrpc": "2.0", "id": request["id"], "error": {"code": -32603, "message": LIE},
            })  # fmt: skip
        return reply

    async def _late(self, method: str, request: dict[str, Any], reply: bytes | None, delay_ms: float) -> bytes | None:
        """A receipt is not there yet for so long; any other answer takes so long."""
        if method != "eth_getTransactionReceipt" or reply is None:
            await self._clock.sleep(delay_ms / 1000)
            return reply
        answer = orjson.loads(reply)
        if not answer.get("result"):
            return reply
        now_ns = self._clock.monotonic()
        if len(self._first_seen_ns) >= RECEIPTS_KEPT_MAX:
            del self._first_seen_ns[next(iter(self._first_seen_ns))]
        first_ns = self._first_seen_ns.setdefault(str(answer["result"].get("transactionHash")), now_ns)
        return reply if now_ns - first_ns >= delay_ms * 1e6 else _with_result(answer, None)

    async def _stale(self, request: dict[str, Any], blocks: int, session: RpcSession) -> dict[str, Any]:
        """The request with the newest state replaced by that of some blocks ago."""
        method, params = str(request["method"]), request.get("params")
        at = BLOCK_AT.get(method)
        if at is None or not isinstance(params, list | type(None)):
            return request
        params = list(params or [])
        while len(params) <= at:
            params.append(None)
        if not (params[at] is None or params[at] in NEWEST):
            return request
        head = await self._head(session)
        if head is None:
            return request
        params[at] = hex(max(0, head - blocks))
        return {**request, "params": params}

    async def _stale_answer(
        self, method: str, reply: bytes | None, blocks: int, session: RpcSession
    ) -> bytes | None:
        if reply is None or method not in ("eth_blockNumber", "eth_getTransactionReceipt"):
            return reply
        answer = orjson.loads(reply)
        result = answer.get("result")
        if method == "eth_blockNumber" and isinstance(result, str):
            return _with_result(answer, hex(max(0, int(result, 16) - blocks)))
        head = await self._head(session)
        if isinstance(result, dict) and head is not None and int(result["blockNumber"], 16) > head - blocks:
            return _with_result(answer, None)
        return reply

    async def _head(self, session: RpcSession) -> int | None:
        reply = await self._service.answer(b'{"jsonrpc":"2.0","id":0,"method":"eth_blockNumber"}', session)
        result = None if reply is None else orjson.loads(reply).get("result")
        return int(result, 16) if isinstance(result, str) else None


def _with_result(answer: dict[str, Any], result: Json) -> bytes:
    return orjson.dumps({**answer, "result": result})
