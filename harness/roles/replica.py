"""A replica: follows what the sequencers commit, executes it all itself, serves reads, never votes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from harness.ports import Json, PortError
from harness.roles.context import RoleContext
from harness.roles.jsonrpc.opening import serve_l2
from harness.roles.node import Node
from harness.roles.wire import certificate_from_json, field, items

PULL_INTERVAL_S = 1.0


class Replica:
    """Certified blocks are pushed to it; what it missed it pulls, from each sequencer in turn."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.node = Node(context)
        self._sequencers = [s.name for s in context.plan.of_kind("sequencer")]
        self._adopting = asyncio.Lock()

    async def run(self) -> None:
        await self.node.recover()
        self.context.network.serve(self._handle)
        public = serve_l2(self.node)
        async with asyncio.TaskGroup() as tasks:
            if public is not None:
                tasks.create_task(public.run())
            tasks.create_task(self.node.derive_forever())
            if self.node.observer is not None:
                tasks.create_task(self.node.observer.watch_forever())
            tasks.create_task(self._pull_forever())

    async def _pull_forever(self) -> None:
        """Ask a sequencer for news whenever nothing has been committed here for a while."""
        turn = self.context.spec.index
        level = -1
        while True:
            committed = self.node.chain.heads.committed.number
            if committed == level:
                peer = self._sequencers[turn % len(self._sequencers)]
                turn += 1
                try:
                    async with self._adopting:
                        await self.node.fetch_committed(peer)
                except PortError:
                    pass  # that sequencer is out of reach; the next one is asked at the next turn
            level = committed
            await self.context.clock.sleep(PULL_INTERVAL_S)

    async def _handle(self, sender: str, kind: str, payload: Json) -> Json:
        if kind != "committed":
            return await self.node.answer(kind, payload)
        certificate, blocks = certificate_from_json(field(payload, "certificate")), items(payload, "blocks")
        async with self._adopting:
            if certificate.height <= self.node.chain.heads.committed.number:
                return None
            if not await self.node.adopt(blocks, certificate):
                with suppress(PortError):  # the pull loop asks somebody else
                    await self.node.fetch_committed(sender)
        return None
