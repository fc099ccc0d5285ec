"""Drives a network that somebody started by hand, from the proxy's container: through the plan, without its faults."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.runtimes.compose import layout as names
from harness.runtimes.compose.cargo import Cargo
from harness.runtimes.compose.driving import DrivenRuntime
from harness.runtimes.failure import RuntimeFailure
from harness.runtimes.local.control_channel import ControlChannel
from harness.runtimes.process_control import Member
from harness.runtimes.processes import Address

BOOT_TIMEOUT_S = 600.0
"""A person may start one container after the other."""


class AloneRuntime(DrivenRuntime):
    """Cannot start or stop anything: that is the person's at the engine. Whoever comes back is let go on."""

    ready_timeout_s = BOOT_TIMEOUT_S

    def __init__(self, cargo: Cargo) -> None:
        world = cargo.world
        super().__init__(
            world.plan,
            logs=Path(names.EVIDENCE),
            genesis_timestamp=world.genesis_timestamp,
            keeps_history=False,
        )
        self._seat_at(cargo.layout, cargo.secret)
        self._returns: set[asyncio.Task[None]] = set()

    async def _kill(self, member: Member) -> None:
        """Whoever did not stop when asked is the engine's."""
        member.ended.set()

    async def _thaw(self, member: Member) -> None:
        """Nor can it be woken."""

    def _switchboard(self) -> Address:
        return self._layout.edge_address, names.SWITCHBOARD_PORT

    def _control(self) -> Address:
        return self._layout.edge_address, names.CONTROL_PORT

    async def _launch(self, member: Member) -> None:
        member.is_running = True
        await self._call(member)

    def _lost(self, member: Member, channel: ControlChannel) -> None:
        """A container was stopped or restarted by somebody: wait for it to call again, and let it go on."""
        if self._ending or member.channel is not channel:
            return
        member.is_running = False
        print(f"{member.name} is gone; it goes on when its container is started again", flush=True)
        task = asyncio.get_running_loop().create_task(self._welcome_back(member))
        self._returns.add(task)
        task.add_done_callback(self._returns.discard)

    async def _welcome_back(self, member: Member) -> None:
        try:
            await self.start(member.name)
            print(f"{member.name} goes on", flush=True)
        except RuntimeFailure as error:
            print(f"{member.name} is given up: {error}", flush=True)

    async def _release(self) -> None:
        for task in self._returns:
            task.cancel()
        await self._hang_up()


async def drive_alone(cargo: Cargo) -> None:
    """Until cancelled, or until a network that was never complete is given up."""
    runtime = AloneRuntime(cargo)
    runtime.watcher = _say
    print(f"waiting for {len(cargo.layout.seats)} roles", flush=True)
    async with runtime:
        print(f"all {len(cargo.layout.seats)} roles are up and have begun", flush=True)
        await asyncio.Event().wait()


def _say(node: str, kind: str, fields: Mapping[str, Any]) -> None:
    """The notices and problems of a network by hand, on the proxy's log."""
    if kind == "problem":
        print(f"{node}: {fields['what']}: {fields.get('detail', '')}", flush=True)
    elif kind == "notice" and not str(fields.get("event", "")).startswith("l2-block:"):
        print(f"{node}: {fields['event']}", flush=True)
