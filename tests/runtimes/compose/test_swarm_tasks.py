"""A service of a swarm whose container the node could not start gets another task, and not without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.runtimes.compose import swarm
from harness.runtimes.compose.engine import DockerEngine, EngineRefused
from harness.runtimes.compose.layout import Layout
from harness.runtimes.compose.swarm import SwarmStack

BUSY = "starting container failed: unable to remount dir as readonly: device or resource busy"


class Engine:
    """Of one service's tasks the first `failing` cannot be started; a new task comes a look after it was asked for."""

    def __init__(self, failing: int, error: str = BUSY) -> None:
        self.renewals = 0
        self._failing, self._error = failing, error
        self._made, self._asked = 1, 1
        self.api = SimpleNamespace(containers=self._containers, tasks=self._tasks)
        service = SimpleNamespace(force_update=self._more)
        self.client = SimpleNamespace(services=SimpleNamespace(get=lambda _name: service))

    async def call(self, _what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    def _more(self) -> None:
        self.renewals += 1
        self._asked += 1

    def _containers(self, **_filters: Any) -> list[dict[str, str]]:
        runs = self._made > self._failing
        return [{"Id": f"container-{self._made}"}] if runs else []

    def _tasks(self, **_filters: Any) -> list[dict[str, Any]]:
        failed = [{"ID": f"task-{n}", "Status": {"State": "failed", "Err": self._error}}
                  for n in range(1, min(self._made, self._failing) + 1)]
        self._made = self._asked
        return failed


def stack_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> SwarmStack:
    monkeypatch.setattr(swarm, "_LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(swarm, "TASK_TIMEOUT_S", 0.3)
    layout = cast("Layout", SimpleNamespace(project="mine", owner="me"))
    return SwarmStack(cast("DockerEngine", engine), layout, Path(), "services: {}")


@pytest.mark.parametrize(("failing", "renewals"), [(0, 0), (1, 1), (2, 2)])
def test_a_container_that_was_not_started_gets_another_try(
    failing: int, renewals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(failing)
    stack = stack_on(engine, monkeypatch)
    asyncio.run(stack.start("reporter-3"))
    assert (stack.ids, engine.renewals) == ({"reporter-3": f"container-{failing + 1}"}, renewals)


def test_a_node_that_starts_nothing_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(failing=99)
    with pytest.raises(EngineRefused, match=r"reporter-3 has no running task .* device or resource busy"):
        asyncio.run(stack_on(engine, monkeypatch).start("reporter-3"))
    assert engine.renewals == 2


def test_what_ran_and_ended_is_not_started_again_behind_its_back(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(failing=1, error="task: non-zero exit (4)")
    with pytest.raises(EngineRefused, match=r"non-zero exit \(4\)"):
        asyncio.run(stack_on(engine, monkeypatch).start("reporter-3"))
    assert engine.renewals == 0


def test_failures_of_an_earlier_start_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(failing=1)
    stack = stack_on(engine, monkeypatch)
    asyncio.run(stack.start("reporter-3"))
    asyncio.run(stack.start("reporter-3"))
    assert (stack.ids, engine.renewals) == ({"reporter-3": "container-3"}, 2)
