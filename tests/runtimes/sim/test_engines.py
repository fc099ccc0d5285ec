"""Sharing executions among nodes saves work and changes nothing a node can see."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from harness.plan import RoleSpec
from harness.ports import Engine, EngineFailure, Refused
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, InvalidBlock
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.affinity import on_one_core
from harness.runtimes.sim.engines import ExecutionCost, SimEngines
from harness.runtimes.sim.loop import run_virtual, virtual_loop

GENESIS_HASH = Hash("0x" + "11" * 32)
BAD = b"not includable"


class FakeEngine:
    """A chain whose block hashes are digests of the inputs; counts what it does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.genesis_hash = GENESIS_HASH
        self.blocks: dict[Hash, ExecutedBlock] = {}
        self.executed = 0
        self.calls = 0
        self.closed = False
        self.moved_to: list[Hash] = []

    def move_to(self, block: Hash) -> None:
        assert block in self.blocks
        self.moved_to.append(block)

    def query(self, method: str, params: Any, *, at: Hash) -> Any:
        assert at == GENESIS_HASH or at in self.blocks
        return [method, at, self.moved_to[-1:]]

    def execute(self, inputs: BlockInputs) -> ExecutedBlock:
        assert not self.closed
        assert inputs.parent == GENESIS_HASH or inputs.parent in self.blocks, "a lane must be taught the parent"
        self.executed += 1
        if BAD in inputs.transactions:
            raise InvalidBlock("one was refused", missing=(inputs.transactions.index(BAD),))
        digest = Hash("0x" + hashlib.sha256(repr(inputs).encode()).hexdigest())
        self.blocks[digest] = block = ExecutedBlock(inputs, digest, digest, 21_000, ())
        return block

    def adopt(self, block: ExecutedBlock) -> None:
        assert block.inputs.parent == GENESIS_HASH or block.inputs.parent in self.blocks
        self.blocks[block.hash] = block

    def call(self, to: str, data: bytes, *, at: Hash, sender: str | None = None) -> bytes:
        assert at == GENESIS_HASH or at in self.blocks
        self.calls += 1
        if data == b"revert":
            raise Refused("0x08c379a0")
        return f"{to}{data!r}{at}{sender}".encode()

    def close(self) -> None:
        self.closed = True


def spec(name: str, kind: Any = "sequencer") -> RoleSpec:
    return RoleSpec(name=name, kind=kind, index=0, region="", l1=None, gateways=(), account=None)


def block(parent: Hash = GENESIS_HASH, number: int = 1, *transactions: bytes) -> BlockInputs:
    return BlockInputs(901, number, parent, 1_700_000_000 + number, 0, transactions)


class Lab:
    def __init__(self, *, shared: bool = True) -> None:
        self.made: list[FakeEngine] = []
        self.engines = SimEngines(self._make, shared=shared)

    def _make(self, chain: str, name: str) -> FakeEngine:
        engine = FakeEngine(name)
        self.made.append(engine)
        return engine

    def open(self, name: str) -> Engine:
        engine = self.engines.open(spec(name))
        assert engine is not None
        return engine

    @property
    def executed(self) -> int:
        return sum(engine.executed for engine in self.made)


def in_sim(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_virtual(main(), KeyedRandom(1))


async def chain(engine: Engine, length: int, *, fork: bytes = b"", parent: Hash = GENESIS_HASH, start: int = 1) -> Hash:
    for number in range(start, start + length):
        parent = (await engine.execute(block(parent, number, b"tx%d" % number, *([fork] if fork else [])))).hash
    return parent


def test_an_engine_is_moved_to_a_known_block_that_it_is_asked_about() -> None:
    """A network brought back repeats known blocks: no engine goes along, and a query needs one that is near."""

    async def main() -> None:
        lab = Lab()
        one = lab.open("s0")
        tip = await chain(one, 20)
        for fork in (b"b", b"c", b"d"):   # more branches than there are engines: none stays on the first
            for _ in range(6):
                await chain(one, 10, fork=fork)
        again = lab.open("s1")
        assert await chain(again, 20) == tip
        assert await again.query("eth_getBlockByNumber", [], at=tip) == ["eth_getBlockByNumber", tip, [tip]]
        lab.engines.return_to({"l2": tip})
        assert lab.engines.heads() == {"l2": tip}

    in_sim(main)


def test_equal_inputs_are_executed_once_for_all_nodes() -> None:
    async def main() -> None:
        lab = Lab()
        tips = {await chain(lab.open(f"s{n}"), 20) for n in range(4)}
        assert len(tips) == 1
        assert (lab.executed, len(lab.made)) == (20, 1)
        assert lab.engines.counts()["l2"].answered == 60

    in_sim(main)


def test_a_node_fed_anything_else_really_diverges() -> None:
    async def main() -> None:
        lab = Lab()
        honest, other = lab.open("a"), lab.open("b")
        tip = await chain(honest, 5)
        twisted = await chain(other, 5, fork=b"extra")
        assert tip != twisted
        assert lab.executed == 10
        with pytest.raises(EngineFailure, match=f"b does not know block {tip}"):
            await other.call("0x1", b"", at=tip)
        with pytest.raises(EngineFailure, match="execute its ancestors first"):
            await other.execute(block(tip, 6))

    in_sim(main)


def test_every_field_of_a_block_is_part_of_what_is_shared() -> None:
    async def main() -> None:
        lab = Lab()
        first = block(GENESIS_HASH, 1, b"x", b"y")
        variants = [
            replace(first, timestamp=1_800_000_000), replace(first, base_fee=7), replace(first, transactions=(b"xy",)),
            replace(first, transactions=(b"y", b"x")), replace(first, chain_id=900),
        ]  # fmt: skip
        hashes = [(await lab.open(f"n{n}").execute(inputs)).hash for n, inputs in enumerate([first, *variants])]
        assert len(set(hashes)) == len(hashes)

    in_sim(main)


def test_an_invalid_block_is_invalid_for_all_and_changes_nothing() -> None:
    async def main() -> None:
        lab = Lab()
        one, two = lab.open("a"), lab.open("b")
        for engine in (one, two):
            with pytest.raises(InvalidBlock) as caught:
                await engine.execute(block(GENESIS_HASH, 1, b"ok", BAD))
            assert caught.value.missing == (1,)
            await engine.execute(block(GENESIS_HASH, 1, b"ok"))
        assert lab.executed == 2

    in_sim(main)


def test_calls_are_evaluated_once_and_reverts_are_refusals() -> None:
    async def main() -> None:
        lab = Lab()
        nodes = [lab.open("a"), lab.open("b")]
        for node in nodes:
            tip = await chain(node, 3)
            assert await node.call("0x1", b"q", at=tip, sender="0x2") == f"0x1b'q'{tip}0x2".encode()
            with pytest.raises(Refused, match="0x08c379a0"):
                await node.call("0x1", b"revert", at=tip)
        assert sum(engine.calls for engine in lab.made) == 2

    in_sim(main)


def test_competing_forks_get_a_lane_each_and_no_more_than_the_bound() -> None:
    async def main() -> None:
        lab = Lab()
        nodes = [lab.open(f"n{n}") for n in range(4)]
        tips = [GENESIS_HASH] * 4
        for number in range(1, 30):
            for index, node in enumerate(nodes):
                tips[index] = (await node.execute(block(tips[index], number, b"fork%d" % index))).hash
        for index, node in enumerate(nodes):
            assert await node.call("0x1", b"", at=tips[index])
        counts = lab.engines.counts()["l2"]
        assert (counts.lanes, counts.executed) == (2, 29 * 4)
        assert counts.moves > 0

    in_sim(main)


def test_two_forks_stop_moving_lanes_once_each_has_its_own() -> None:
    async def main() -> None:
        lab = Lab()
        nodes, tips = [lab.open("a"), lab.open("b")], [GENESIS_HASH] * 2
        for number in range(1, 60):
            for index, node in enumerate(nodes):
                tips[index] = (await node.execute(block(tips[index], number, b"fork%d" % index))).hash
        assert lab.engines.counts()["l2"].moves <= 10

    in_sim(main)


def test_a_killed_node_must_replay_and_its_replay_takes_time_but_no_work() -> None:
    async def main() -> None:
        lab = Lab()
        engine = lab.open("a")
        inputs, parent = [], GENESIS_HASH
        for number in range(1, 11):
            inputs.append(block(parent, number, b"tx"))
            parent = (await engine.execute(inputs[-1])).hash
        lab.engines.drop("a")
        with pytest.raises(EngineFailure, match="a lost power"):
            await engine.call("0x1", b"", at=parent)
        reborn = lab.open("a")
        with pytest.raises(EngineFailure, match="does not know"):
            await reborn.call("0x1", b"", at=parent)
        began = virtual_loop().now_ns
        blocks = await reborn.replay([*inputs, block(parent, 11, BAD), block(parent, 11)])
        assert [found.hash for found in blocks][-1] == parent
        assert len(blocks) == 10
        cost = ExecutionCost()
        assert virtual_loop().now_ns - began == 11 * (cost.block_ns + cost.transaction_ns)
        assert lab.executed == 11

    in_sim(main)


def test_a_block_a_node_already_executed_takes_no_time() -> None:
    async def main() -> None:
        lab = Lab()
        engine = lab.open("a")
        await engine.execute(block())
        began = virtual_loop().now_ns
        await engine.execute(block())
        assert virtual_loop().now_ns == began

    in_sim(main)


def test_unshared_nodes_see_the_same_at_the_same_time_with_an_engine_each() -> None:
    """The flag changes who executes, never what a node sees or when."""
    seen: dict[bool, list[Any]] = {True: [], False: []}

    def scene(shared: bool) -> Callable[[], Coroutine[Any, Any, None]]:
        async def main() -> None:
            lab = Lab(shared=shared)

            async def live(name: str, fork: bytes) -> None:
                tip = await chain(lab.open(name), 5, fork=fork)
                seen[shared].append((virtual_loop().now_ns, name, tip))
                lab.engines.drop(name)
                seen[shared].append((name, await chain(lab.open(name), 7, fork=fork)))

            await asyncio.gather(live("a", b""), live("b", b""), live("c", b"f"))
            assert len(lab.made) == (2 if shared else 6), "a lane per fork, or an engine per life of a node"
            lab.engines.close()
            assert all(engine.closed for engine in lab.made)

        return main

    for shared in (True, False):
        in_sim(scene(shared))
    assert seen[True] == seen[False]


def test_only_nodes_get_engines_and_each_layer_its_own_chain() -> None:
    async def main() -> None:
        lab = Lab()
        assert lab.engines.open(spec("keeper-0", "keeper")) is None
        for name, kind in (("l1-0", "l1-builder"), ("l1-1", "l1-follower"), ("s", "sequencer"), ("r", "replica")):
            assert lab.engines.open(spec(name, kind)) is not None
        assert [engine.name for engine in lab.made] == ["l1-lane-0", "l2-lane-0"]

    in_sim(main)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_one_core_is_used_and_given_back() -> None:
    before = os.sched_getaffinity(0)
    def fail() -> None:
        with on_one_core() as core:
            assert os.sched_getaffinity(0) == {core}
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert os.sched_getaffinity(0) == before
    with on_one_core(enabled=False) as core:
        assert core is None
        assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_runs_side_by_side_take_different_cores_before_two_take_the_same() -> None:
    """Two workers of a set of runs on one core of two take twice as long, while the other core stands idle."""
    cores = sorted(os.sched_getaffinity(0))
    program = (
        "from harness.runtimes.sim import affinity\n"
        f"affinity.CLAIM = 'test-core-{os.getpid()}'\n"   # runs of somebody else hold claims too
        "with affinity.on_one_core() as core:\n"
        "    print(core, flush=True)\n"
        "    input()\n"
    )
    with contextlib.ExitStack() as stack:
        def core_of_another_run() -> int:
            command = [sys.executable, "-c", program]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            return int(process.stdout.readline())

        assert [core_of_another_run() for _ in range(2 * len(cores))] == cores + cores
