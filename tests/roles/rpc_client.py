"""Asks a simulated node over its JSON-RPC interface, as a client with or without a connection of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from world import World

from harness.evm.accounts import account
from harness.evm.wallet import sign_transaction
from harness.ports import RpcSession
from harness.roles.jsonrpc.service import NO_SESSION


@dataclass(eq=False, slots=True)
class Listener:
    """A WebSocket client, as the service sees one."""

    heard: list[Any] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    can_notify: bool = True

    def notify(self, message: bytes) -> None:
        self.heard.append(orjson.loads(message)["params"])

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)

    def results(self, subscription: str) -> list[Any]:
        return [each["result"] for each in self.heard if each["subscription"] == subscription]


@dataclass(frozen=True, slots=True)
class Asker:
    """One client of one node."""

    world: World
    role: str
    session: RpcSession = NO_SESSION

    async def post(self, body: bytes) -> Any:
        reply = await self.world.runtime.rpc_of(self.role).answer(body, self.session)
        return None if reply is None else orjson.loads(reply)

    async def ask(self, method: str, *params: Any) -> Any:
        return await self.post(orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))

    async def call(self, method: str, *params: Any) -> Any:
        answer = await self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, *params: Any) -> dict[str, Any]:
        answer = await self.ask(method, *params)
        assert "error" in answer, answer
        return dict(answer["error"])


def signed(
    sender: int,
    nonce: int,
    *,
    to: str | None = "0x" + "11" * 20,
    chain_id: int = 901,
    gas: int = 100_000,
    fee: int = 0,
    value: int = 0,
    data: bytes = b"",
) -> str:
    """A raw transaction as a client submits it."""
    raw = sign_transaction(
        account(sender).key, chain_id=chain_id, nonce=nonce, to=to, gas=gas, max_fee=fee, value=value, max_priority=fee,
        data=data,
    )  # fmt: skip
    return f"0x{raw.hex()}"
