"""What a run on real processes promises beyond the ports: crashes, histories, and honest failures."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from harness.anvil.process import listening
from harness.ports import LinkRule, Unreachable
from harness.runtimes.conformance.echo import echo_factory, echo_plan
from harness.runtimes.local.http_network import HOST, HttpNetwork
from harness.runtimes.local.runtime import LocalRuntime
from harness.runtimes.process_control import BootFailure

DEADLINE_S = 30.0
pytestmark = pytest.mark.local

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def cast(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Importable by name, so that role processes find it too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("cast_of_local_tests")


@contextlib.asynccontextmanager
async def _asking(runtime: LocalRuntime) -> AsyncIterator[Ask]:
    """`ask(role, kind, payload)` over the real link a→role."""
    ports = runtime.ports()["a"]
    network = HttpNetwork("a", {peer: (HOST, port) for peer, port in ports.items()}, report=lambda what, detail: None)
    await network.open()
    try:
        yield lambda to, kind, payload=None: network.request(to, kind, payload, timeout=5.0)
    finally:
        await network.close()


def _run(check: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await check

    asyncio.run(bounded())


def test_a_killed_role_comes_back_with_its_flushed_rows_and_no_others(cast: ModuleType, tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            LocalRuntime(echo_plan(["a", "b"]), cast.actor, logs=tmp_path, genesis_timestamp=1) as runtime,
            _asking(runtime) as ask,
        ):
            await ask("b", "put", "flushed")
            await ask("b", "flush")
            await ask("b", "put", "unflushed")
            assert await ask("b", "rows") == ["flushed", "unflushed"]
            await runtime.kill("b")
            await runtime.start("b")
            assert await runtime.probe("a", "b", timeout=5.0) is not None
            assert await ask("b", "rows") == ["flushed"]
            assert runtime.problems == []

    _run(check())


def test_a_pause_stops_what_the_role_has_started_and_a_kill_ends_it(cast: ModuleType, tmp_path: Path) -> None:
    """An Anvil that goes on while its node is paused would make the pause a lie."""

    def state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    async def wait_for_state(pid: int, wanted: str) -> None:
        """The kernel can only be polled for it; the check's own deadline bounds this."""
        while state(pid) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    async def check() -> None:
        async with (
            LocalRuntime(echo_plan(["a", "b"]), cast.actor, logs=tmp_path, genesis_timestamp=1) as runtime,
            _asking(runtime) as ask,
        ):
            child = await ask("b", "stubborn")
            await wait_for_state(child, "S")
            await runtime.pause("b")
            await wait_for_state(child, "T")
            await runtime.resume("b")
            await wait_for_state(child, "S")
            descriptor = os.pidfd_open(child)
            await runtime.kill("b")
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(descriptor, ended.set)
            await ended.wait()
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    _run(check())


@pytest.mark.parametrize(
    ("how", "what", "words"),
    [("exit", "exit", "ended with code 3 although nobody killed it"), ("raise", "run", "ValueError: boom")],
)
def test_a_role_that_ends_by_itself_fails_the_run_and_says_why(
    how: str, what: str, words: str, cast: ModuleType, tmp_path: Path
) -> None:
    async def check() -> None:
        logs = tmp_path / "nodes"
        async with (
            LocalRuntime(echo_plan(["a", "b"]), cast.actor, logs=logs, genesis_timestamp=1) as runtime,
            _asking(runtime) as ask,
        ):
            with contextlib.suppress(Unreachable):
                await ask("b", how)
            await runtime.failed.wait()
        first = runtime.problems[0]
        assert (first.role, first.what) == ("b", what)
        assert words in first.detail
        if how == "exit":
            assert "about to leave" in first.detail
        runtime.write_history(tmp_path / "history.jsonl")
        records = [orjson.loads(line) for line in (tmp_path / "history.jsonl").read_bytes().splitlines()]
        problems = [record for record in records if record["kind"] == "problem"]
        assert problems[0]["node"] == "b"
        assert problems[0]["fatal"] is True

    _run(check())


def test_histories_of_all_roles_become_one_in_order_of_time(cast: ModuleType, tmp_path: Path) -> None:
    seen: list[str] = []

    async def check() -> None:
        is_up = asyncio.Event()

        def watch(node: str, kind: str, fields: dict[str, Any]) -> None:
            seen.append(fields["event"])
            if node == "b":
                is_up.set()

        runtime = LocalRuntime(echo_plan(["a", "b", "c"]), cast.actor, logs=tmp_path / "nodes", genesis_timestamp=1)
        runtime.watcher = watch
        runtime.write("run", "run", {"runtime": "local"})
        async with runtime:
            await is_up.wait()
            await runtime.kill("b")
            is_up.clear()
            await runtime.start("b")
            await is_up.wait()
            runtime.write("run", "phase", {"name": "end"})
        runtime.write_history(tmp_path / "history.jsonl")

    _run(check())
    records = [orjson.loads(line) for line in (tmp_path / "history.jsonl").read_bytes().splitlines()]
    assert [record["t"] for record in records] == sorted(record["t"] for record in records)
    assert records[0]["kind"] == "run"
    assert records[0]["t"] == 0
    ups = ["up:a", "up:b", "up:b", "up:c"]
    assert sorted(record["event"] for record in records if record["kind"] == "notice") == ups
    assert sorted(seen) == ups
    assert list((tmp_path / "nodes").glob("*.jsonl")) == []


def test_a_skew_outlives_a_crash_as_a_machines_clock_does(tmp_path: Path) -> None:
    async def check() -> None:
        plan = echo_plan(["a", "b"])
        async with LocalRuntime(plan, echo_factory, logs=tmp_path, genesis_timestamp=1) as runtime:
            await runtime.skew("b", offset_ms=750)
            await runtime.kill("b")
            await runtime.start("b")
            assert abs(await runtime.clock_offset("b") - 750) < 1

    _run(check())


def test_the_faults_of_one_link_leave_every_other_alone(tmp_path: Path) -> None:
    async def check() -> None:
        plan = echo_plan(["a", "b", "c"])
        async with LocalRuntime(plan, echo_factory, logs=tmp_path, genesis_timestamp=1) as runtime:
            await runtime.set_link("a", "b", {"f": LinkRule(cut=True)})
            assert await runtime.probe("a", "b", timeout=0.2) is None
            # The answer of a to b travels a→b, so this way is cut as well; c is not concerned.
            assert await runtime.probe("b", "a", timeout=0.2) is None
            assert await runtime.probe("a", "c", timeout=5.0) is not None
            assert await runtime.probe("c", "b", timeout=5.0) is not None

    _run(check())


def test_a_role_that_can_not_be_made_is_a_boot_failure_with_its_last_words(cast: ModuleType, tmp_path: Path) -> None:
    async def check() -> None:
        plan = echo_plan(["a", "b"])
        runtime = LocalRuntime(plan, cast.actor, logs=tmp_path, genesis_timestamp=1, engines=cast.no_node)
        with pytest.raises(BootFailure, match="no room for a node"):
            async with runtime:
                pytest.fail("it came up")

    _run(check())


def test_a_dead_proxy_fails_the_run(tmp_path: Path) -> None:
    async def check() -> None:
        plan = echo_plan(["a", "b"])
        async with LocalRuntime(plan, echo_factory, logs=tmp_path, genesis_timestamp=1) as runtime:
            os.kill(runtime.pids()["proxy"], 9)
            await runtime.failed.wait()
            assert runtime.problems[0].role == "proxy"

    _run(check())


def test_everything_listens_on_loopback_only(tmp_path: Path) -> None:
    async def check() -> None:
        plan = echo_plan(["a", "b"])
        async with LocalRuntime(plan, echo_factory, logs=tmp_path, genesis_timestamp=1) as runtime:
            hosts = [host for host, _ in listening(runtime.pids().values())]
            assert hosts == ["127.0.0.1"] * 4  # a and b, a→b and b→a

    _run(check())
