"""The compose runtime on Docker Swarm: a stack of services, each of one task, on overlay networks.

Roles are driven, faulted and judged as in containers on one engine. What needs the container itself (kill, pause,
kernel rules) needs its task on the node that this engine is; over several nodes the faults of the proxy remain.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.proxy.config import PROXY
from harness.runtimes.compose import layout as names
from harness.runtimes.compose.cargo import Cargo
from harness.runtimes.compose.compose_file import FILE as COMPOSE_FILE
from harness.runtimes.compose.engine import DockerEngine, EngineGone, EngineRefused
from harness.runtimes.compose.folder import furnish
from harness.runtimes.compose.layout import BEGIN, HARNESS, Layout
from harness.runtimes.compose.runtime import ComposeRuntime
from harness.runtimes.compose.stack import AddressesTaken, Stack
from harness.runtimes.compose.stack_file import FILE, REGION_LABEL, by_name, render_stack
from harness.toolchain.commands import run

DEPLOY_TIMEOUT_S = 120.0
TASK_TIMEOUT_S = 60.0
_LOOK_AGAIN_S = 0.2
_LOOKS_A_DIAGNOSIS = 5   # all services ask at once while a stack boots
_ENDED = ("failed", "rejected", "shutdown", "orphaned")
_NOT_STARTED = "starting container failed"
"""How the error of a task begins whose container the node could not start; nothing in it has run."""
_STARTS_MAX = 3


class SwarmStack(Stack):
    """One project's services. Swarm starts them all at once; a service that is started again gets a new task."""

    async def create(self) -> None:
        """Raises as `Stack.create`; EngineRefused too when this engine is no manager of a swarm."""
        engine = self._engine
        swarm = (await engine.call("say what it is", engine.api.info)).get("Swarm", {})
        if not swarm.get("ControlAvailable"):
            raise EngineRefused(
                f"this engine is no manager of a swarm (it is {swarm.get('LocalNodeState') or 'inactive'}); "
                "make it one: docker swarm init"
            )
        environment = {**os.environ, BEGIN: HARNESS, "HARNESS_OWNER": self._layout.owner}
        outcome = await asyncio.to_thread(
            run, ["docker", "stack", "deploy", "--resolve-image", "never", "-c", self._folder / FILE,
                  self._layout.project],
            timeout_s=DEPLOY_TIMEOUT_S, env=environment,
        )  # fmt: skip
        if outcome.code != 0:
            said = outcome.problem or " ".join(outcome.output.split())[-400:]
            await self.remove()
            kind = AddressesTaken if "overlap" in said else EngineRefused
            raise kind(f"the stack {self._layout.project} was not deployed: {said}")

    async def start(self, service: str) -> None:
        """Wait for the service's task, or where that has run already, have a new one."""
        before = self.ids.get(service)
        failed: frozenset[str] = frozenset()
        if before is not None:
            failed = await self._not_started(service)
            await self._engine.call(f"start {service} again", self._renew, service)
        try:
            async with asyncio.timeout(TASK_TIMEOUT_S):
                self.ids[service] = await self._started(service, before, failed)
        except TimeoutError:
            raise EngineRefused(f"{service} has no running task after {TASK_TIMEOUT_S:g} s: "
                                f"{await self._why_not(service)}") from None

    async def _started(self, service: str, before: str | None, failed: frozenset[str]) -> str:
        """Its next container. Swarm gives up a task whose container a busy node could not start ("device or resource
        busy"), as our services do not restart by themselves: it gets a new one, `_STARTS_MAX` in all."""
        starts = looks = 1
        while (found := await self._running(service)) in (None, before):
            if looks % _LOOKS_A_DIAGNOSIS == 0:
                now_failed = await self._not_started(service)
                if now_failed - failed and starts < _STARTS_MAX:
                    starts += 1
                    await self._engine.call(f"start {service} again", self._renew, service)
                failed |= now_failed
            looks += 1
            await asyncio.sleep(_LOOK_AGAIN_S)
        assert found is not None
        return found

    async def _not_started(self, service: str) -> frozenset[str]:
        """Those of its tasks in which nothing has ever run."""
        return frozenset(str(task["ID"]) for task in await self._tasks(service)
                         if str(task["Status"].get("Err", "")).startswith(_NOT_STARTED))

    def _renew(self, service: str) -> None:
        self._engine.client.services.get(self._named(service)).force_update()  # type: ignore[no-untyped-call]

    async def _running(self, service: str) -> str | None:
        labels = [f"{names.PROJECT_LABEL}={self._layout.project}", f"com.docker.compose.service={service}"]
        found = await self._engine.call(
            f"find {service}", self._engine.api.containers, filters={"label": labels, "status": "running"}
        )
        return str(found[0]["Id"]) if found else None

    async def _tasks(self, service: str) -> list[Mapping[str, Any]]:
        return list(await self._engine.call(
            f"list tasks of {service}", self._engine.api.tasks, filters={"service": self._named(service)}
        ))

    async def _why_not(self, service: str) -> str:
        told = [task["Status"].get("Err") or task["Status"]["State"] for task in await self._tasks(service)]
        return "; ".join(sorted(set(told))) or "it has no task; see docker stack ps"

    async def published(self, port: int) -> tuple[str, int]:
        """The container says it; the manager hears of it later, and where the proxy is on another node, only that."""
        deadline = asyncio.get_running_loop().time() + TASK_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline:
            for task in await self._tasks(PROXY):
                for each in task["Status"].get("PortStatus", {}).get("Ports") or ():
                    if each["TargetPort"] == port and task["Status"]["State"] not in _ENDED:
                        return "127.0.0.1", int(each["PublishedPort"])
            with contextlib.suppress(EngineRefused):
                return "127.0.0.1", (await super().published(port))[1]
            await asyncio.sleep(_LOOK_AGAIN_S)
        raise EngineRefused(f"port {port} of the proxy is not published: {await self._why_not(PROXY)}")

    async def fetch_evidence(self, into: Path) -> None:
        """What the roles wrote, out of their volumes; a container that is gone has none."""
        await asyncio.gather(*[self._fetch(service, into / service) for service in self.ids])

    async def _fetch(self, service: str, into: Path) -> None:
        def read() -> bytes:
            chunks, _ = self._engine.api.get_archive(self.ids[service], names.EVIDENCE)
            return b"".join(chunks)

        try:
            content = await self._engine.call(f"read what {service} wrote", read)
        except (EngineGone, EngineRefused):
            return
        await asyncio.to_thread(_unpack, content, into)


def _unpack(content: bytes, into: Path) -> None:
    """The files of a folder, without their folder."""
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for entry in archive.getmembers():
            stream = archive.extractfile(entry) if entry.isfile() else None
            if stream is not None:
                (into / Path(entry.name).name).write_bytes(stream.read())


class SwarmRuntime(ComposeRuntime):
    """`async with SwarmRuntime(...)` as `ComposeRuntime`, on an engine that manages a swarm."""

    async def _prepare(self) -> None:
        self._narrate(names.SWARM_IS_PUBLIC)
        await super()._prepare()

    def _reached(self, layout: Layout) -> Layout:
        return by_name(layout)

    async def _furnished(self, engine: DockerEngine, cargo: Cargo, image: str) -> Stack:
        nodes = await engine.call("list nodes", _nodes, engine)
        placed = {seat.region for seat in self._layout.seats if any(
            node["Spec"].get("Labels", {}).get(f"{REGION_LABEL}.{seat.region}") == "true" for node in nodes
        )}
        furnish(self._folder, self._logs, cargo, image)
        for needless in (COMPOSE_FILE, ".env"):
            (self._folder / needless).unlink()
        text = render_stack(self._layout, image=image, folder=self._folder, placed=placed)
        (self._folder / FILE).write_text(text)
        return SwarmStack(engine, self._layout, self._folder, text)

    async def disconnect(self, role: str) -> None:
        raise EngineRefused("a task of a swarm can not be taken off its network; partition it: [[ROLE], [rest]]")


def _nodes(engine: DockerEngine) -> list[Mapping[str, Any]]:
    try:
        return list(engine.api.nodes())
    except Exception:  # no manager: `create` says so
        return []
