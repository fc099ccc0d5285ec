"""Roles that misbehave in the ways the local runtime must cope with; imported by role processes, not by pytest."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.plan import RoleSpec
from harness.roles.context import Role, RoleContext

GO_AWAY = 3


class Actor:
    """Does what the sender of a message tells it."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        self._context.record.record("notice", event=f"up:{self._context.name}", leader=None)
        self._context.network.serve(self._act)
        await self._failure

    async def _act(self, sender: str, kind: str, payload: Any) -> Any:
        store = self._context.store
        match kind:
            case "put":
                store.put("t", payload, 1)
            case "flush":
                store.flush()
            case "rows":
                return [key for key, _ in store.scan("t")]
            case "exit":
                print("about to leave", file=sys.stderr, flush=True)
                os._exit(GO_AWAY)
            case "raise":
                self._failure.set_exception(ValueError("boom"))
            case "stubborn":
                # As an Anvil: a session of its own, so that no process group leads to it.
                child = subprocess.Popen(["sleep", "1000"], start_new_session=True)  # noqa: ASYNC220
                return child.pid
        return None


def actor(context: RoleContext) -> Role:
    return Actor(context)


def no_node(spec: RoleSpec, home: Path) -> None:
    """An engine factory that fails, as where no Anvil is installed."""
    raise RuntimeError("no room for a node")
